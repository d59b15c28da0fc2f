package tokenizer

import (
	"slices"
	"testing"
)

// rustLongestFirst is the library's arithmetic line by line, for comparison.
func rustLongestFirst(a, b, room int) (int, int) {
	if a+b <= room {
		return a, b
	}
	n1, n2 := a, b
	swap := n1 > n2
	if swap {
		n1, n2 = n2, n1
	}
	if n1 > room {
		n2 = n1
	} else {
		n2 = max(n1, room-n1)
	}
	if n1+n2 > room {
		n1 = room / 2
		n2 = n1 + room%2
	}
	if swap {
		n1, n2 = n2, n1
	}
	return n1, n2
}

func TestLongestFirstIsTheLibrarys(t *testing.T) {
	for a := range 20 {
		for b := range 20 {
			for room := range 42 {
				gotA, gotB := longestFirst(a, b, room)
				wantA, wantB := rustLongestFirst(a, b, room)
				if gotA != wantA || gotB != wantB {
					t.Errorf("%d and %d in %d: got %d and %d, want %d and %d", a, b, room, gotA, gotB, wantA, wantB)
				}
				if gotA > a || gotB > b || gotA+gotB != min(room, a+b) {
					t.Errorf("%d and %d in %d: %d and %d do not fill it", a, b, room, gotA, gotB)
				}
			}
		}
	}
}

func TestCut(t *testing.T) {
	ids := []uint32{1, 2, 3, 4}
	for _, c := range []struct {
		n    int
		left bool
		want []uint32
	}{
		{0, false, []uint32{}},
		{2, false, []uint32{1, 2}},
		{4, false, ids},
		{0, true, []uint32{}},
		{3, true, []uint32{2, 3, 4}},
		{4, true, ids},
	} {
		if got := cut(ids, c.n, c.left); !slices.Equal(got, c.want) {
			t.Errorf("cut to %d, left %v: got %v, want %v", c.n, c.left, got, c.want)
		}
	}
}
