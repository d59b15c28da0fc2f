package data

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
)

// newRand returns the generator for one purpose: streams of different seeds, purposes or counters are
// independent, so that no order depends on how many numbers another one drew.
func newRand(seed uint64, purpose string, counter uint64) *rand.Rand {
	key := append([]byte(purpose), 0)
	key = binary.LittleEndian.AppendUint64(key, seed)
	key = binary.LittleEndian.AppendUint64(key, counter)
	return rand.New(rand.NewChaCha8(sha256.Sum256(key)))
}

// Split splits n examples at random: round(fraction·n) into a, the others into b, both ascending. Neither
// may be empty.
func Split(n int, fraction float64, seed uint64) (a, b []int, err error) {
	if !(fraction > 0 && fraction < 1) {
		return nil, nil, fmt.Errorf("split fraction %v: want more than 0 and less than 1", fraction)
	}
	k := int(math.Round(fraction * float64(n)))
	if k < 1 || k >= n {
		return nil, nil, fmt.Errorf("cannot split %d examples at fraction %v: one part would be empty", n, fraction)
	}
	perm := newRand(seed, "split", 0).Perm(n)
	a, b = perm[:k:k], perm[k:]
	slices.Sort(a)
	slices.Sort(b)
	return a, b, nil
}

// Subset returns k of n indices drawn at random without replacement, ascending; all of them if k >= n. A
// smaller subset of the same seed is contained in a larger one.
func Subset(n, k int, seed uint64) []int {
	perm := newRand(seed, "subset", 0).Perm(n)
	chosen := perm[:max(0, min(k, n))]
	slices.Sort(chosen)
	return chosen
}
