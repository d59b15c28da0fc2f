package data

import (
	"fmt"
	"slices"
	"testing"
)

// partition fails unless a and b are ascending, disjoint and cover 0..n-1.
func partition(t *testing.T, n int, a, b []int) {
	t.Helper()
	if !slices.IsSorted(a) || !slices.IsSorted(b) {
		t.Fatal("not ascending")
	}
	all := slices.Sorted(slices.Values(slices.Concat(a, b)))
	if len(all) != n {
		t.Fatalf("%d indices, want %d", len(all), n)
	}
	for i, v := range all {
		if i != v {
			t.Fatalf("index %d is missing or twice", i)
		}
	}
}

func TestSplit(t *testing.T) {
	for _, n := range []int{2, 3, 10, 101, 8551} {
		a, b, err := numbered(n).Split(0.5, 7)
		if err != nil {
			t.Fatal(err)
		}
		partition(t, n, a, b)
		if d := len(a) - len(b); d < 0 || d > 1 {
			t.Errorf("n %d: %d and %d", n, len(a), len(b))
		}
	}
	a, b, err := numbered(1000).Split(0.9, 7)
	if err != nil || len(a) != 900 {
		t.Fatalf("%d and %d, %v", len(a), len(b), err)
	}
	partition(t, 1000, a, b)
	again, _, _ := numbered(1000).Split(0.9, 7)
	other, _, _ := numbered(1000).Split(0.9, 8)
	if !slices.Equal(a, again) || slices.Equal(a, other) {
		t.Error("the split should depend on the seed and on nothing else")
	}
}

func TestSplitIsRandom(t *testing.T) {
	// Of 10,000 examples split in two, a part of the first half holds about half: sd 25 for 2,500 of 5,000.
	a, _, err := numbered(10000).Split(0.5, 1)
	if err != nil {
		t.Fatal(err)
	}
	low, _ := slices.BinarySearch(a, 5000)
	if low < 2400 || low > 2600 {
		t.Errorf("%d of the first 5,000 are in the first part, want about 2,500", low)
	}
}

func TestSplitErrors(t *testing.T) {
	for _, test := range []struct {
		n        int
		fraction float64
		want     string
	}{
		{0, 0.5, "cannot split 0 examples at fraction 0.5: one part would be empty"},
		{1, 0.5, "cannot split 1 examples at fraction 0.5: one part would be empty"},
		{10, 0.01, "cannot split 10 examples at fraction 0.01: one part would be empty"},
		{10, 0.99, "cannot split 10 examples at fraction 0.99: one part would be empty"},
		{10, 0, "split fraction 0: want more than 0 and less than 1"},
		{10, 1, "split fraction 1: want more than 0 and less than 1"},
	} {
		if _, _, err := numbered(test.n).Split(test.fraction, 1); err == nil || err.Error() != test.want {
			t.Errorf("got %v, want %s", err, test.want)
		}
	}
}

// TestSplitKeepsPieces has records of one to five pieces, and of each all on one side, also where there is a large one.
func TestSplitKeepsPieces(t *testing.T) {
	d := numbered(300)
	record := make([]int, d.Len())
	for i := range d.Examples {
		d.Examples[i].Further = i%15 > 0 && !slices.Contains([]int{1, 3, 6, 10}, i%15)
		if record[i] = record[max(0, i-1)]; !d.Examples[i].Further {
			record[i]++
		}
	}
	for seed := range uint64(20) {
		a, b, err := d.Split(0.5, seed)
		if err != nil {
			t.Fatal(err)
		}
		partition(t, d.Len(), a, b)
		if len(a) < 150 || len(a) > 154 {
			t.Errorf("seed %d: %d and %d", seed, len(a), len(b))
		}
		sides := map[int]int{}
		for _, i := range a {
			sides[record[i]] |= 1
		}
		for _, i := range b {
			sides[record[i]] |= 2
		}
		for r, side := range sides {
			if side == 3 {
				t.Errorf("seed %d: record %d is on both sides", seed, r)
			}
		}
	}
	large := numbered(10)
	for i := range large.Examples {
		large.Examples[i].Further = i > 1
	}
	for seed := range uint64(20) {
		if a, b, err := large.Split(0.9, seed); err != nil || min(len(a), len(b)) != 1 {
			t.Errorf("seed %d: %v and %v, %v", seed, a, b, err)
		}
	}
	large.Examples[1].Further = true
	if _, _, err := large.Split(0.9, 1); err == nil {
		t.Error("one record was split")
	}
}

func TestSubset(t *testing.T) {
	small, large := Subset(1000, 50, 3), Subset(1000, 200, 3)
	if len(small) != 50 || len(large) != 200 || !slices.IsSorted(small) || len(slices.Compact(slices.Clone(large))) != 200 {
		t.Fatalf("%d and %d indices", len(small), len(large))
	}
	for _, i := range small {
		if _, ok := slices.BinarySearch(large, i); !ok {
			t.Errorf("%d is in the smaller subset only", i)
		}
	}
	if slices.Equal(small, Subset(1000, 50, 4)) {
		t.Error("another seed gives the same subset")
	}
	for k, want := range map[int]int{-1: 0, 0: 0, 10: 10, 11: 10} {
		if got := Subset(10, k, 1); len(got) != want {
			t.Errorf("k %d: %v", k, got)
		}
	}
}

// TestRandomIsPinned fails if a new Go version shuffles in another way: then runs of before and after are
// not the same, which a release must say.
func TestRandomIsPinned(t *testing.T) {
	a, _, err := numbered(10).Split(0.5, 1)
	if err != nil {
		t.Fatal(err)
	}
	order, err := NewOrder(OrderConfig{Indices: []int{0, 1, 2, 3, 4, 5, 6, 7}, Size: 8, Seed: 1, Stream: "train"})
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprint(a, Subset(20, 4, 1), order.Next(), order.Next())
	if want := "[2 4 6 7 8] [6 10 17 18] [2 5 6 3 4 1 7 0] [7 0 2 6 1 4 3 5]"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func ExampleDataset_Split() {
	d := &Dataset{Examples: make([]Example, 7)}
	train, validation, err := d.Split(0.5, 42)
	fmt.Println(len(train), len(validation), err)
	// Output: 4 3 <nil>
}
