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
		a, b, err := Split(n, 0.5, 7)
		if err != nil {
			t.Fatal(err)
		}
		partition(t, n, a, b)
		if d := len(a) - len(b); d < 0 || d > 1 {
			t.Errorf("n %d: %d and %d", n, len(a), len(b))
		}
	}
	a, b, err := Split(1000, 0.9, 7)
	if err != nil || len(a) != 900 {
		t.Fatalf("%d and %d, %v", len(a), len(b), err)
	}
	partition(t, 1000, a, b)
	again, _, _ := Split(1000, 0.9, 7)
	other, _, _ := Split(1000, 0.9, 8)
	if !slices.Equal(a, again) || slices.Equal(a, other) {
		t.Error("the split should depend on the seed and on nothing else")
	}
}

func TestSplitIsRandom(t *testing.T) {
	// Of 10,000 examples split in two, a part of the first half holds about half: sd 25 for 2,500 of 5,000.
	a, _, err := Split(10000, 0.5, 1)
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
		if _, _, err := Split(test.n, test.fraction, 1); err == nil || err.Error() != test.want {
			t.Errorf("got %v, want %s", err, test.want)
		}
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
	a, _, err := Split(10, 0.5, 1)
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

func ExampleSplit() {
	train, validation, err := Split(7, 0.5, 42)
	fmt.Println(len(train), len(validation), err)
	// Output: 4 3 <nil>
}
