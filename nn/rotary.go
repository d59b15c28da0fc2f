package nn

import (
	"slices"

	"autolora/torchbind"
)

// rotary is a Rope for heads of one size, on the model's device.
type rotary struct {
	rope         *Rope
	head, turned int64             // columns of a head, and of those the first that are turned
	frequencies  *torchbind.Tensor // [turned/2] float32; nil: they depend on the text's length
	place        int               // then, of the rows' frequencies in a batch
}

// rotary returns that of r for heads of size d, the same for the same r; nil for
// nil.
func (ld *loader) rotary(r *Rope, d int64) *rotary {
	if r == nil {
		return nil
	}
	if ld.rotaries[r] == nil {
		turns := &rotary{rope: r, head: d, turned: r.turned(d)}
		if r.varies() {
			for _, other := range ld.rotaries {
				if other.frequencies == nil {
					turns.place++
				}
			}
		} else {
			turns.frequencies = torchbind.FromSlice(ld.scope, r.frequencies(turns.turned, 0), []int64{turns.turned / 2}, ld.device)
		}
		ld.rotaries[r] = turns
	}
	return ld.rotaries[r]
}

// frequenciesOf returns the frequencies [N, turned/2] of N rows in texts of so many
// tokens, by each rotary of t that asks for it.
func (t *Transformer) frequenciesOf(s *torchbind.Scope, lengths []int64, device torchbind.Device) []*torchbind.Tensor {
	var all []*torchbind.Tensor
	for _, r := range t.rotaries() {
		if r.frequencies != nil {
			continue
		}
		var rows []float32
		byLength := map[int64][]float32{}
		for _, n := range lengths {
			if byLength[n] == nil {
				byLength[n] = r.rope.frequencies(r.turned, n)
			}
			rows = append(rows, byLength[n]...)
		}
		all = append(all, torchbind.FromSlice(s, rows, []int64{int64(len(lengths)), r.turned / 2}, device))
	}
	return all
}

// rotaries returns those that the blocks have, each once.
func (t *Transformer) rotaries() []*rotary {
	var all []*rotary
	for _, l := range t.Blocks {
		if a, ok := l.Attention.(*MultiHead); ok && a.rotary != nil && !slices.Contains(all, a.rotary) {
			all = append(all, a.rotary)
		}
	}
	return all
}

// rotation holds the angles of rows for rotary embeddings; nil turns nothing.
type rotation struct {
	by       *rotary
	cos, sin *torchbind.Tensor // [N, turned/2] float32
}

// rotations are those of the rows of a batch, made once for all blocks with the same
// rotary.
type rotations struct {
	scope *torchbind.Scope
	batch *Batch
	made  map[*rotary]*rotation
}

// of returns the rotation by a rotary; nil for nil.
func (r *rotations) of(by *rotary) *rotation {
	if by == nil {
		return nil
	}
	turned, ok := r.made[by]
	if !ok {
		frequencies := by.frequencies
		if frequencies == nil {
			frequencies = r.batch.frequencies[by.place]
		}
		positions := r.batch.Positions
		at := torchbind.Reshape(r.scope, torchbind.To(r.scope, positions, torchbind.Float32, positions.Device()), positions.Size(0), 1)
		angles := torchbind.Mul(r.scope, at, frequencies) // [N, turned/2]
		turned = &rotation{by, torchbind.Cos(r.scope, angles), torchbind.Sin(r.scope, angles)}
		if scale := by.rope.scale(); scale != 1 {
			turned.cos, turned.sin = torchbind.MulScalar(r.scope, turned.cos, scale), torchbind.MulScalar(r.scope, turned.sin, scale)
		}
		r.made[by] = turned
	}
	return turned
}

// at returns the angles of some of the rows.
func (r *rotation) at(s *torchbind.Scope, rows *torchbind.Tensor) *rotation {
	if r == nil {
		return nil
	}
	return &rotation{r.by, torchbind.IndexSelect(s, r.cos, 0, rows), torchbind.IndexSelect(s, r.sin, 0, rows)}
}

// apply turns the first heads of x [N, …].
func (r *rotation) apply(s *torchbind.Scope, x *torchbind.Tensor, heads int64) *torchbind.Tensor {
	switch {
	case r == nil:
		return x
	case r.by.turned == r.by.head:
		return torchbind.Rotary(s, x, r.cos, r.sin, heads)
	}
	n, d, turned := x.Size(0), r.by.head, r.by.turned
	each := torchbind.Reshape(s, torchbind.Narrow(s, x, 1, 0, heads*d), n, heads, d)
	first := torchbind.Reshape(s, torchbind.Narrow(s, each, 2, 0, turned), n, heads*turned)
	first = torchbind.Reshape(s, torchbind.Rotary(s, first, r.cos, r.sin, heads), n, heads, turned)
	all := torchbind.Cat(s, []*torchbind.Tensor{first, torchbind.Narrow(s, each, 2, turned, d-turned)}, 2) // [N, heads, D]
	return torchbind.Cat(s, []*torchbind.Tensor{
		torchbind.Reshape(s, all, n, heads*d), torchbind.Narrow(s, x, 1, heads*d, x.Size(1)-heads*d),
	}, 1)
}
