package nn

import (
	"cmp"
	"math"
	"slices"

	"autolora/torchbind"
)

// Attention is the attention of a block, with its projections.
type Attention interface {
	// Forward maps rows h to [M, C], with keys and values of all rows [N, C]: h is
	// all, or the rows that are wanted of them.
	Forward(s *torchbind.Scope, h, all *torchbind.Tensor, p Pass, rng *DropoutRNG) *torchbind.Tensor
	linears() []*Linear // in the order of computation
	window() int64      // tokens that it sees; 0: all
}

// Pass is one computation of a block.
type Pass struct {
	batch     *Batch
	rotations *rotations
	cache     *KVCache // nil: none
	block     int      // its index
	wanted    bool     // only the rows that are wanted go on
}

// MultiHead is the attention of H heads of queries to G heads of keys and values,
// each of size D, among the rows of a sequence.
type MultiHead struct {
	QKV    *Linear // [(H+2G)·D, C]
	Out    *Linear // [C, H·D]
	Window int64
	Scale  float64 // of the scores
	// QueryNorm and KeyNorm are of each head [D], or of all of them side by side; nil:
	// none.
	QueryNorm, KeyNorm *Norm

	// query and keyValue are parts of QKV in the last block, which computes queries of
	// the wanted rows only; nil in the others, and where QKV is one module.
	query, keyValue *Linear
	rotary          *rotary // nil: none
	config          *Config
}

// attention returns the attention of a block with matrices qkv and out.
func (ld *loader) attention(cfg *Config, block int, qkv, out *Linear) *MultiHead {
	a := &MultiHead{QKV: qkv, Out: ld.layer(out), Scale: cmp.Or(cfg.AttentionScale, 1/math.Sqrt(float64(cfg.HeadDim))), config: cfg}
	if cfg.LayerTypes != nil {
		a.Window, a.rotary = cfg.LayerTypes[block].Window, ld.rotary(cfg.LayerTypes[block].Rope, cfg.HeadDim)
	}
	if block < cfg.NumHiddenLayers-1 || len(qkv.Modules) == 1 {
		ld.layer(qkv)
	} else {
		a.query, a.keyValue = ld.layer(qkv.modules(0, 1)), ld.layer(qkv.modules(1, 3))
	}
	return a
}

func (a *MultiHead) linears() []*Linear { return []*Linear{a.QKV, a.Out} }

func (a *MultiHead) window() int64 { return a.Window }

// Forward implements Attention.
func (a *MultiHead) Forward(s *torchbind.Scope, h, all *torchbind.Tensor, p Pass, rng *DropoutRNG) *torchbind.Tensor {
	b, heads, groups, d := p.batch, a.config.NumAttentionHeads, a.config.NumKeyValueHeads, a.config.HeadDim
	rotation := p.rotations.of(a.rotary)
	rows := b.look(a.Window, p.wanted)
	keys := rows.keys
	queryHeads, keyHeads, valueHeads := headNorm{a.QueryNorm, heads}, headNorm{a.KeyNorm, groups}, headNorm{nil, groups}
	var qkv, q, kv *torchbind.Tensor
	if a.query == nil {
		qkv = rotation.apply(s, perHead(s, a.QKV.Forward(s, all, rng), d, queryHeads, keyHeads, valueHeads), heads+groups)
		if p.cache != nil || p.wanted { // views of it
			q, kv = torchbind.Narrow(s, qkv, 1, 0, heads*d), torchbind.Narrow(s, qkv, 1, heads*d, 2*groups*d)
		}
		if p.wanted {
			qkv, q = nil, torchbind.IndexSelect(s, q, 0, b.Want)
		}
	} else {
		turned := rotation
		if p.wanted {
			turned = rotation.at(s, b.Want)
		}
		q = turned.apply(s, perHead(s, a.query.Forward(s, h, rng), d, queryHeads), heads)
		kv = rotation.apply(s, perHead(s, a.keyValue.Forward(s, all, rng), d, keyHeads, valueHeads), groups)
	}
	if p.cache != nil {
		if seen, offsets := p.cache.add(s, p.block, a.Window, kv); seen != nil { // with what was read before
			qkv, kv, keys = nil, seen, offsets
		}
	}
	if rows.places != nil {
		if qkv != nil {
			q, kv, qkv = torchbind.Narrow(s, qkv, 1, 0, heads*d), torchbind.Narrow(s, qkv, 1, heads*d, 2*groups*d), nil
		}
		kv = torchbind.IndexSelect(s, kv, 0, rows.places)
	}
	dropout, seed := rng.draw(a.config.AttentionDropout)
	cfg := torchbind.AttentionConfig{
		Heads: heads, KVHeads: groups, Scale: a.Scale, Cap: a.config.ScoreCap,
		Dropout: dropout, Seed: seed, Visible: rows.visible, Window: rows.window, Plan: rows.plan, Twice: b.twice,
	}
	var context *torchbind.Tensor // [M, H·D]
	if qkv != nil {
		context = torchbind.SelfAttention(s, qkv, keys, cfg)
	} else {
		context = torchbind.CrossAttention(s, q, kv, rows.offsets, keys, cfg)
	}
	return a.Out.Forward(s, context, rng)
}

// headNorm is the norm of so many heads, of each or of all as one; nil: none.
type headNorm struct {
	norm  *Norm
	heads int64
}

// perHead normalises the heads of size d in the rows of x, which are those of norms
// side by side.
func perHead(s *torchbind.Scope, x *torchbind.Tensor, d int64, norms ...headNorm) *torchbind.Tensor {
	if !slices.ContainsFunc(norms, func(n headNorm) bool { return n.norm != nil }) {
		return x
	}
	var parts []*torchbind.Tensor
	column := int64(0)
	for _, n := range norms {
		part := torchbind.Narrow(s, x, 1, column, n.heads*d)
		if n.norm != nil {
			part = torchbind.Reshape(s, n.norm.Forward(s, torchbind.Reshape(s, part, -1, n.norm.Weight.Value.Size(0))), x.Size(0), n.heads*d)
		}
		parts = append(parts, part)
		column += n.heads * d
	}
	return torchbind.Cat(s, parts, 1)
}
