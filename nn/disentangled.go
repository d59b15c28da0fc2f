package nn

import (
	"math"

	"autolora/torchbind"
)

// Disentangled is DeBERTa's attention among the rows of a sequence: the score of key
// j for query i is
//
//	(Qᵢ·Kⱼ + Qᵢ·PK[i-j] + PQ[i-j]·Kⱼ)·scale
//
// where PK and PQ are projections of an embedding of the distance i-j. It is computed
// on the padded batch, of operators that have derivatives of any order.
type Disentangled struct {
	QKV       *Linear // [3C, C]; with shared projections of the distances too
	Out       *Linear
	Positions *Linear // of distances, where they have projections of their own; nil: none
	Scale     float64

	distances *distances
	config    *Config
}

// distances are the embeddings of distances, which all blocks share.
type distances struct {
	weight *Param // [2·Span, C]
	norm   *Norm  // nil: none
}

// disentangled loads the attention of a block.
func (ld *loader) disentangled(cfg *Config, d *distances, at func(module string, rows int64) Module) *Disentangled {
	c, r := cfg.HiddenSize, cfg.Relative
	a := &Disentangled{distances: d, config: cfg}
	a.QKV = ld.layer(ld.linear(c, true, at("attention.self.query_proj", c), at("attention.self.key_proj", c), at("attention.self.value_proj", c)))
	parts := float32(1)
	var positions []Module
	if r.Keys {
		positions = append(positions, at("attention.self.pos_key_proj", c))
		parts++
	}
	if r.Queries {
		positions = append(positions, at("attention.self.pos_query_proj", c))
		parts++
	}
	if !r.Shared && len(positions) > 0 {
		a.Positions = ld.layer(ld.linear(c, true, positions...))
	}
	a.Scale = 1 / float64(float32(math.Sqrt(float64(float32(cfg.HeadDim)*parts)))) // rounded as transformers does
	a.Out = ld.layer(ld.linear(c, true, at("attention.output.dense", c)))
	return a
}

func (a *Disentangled) linears() []*Linear {
	all := []*Linear{a.QKV, a.Out}
	if a.Positions != nil {
		all = append(all, a.Positions)
	}
	return all
}

func (a *Disentangled) window() int64 { return 0 }

