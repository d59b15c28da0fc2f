package nlg

import (
	"slices"
	"strings"
)

// PyTER returns the translation edit rate of one output as GenerationEval computes it with pyter3 0.3: the least
// over the references of edits per word of the reference, 1 for a reference without words. An edit inserts, deletes
// or replaces a word or moves a run of words. Words are what white space separates, in upper and lower case as they
// are. The score of a corpus is the mean of those of its outputs.
func PyTER(s Segment) float64 {
	hyp := strings.Fields(s.Hypothesis)
	least := 1.0
	for i, reference := range s.References {
		rate := 1.0
		if ref := strings.Fields(reference); len(ref) > 0 {
			a, b, words := number(hyp, ref)
			rate = float64(shiftGreedily(a, b, words)) / float64(len(ref))
		}
		if i == 0 || rate < least {
			least = rate
		}
	}
	return least
}

// shiftGreedily returns the edits that turn hyp into ref: as long as a shift brings the edit distance down, the best
// one is made. A shift takes a run of words, as long as it equals one in ref, to the index that it has there. Of
// shifts that are equally good, pyter's sort prefers the largest sentence in alphabetical order; number keeps it.
func shiftGreedily(hyp, ref []int32, words int) int {
	d := newEditDistance(ref, words)
	cur, shifted, best := slices.Clone(hyp), make([]int32, len(hyp)), make([]int32, len(hyp))
	for shifts, least := 0, d.to(cur); ; shifts++ {
		before := least
		for i := range cur {
			for j := range ref {
				if i == j || cur[i] != ref[j] {
					continue
				}
				n := 1
				for i+n < len(cur) && j+n < len(ref) && cur[i+n] == ref[j+n] {
					n++
				}
				move(shifted, cur, i, i+n, j)
				if e := d.to(shifted); e < least || e == least && e < before && slices.Compare(shifted, best) > 0 {
					least = e
					best, shifted = shifted, best
				}
			}
		}
		if least == before {
			return shifts + least
		}
		cur, best = best, cur
	}
}

// move sets to to the words of from with those in [start, end) taken out and put back where to others are before
// them, or at the end where there are fewer.
func move(to, from []int32, start, end, before int) {
	rest := append(append(to[:0], from[:start]...), from[end:]...)
	copy(to, slices.Insert(rest, min(before, len(rest)), from[start:end]...)) // in place: rest lies in to, which has room
}

// number gives each word of two sentences a number, in alphabetical order, and says how many there are.
func number(a, b []string) (x, y []int32, words int) {
	all := slices.Concat(a, b)
	slices.Sort(all)
	all = slices.Compact(all)
	numbers := func(sentence []string) []int32 {
		out := make([]int32, len(sentence))
		for i, word := range sentence {
			n, _ := slices.BinarySearch(all, word)
			out[i] = int32(n)
		}
		return out
	}
	return numbers(a), numbers(b), len(all)
}

// editDistance computes Levenshtein distances to one sentence, 64 words of it at a time: it holds a column of the
// table of distances as bits that say where the next row's is one more and where it is one less (Myers 1999;
// Hyyrö 2003 for sentences of more than 64 words).
type editDistance struct {
	length     int
	blocks     int
	places     []uint64 // [words, blocks] the places of each word in the sentence
	more, less []uint64 // [blocks]
}

func newEditDistance(sentence []int32, words int) *editDistance {
	blocks := (len(sentence) + 63) / 64
	d := &editDistance{len(sentence), blocks, make([]uint64, words*blocks), make([]uint64, blocks), make([]uint64, blocks)}
	for i, word := range sentence {
		d.places[int(word)*blocks+i/64] |= 1 << (i % 64)
	}
	return d
}

// to returns the distance to another sentence.
func (d *editDistance) to(sentence []int32) int {
	if d.length == 0 {
		return len(sentence)
	}
	for b := range d.blocks {
		d.more[b], d.less[b] = ^uint64(0), 0
	}
	distance, last := d.length, uint((d.length-1)%64)
	for _, word := range sentence {
		up, down := uint64(1), uint64(0) // whether the distance rises or falls to the right, in the row above the block
		places := d.places[int(word)*d.blocks:][:d.blocks]
		for b, equal := range places {
			more, less := d.more[b], d.less[b]
			equal |= down
			diagonal := (((equal & more) + more) ^ more) | equal | less // where it is that to the upper left
			rises, falls := less|^(diagonal|more), diagonal&more
			if b == d.blocks-1 {
				distance += int(rises>>last&1) - int(falls>>last&1)
			}
			nextUp, nextDown := rises>>63, falls>>63
			rises, falls = rises<<1|up, falls<<1|down
			up, down = nextUp, nextDown
			d.more[b], d.less[b] = falls|^(diagonal|rises), rises&diagonal
		}
	}
	return distance
}
