package nn

import (
	"slices"

	"autolora/torchbind"
)

// sight is what attention with a window sees from all rows of a batch, and from the
// rows Want.
type sight struct {
	window    int64
	all, want look
}

// look says which queries attention has, what each sees, and how it is planned.
type look struct {
	offsets *torchbind.Tensor // [S+1] int64 on the CPU: where the queries of each sequence begin
	keys    *torchbind.Tensor // the same of keys
	places  *torchbind.Tensor // [K] int64: the rows that are keys, one after the other; nil: all rows
	// visible and window are torchbind.AttentionConfig's.
	visible *torchbind.Tensor
	window  int64
	plan    *torchbind.AttentionPlan // nil for the CPU's kernel, which needs none
}

// look returns that of attention with a window: from all rows, or from the rows Want.
func (b *Batch) look(window int64, wanted bool) look {
	g := b.sights[slices.IndexFunc(b.sights, func(g sight) bool { return g.window == window })]
	if wanted {
		return g.want
	}
	return g.all
}

// clone returns a copy of r whose tensors on the device are in s.
func (r look) clone(s *torchbind.Scope) look {
	if r.places != nil {
		r.places = torchbind.Clone(s, r.places)
	}
	if r.plan != nil {
		r.plan = r.plan.Clone(s)
	}
	return r
}

// tensors returns those on the device, in a fixed order.
func (r look) tensors() (all []*torchbind.Tensor) {
	if r.places != nil {
		all = append(all, r.places)
	}
	if r.plan != nil {
		all = append(all, r.plan.Tensors()...)
	}
	return all
}

// sight returns what attention with a window sees of sequences at offsets, from all
// rows of b and from those that want tells, in ascending order.
func (m *Model) sight(s *torchbind.Scope, b *Batch, window int64, offsets, want []int64) sight {
	queries, keys := offsets, offsets
	var places, visible []int64
	narrow := window
	switch half := window / 2; {
	case m.Generates(): // attention is causal
		for i, from := range offsets[:len(offsets)-1] {
			for row := from; row < offsets[i+1]; row++ {
				visible = append(visible, row-from+1)
			}
		}
	case longest(offsets) <= half+1: // every row sees its sequence
		narrow = 0
	case window > 0:
		queries, keys, places, visible = bothSides(offsets, half)
	}
	r := look{offsets: indices(s, queries, torchbind.CPU), keys: indices(s, keys, torchbind.CPU), window: narrow}
	wanted := r
	at, seen := make([]int64, len(queries)), make([]int64, 0, len(want))
	for i, from := range queries {
		n, _ := slices.BinarySearch(want, from)
		at[i] = int64(n)
	}
	if wanted.offsets = indices(s, at, torchbind.CPU); visible != nil {
		for _, row := range want {
			seen = append(seen, visible[row])
		}
		r.visible, wanted.visible = indices(s, visible, torchbind.CPU), indices(s, seen, torchbind.CPU)
	}
	if places != nil {
		if m.round {
			places = append(places, make([]int64, roundUp(len(places))-len(places))...)
		}
		r.places = indices(s, places, m.device)
		wanted.places = r.places
	}
	if m.round || m.device != torchbind.CPU || m.Body.padded {
		rounded := func(n int64) int64 {
			if m.round {
				return roundLength(n)
			}
			return n
		}
		cfg := torchbind.PlanConfig{
			Visible: r.visible, Window: narrow, Rows: b.IDs.Size(0), QueryLength: rounded(longest(queries)), KeyLength: rounded(longest(keys)), DType: m.dtype, Device: m.device,
		}
		of := r.keys
		if places == nil { // the rows of the queries are keys too
			if m.Body.padded {
				cfg.KeyLength = max(cfg.KeyLength, 2) // which distances need
			}
			of, cfg.QueryLength = nil, cfg.KeyLength
		}
		r.plan = torchbind.NewAttentionPlan(s, r.offsets, of, cfg)
		cfg.Visible, cfg.Rows, cfg.QueryLength = wanted.visible, b.Want.Size(0), longest(at)
		if cfg.QueryLength > 1 {
			cfg.QueryLength = rounded(cfg.QueryLength)
		}
		wanted.plan = torchbind.NewAttentionPlan(s, wanted.offsets, r.keys, cfg)
	}
	return sight{window, r, wanted}
}

// bothSides lays sequences at offsets out for attention in which a row sees so many
// rows to either side. The kernels know windows that end before the last key or there.
// So the last rows of a sequence are queries of one of their own, of which the keys
// stand in reverse order, and which sees the first of these.
func bothSides(offsets []int64, side int64) (queries, keys, places, visible []int64) {
	queries, keys = []int64{0}, []int64{0}
	for i, from := range offsets[:len(offsets)-1] {
		to := offsets[i+1]
		edge := to
		if to-from > side+1 {
			edge = max(from, to-side)
		}
		for row := from; row < to; row++ {
			places = append(places, row)
			if row < edge {
				visible = append(visible, min(row-from+side+1, to-from))
			} else {
				visible = append(visible, min(to-row+side, to-from))
			}
		}
		queries, keys = append(queries, edge), append(keys, int64(len(places)))
		if edge < to {
			for row := to - 1; row >= max(from, to-2*side); row-- {
				places = append(places, row)
			}
		}
		queries, keys = append(queries, to), append(keys, int64(len(places)))
	}
	return queries, keys, places, visible
}

// longest returns the length, at least 1, of the longest of what begins at offsets.
func longest(offsets []int64) int64 {
	most := int64(1)
	for i, from := range offsets[:len(offsets)-1] {
		most = max(most, offsets[i+1]-from)
	}
	return most
}
