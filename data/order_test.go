package data

import (
	"encoding"
	"fmt"
	"slices"
	"strings"
	"testing"
)

var (
	_ encoding.BinaryMarshaler   = (*Order)(nil)
	_ encoding.BinaryUnmarshaler = (*Order)(nil)
	_ encoding.BinaryMarshaler   = (*Loader)(nil)
)

// ints returns from, from+1, ..., to-1.
func ints(from, to int) []int {
	var out []int
	for i := from; i < to; i++ {
		out = append(out, i)
	}
	return out
}

func newOrder(t *testing.T, config OrderConfig) *Order {
	t.Helper()
	o, err := NewOrder(config)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestOrderEpochs(t *testing.T) {
	tests := []struct {
		name  string
		n     int
		size  int
		epoch []int // sizes of the batches of an epoch
	}{
		{"short last batch", 10, 4, []int{4, 4, 2}},
		{"no short batch", 12, 4, []int{4, 4, 4}},
		{"one batch larger than all", 3, 16, []int{3}},
		{"size one", 3, 1, []int{1, 1, 1}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			indices := ints(100, 100+test.n)
			o := newOrder(t, OrderConfig{Indices: indices, Size: test.size, Seed: 1})
			if o.BatchesPerEpoch() != len(test.epoch) {
				t.Errorf("%d batches an epoch, want %d", o.BatchesPerEpoch(), len(test.epoch))
			}
			var epochs [][]int
			for range 3 {
				var seen []int
				for _, size := range test.epoch {
					batch := o.Next()
					if len(batch) != size {
						t.Fatalf("batch of %d, want %d", len(batch), size)
					}
					seen = append(seen, batch...)
				}
				epochs = append(epochs, slices.Clone(seen))
				slices.Sort(seen)
				if len(slices.Compact(seen)) != test.n || seen[0] < 100 || seen[len(seen)-1] >= 100+test.n {
					t.Fatalf("an epoch goes through %v", seen)
				}
			}
			if test.n > 8 && (slices.Equal(epochs[0], epochs[1]) || slices.Equal(epochs[1], epochs[2])) {
				t.Error("two epochs have the same order")
			}
		})
	}
}

func TestOrderStreams(t *testing.T) {
	config := OrderConfig{Indices: ints(0, 50), Size: 50, Seed: 1, Stream: "train"}
	first := newOrder(t, config).Next()
	if !slices.Equal(first, newOrder(t, config).Next()) {
		t.Error("the same config gives another order")
	}
	for _, change := range []func(*OrderConfig){
		func(c *OrderConfig) { c.Seed = 2 },
		func(c *OrderConfig) { c.Stream = "validation" },
	} {
		other := config
		change(&other)
		if slices.Equal(first, newOrder(t, other).Next()) {
			t.Errorf("%+v gives the same order", other)
		}
	}
}

func TestOrderResume(t *testing.T) {
	config := OrderConfig{Indices: ints(0, 11), Size: 3, Seed: 5, Stream: "train"}
	o := newOrder(t, config)
	for step := range 12 {
		state, err := o.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		resumed := newOrder(t, config)
		resumed.Next()
		if err := resumed.UnmarshalBinary(state); err != nil {
			t.Fatal(err)
		}
		ahead := newOrder(t, config)
		for range step {
			ahead.Next()
		}
		for range 9 {
			if got, want := resumed.Next(), ahead.Next(); !slices.Equal(got, want) {
				t.Fatalf("step %d: got %v, want %v", step, got, want)
			}
		}
		o.Next()
	}
}

func TestOrderErrors(t *testing.T) {
	for _, test := range []struct {
		config OrderConfig
		want   string
	}{
		{OrderConfig{Indices: ints(0, 3)}, "batch size 0: want at least 1"},
		{OrderConfig{Size: 3}, "no examples to make batches of"},
	} {
		if _, err := NewOrder(test.config); err == nil || err.Error() != test.want {
			t.Errorf("got %v, want %s", err, test.want)
		}
	}

	config := OrderConfig{Indices: ints(0, 9), Size: 3, Seed: 5, Stream: "train"}
	state, _ := newOrder(t, config).MarshalBinary()
	for _, change := range []func(*OrderConfig){
		func(c *OrderConfig) { c.Seed = 6 },
		func(c *OrderConfig) { c.Stream = "validation" },
		func(c *OrderConfig) { c.Size = 4 },
		func(c *OrderConfig) { c.Indices = ints(1, 10) },
	} {
		other := config
		change(&other)
		if err := newOrder(t, other).UnmarshalBinary(state); err == nil || !strings.Contains(err.Error(), "of another run") {
			t.Errorf("%+v: got %v", other, err)
		}
	}
	far := slices.Clone(state)
	far[16] = 10
	for _, b := range [][]byte{nil, state[:20], append(slices.Clone(state), 0), []byte(strings.Repeat("x", len(state))), far} {
		if err := newOrder(t, config).UnmarshalBinary(b); err == nil {
			t.Errorf("no error for the state %q", b)
		}
	}
}

// TestOrderDigest holds the digest to what checkpoints have in them.
func TestOrderDigest(t *testing.T) {
	o := newOrder(t, OrderConfig{Indices: []int{4, 0, 2}, Size: 2, Seed: 42, Stream: "search train"})
	if got, want := fmt.Sprintf("%x", o.digest()), "4fd72c00bd7b29a34bc7ea8fa605c033086e61758c9859b578cbed3e74c8cb12"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func ExampleOrder() {
	order, err := NewOrder(OrderConfig{Indices: []int{0, 1, 2, 3, 4}, Size: 2, Seed: 1, Stream: "train"})
	if err != nil {
		fmt.Println(err)
		return
	}
	for range 3 {
		fmt.Println(len(order.Next()))
	}
	// Output:
	// 2
	// 2
	// 1
}
