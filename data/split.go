package data

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"maps"
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

// Split splits the n examples at random: round(fraction·n) into a, the others into b, both ascending. Neither
// may be empty. Pieces of one are on the same side, so that a may have some more, or all but those of one.
func (d *Dataset) Split(fraction float64, seed uint64) (a, b []int, err error) {
	if !(fraction > 0 && fraction < 1) {
		return nil, nil, fmt.Errorf("split fraction %v: want more than 0 and less than 1", fraction)
	}
	n := d.Len()
	var begin []int // of the pieces of each
	for i := range n {
		if i == 0 || !d.Examples[i].Further {
			begin = append(begin, i)
		}
	}
	k, last := int(math.Round(fraction*float64(n))), len(begin)-1
	if k < 1 || k >= n || last == 0 {
		return nil, nil, fmt.Errorf("cannot split %d examples at fraction %v: one part would be empty", n, fraction)
	}
	begin = append(begin, n)
	for drawn, r := range newRand(seed, "split", 0).Perm(last + 1) {
		part := &b
		if len(a) < k && drawn < last {
			part = &a
		}
		for i := begin[r]; i < begin[r+1]; i++ {
			*part = append(*part, i)
		}
	}
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

// holdOut splits a training set at random into fraction of it, which is to be the dev set, and the others. Examples with
// the same texts are on the same side, and of each class there is the same share. It is the same each time: runs of
// several seeds are scored on the same examples, and what is cut or scored later on none that were trained on.
func (d *Dataset) holdOut(fraction float64) (dev, train *Dataset, err error) {
	const seed = 1
	groups := map[uint64][]int{}
	classes := map[int][]uint64{} // the groups of each class, in file order
	sizes := map[int]int{}
	for i, ex := range d.Examples {
		key := ex.key()
		if groups[key] == nil {
			classes[ex.Label] = append(classes[ex.Label], key)
		}
		groups[key] = append(groups[key], i)
		sizes[ex.Label]++
	}
	var held []int
	for _, class := range slices.Sorted(maps.Keys(classes)) {
		keys := classes[class]
		want := int(math.Round(fraction * float64(sizes[class])))
		if len(classes) == 1 {
			want = max(1, want)
		}
		taken := 0
		for _, k := range newRand(seed, "hold out", uint64(class)).Perm(len(keys)) {
			if taken >= want {
				break
			}
			taken += len(groups[keys[k]])
			held = append(held, groups[keys[k]]...)
		}
	}
	if len(held) == 0 || len(held) == d.Len() {
		return nil, nil, fmt.Errorf("the %d examples have too few different texts, %d, to hold some of them out: give a dev set", d.Len(), len(groups))
	}
	slices.Sort(held)
	rest := make([]int, 0, d.Len()-len(held))
	for i := range d.Examples {
		if _, ok := slices.BinarySearch(held, i); !ok {
			rest = append(rest, i)
		}
	}
	return d.Select(held), d.Select(rest), nil
}
