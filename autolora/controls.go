package autolora

import (
	"maps"
	"math"
	"math/rand/v2"
	"slices"
)

// This file makes the ranks of the controls of a comparison out of learned
// ones. It is plain arithmetic.

// EvenRanks spreads a budget of parameters evenly, as far as it goes: every layer
// gets the same rank r, or r+1 where the budget leaves something, and the layers
// with r+1 are spread over the model. sizes[i] is the number of parameters that
// one rank of layer i costs.
func EvenRanks(budget int64, sizes []int64) []int {
	var total, wanted, given int64 // wanted: total times what the layers so far would get of the budget
	for _, size := range sizes {
		total += size
	}
	ranks := make([]int, len(sizes))
	for i, size := range sizes {
		wanted += budget * size
		rank := min((wanted-given*total)/(size*total), (budget+total-1)/total)
		given += rank * size
		ranks[i] = int(rank)
	}
	return ranks
}

// UniformRanks spreads the parameters of the given ranks evenly: every layer
// gets the same rank r, or r+1 where the budget does not divide, and the layers
// with r+1 are spread over the model. sizes[i] is the number of parameters that
// one rank of layer i costs. No budget in between could be met more closely
// without another pair of ranks: the sum of parameters differs from that of
// ranks by less than one rank of the largest layer.
func UniformRanks(ranks []int, sizes []int64) []int {
	var budget, total int64
	for i, rank := range ranks {
		budget += int64(rank) * sizes[i]
		total += sizes[i]
	}
	uniform := float64(budget) / float64(max(1, total)) // rank of every layer, a fraction
	out := make([]int, len(ranks))
	// Error diffusion: what rounding leaves of one layer goes to the next.
	var wanted, given float64
	for i := range ranks {
		wanted += uniform * float64(sizes[i])
		rank := math.Round((wanted - given) / float64(sizes[i]))
		rank = min(max(rank, math.Floor(uniform)), math.Ceil(uniform))
		given += rank * float64(sizes[i])
		out[i] = int(rank)
	}
	return out
}

// ShuffledRanks permutes the ranks over the layers at random. Layers of
// different sizes do not mix, so that the number of parameters stays.
func ShuffledRanks(ranks []int, sizes []int64, seed uint64) []int {
	out := make([]int, len(ranks))
	bySize := map[int64][]int{}
	for i := range ranks {
		bySize[sizes[i]] = append(bySize[sizes[i]], i)
	}
	rng := rand.New(rand.NewPCG(seed, shuffleStream))
	for _, size := range slices.Sorted(maps.Keys(bySize)) {
		layers := bySize[size]
		for k, from := range rng.Perm(len(layers)) {
			out[layers[k]] = ranks[layers[from]]
		}
	}
	return out
}

// RandomRanks spends what the given ranks cost on layers and ranks at random: layer by
// layer in a random order, each a rank from 1 to most as far as the rest goes, and again
// until less than one rank of any layer that has room is left. most is at least the
// highest of ranks.
func RandomRanks(ranks []int, sizes []int64, most int, seed uint64) []int {
	var left int64
	for i, rank := range ranks {
		left += int64(rank) * sizes[i]
	}
	out := make([]int, len(ranks))
	rng := rand.New(rand.NewPCG(seed, drawStream))
	for spent := true; spent; {
		spent = false
		for _, i := range rng.Perm(len(ranks)) {
			if room := min(most-out[i], int(left/sizes[i])); room > 0 {
				rank := 1 + rng.IntN(room)
				out[i] += rank
				left -= int64(rank) * sizes[i]
				spent = true
			}
		}
	}
	return out
}

// RandomWorth gives every part of a worth another by which a budget takes the parts in
// a random order, whatever they cost.
func RandomWorth(worth [][]float64, costs []int64, seed uint64) [][]float64 {
	random := make([][]float64, len(worth))
	rng := rand.New(rand.NewPCG(seed, worthStream))
	for i, row := range worth {
		for range row {
			random[i] = append(random[i], rng.Float64()*float64(costs[i]))
		}
	}
	return random
}

// These keep the random numbers of one seed apart from each other, and from others of
// the seed.
const (
	shuffleStream = 3
	worthStream   = 4
	drawStream    = 6
)