// Forward implements Attention. It computes all rows, and returns those that are
// wanted.
func (a *Disentangled) Forward(s *torchbind.Scope, _, all *torchbind.Tensor, p Pass, rng *DropoutRNG) *torchbind.Tensor {
	b, r, c := p.batch, a.config.Relative, a.config.HiddenSize
	reach := b.reach
	embedded := a.distances.norm.Forward(s, torchbind.Narrow(s, a.distances.weight.Value, 0, reach.first, reach.rows)) // [R, C]
	drop, seed := rng.draw(a.config.HiddenDropout)
	embedded = torchbind.Dropout(s, embedded, drop, seed)

	var qkv, queries, keys *torchbind.Tensor // of tokens [N, 3C], of distances [R, C]
	if r.Shared {
		n := all.Size(0)
		both := a.QKV.Forward(s, torchbind.Cat(s, []*torchbind.Tensor{all, embedded}, 0), rng)
		qkv = torchbind.Narrow(s, both, 0, 0, n)
		of := torchbind.Narrow(s, both, 0, n, reach.rows)
		queries, keys = torchbind.Narrow(s, of, 1, 0, c), torchbind.Narrow(s, of, 1, c, c)
	} else {
		qkv = a.QKV.Forward(s, all, rng)
		if a.Positions != nil {
			of := a.Positions.Forward(s, embedded, rng)
			keys, queries = torchbind.Narrow(s, of, 1, 0, c), torchbind.Narrow(s, of, 1, of.Size(1)-c, c)
		}
	}

	plan := b.look(0, false).plan
	rows := torchbind.IndexSelect(s, qkv, 0, plan.Queries) // [B·T, 3C]
	part := func(i int64) *torchbind.Tensor { return a.heads(s, torchbind.Narrow(s, rows, 1, i*c, c)) }
	q, k, v := torchbind.MulScalar(s, part(0), a.Scale), part(1), part(2) // [H, B·T, D]
	sequences, t := plan.Mask.Size(0), plan.Mask.Size(3)
	each := func(x *torchbind.Tensor) *torchbind.Tensor { // [H, B, T, D]
		return torchbind.Reshape(s, x, a.config.NumAttentionHeads, sequences, t, -1)
	}
	scores := torchbind.MatMul(s, each(q), torchbind.Transpose(s, each(k), 2, 3)) // [H, B, T, T]
	if r.Keys {
		scores = torchbind.Add(s, scores, a.byDistance(s, q, torchbind.IndexSelect(s, keys, 0, reach.down), sequences))
	}
	if r.Queries {
		scaled := torchbind.MulScalar(s, torchbind.IndexSelect(s, queries, 0, reach.up), a.Scale)
		scores = torchbind.Add(s, scores, torchbind.Transpose(s, a.byDistance(s, k, scaled, sequences), 2, 3))
	}
	probabilities := torchbind.Softmax(s, torchbind.Add(s, scores, torchbind.Reshape(s, plan.Mask, sequences, 1, t)), -1)
	drop, seed = rng.draw(a.config.AttentionDropout)
	context := torchbind.MatMul(s, torchbind.Dropout(s, probabilities, drop, seed), each(v))
	context = torchbind.Transpose(s, torchbind.Reshape(s, context, a.config.NumAttentionHeads, sequences*t, -1), 0, 1) // [B·T, H, D]
	places := plan.Places
	if p.wanted {
		places = torchbind.IndexSelect(s, places, 0, b.Want)
	}
	return a.Out.Forward(s, torchbind.IndexSelect(s, torchbind.Reshape(s, context, sequences*t, c), 0, places), rng)
}

// heads returns x [N, C] by heads: [H, N, D].
func (a *Disentangled) heads(s *torchbind.Scope, x *torchbind.Tensor) *torchbind.Tensor {
	return torchbind.Contiguous(s, torchbind.Transpose(s, torchbind.Reshape(s, x, x.Size(0), a.config.NumAttentionHeads, -1), 0, 1))
}

// byDistance returns the products of row i of x [H, B·T, D] with the row of an
// embedding [2T-1, C] for each row j of its sequence, which stands at j-i+T-1:
// [H, B, T, T]. All distances are computed, and read in rows that are one shorter than
// they are: that is where each row begins one distance later than the one before.
func (a *Disentangled) byDistance(s *torchbind.Scope, x, embedding *torchbind.Tensor, sequences int64) *torchbind.Tensor {
	h, t := x.Size(0), x.Size(1)/sequences
	products := torchbind.MatMul(s, x, torchbind.Transpose(s, a.heads(s, embedding), 1, 2)) // [H, B·T, 2T-1]
	flat := torchbind.Reshape(s, products, h*sequences, t*(2*t-1))
	shifted := torchbind.Reshape(s, torchbind.Narrow(s, flat, 1, t-1, t*(2*t-2)), h, sequences, t, 2*t-2)
	return torchbind.Narrow(s, shifted, 3, 0, t)
}

// reach says which embeddings of distances a batch has, and where: of its sequences,
// padded to T rows.
type reach struct {
	first, rows int64
	// up and down [2T-1] (int64) are the places among these of the distances from
	// -(T-1) to T-1, and the other way round.
	up, down *torchbind.Tensor
}

// reach returns those of sequences of t rows.
func (r *Relative) reach(s *torchbind.Scope, t int64, device torchbind.Device) *reach {
	first := r.bucket(-(t - 1))
	n := &reach{first: first, rows: r.bucket(t-1) - first + 1}
	up, down := make([]int64, 2*t-1), make([]int64, 2*t-1)
	for i := range up {
		up[i] = r.bucket(int64(i)-(t-1)) - first
		down[len(down)-1-i] = up[i]
	}
	n.up, n.down = indices(s, up, device), indices(s, down, device)
	return n
}
