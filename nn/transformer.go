package nn

import (
	"slices"

	"autolora/torchbind"
)

// Transformer is a model without its head: embeddings, blocks, and in some a norm
// at the end. What a family has of its own are its parts.
type Transformer struct {
	Embedding Embedding
	Blocks    []*Block
	Norm      *Norm // after the last block; nil: none
	config    *Config

	beside *convolution // the first block; nil: none
	padded bool         // attention is computed on the padded batch, on every device
}

// Embedding maps tokens and their positions to hidden states.
type Embedding struct {
	Words   *Param  // [V, C]
	Types   *Param  // [type_vocab, C], of segments; nil: none
	Places  *Param  // [positions, C]; nil: none
	Norm    *Norm   // of the sum; nil: none
	Scale   float64 // of Words' rows; 0: 1
	Project *Linear // of all that, where its C is another; nil: none
}

// Block is one Transformer block: attention and a feed-forward layer, each with a
// residual connection around it.
type Block struct {
	Attention       Attention
	AroundAttention Residual
	Up, Down        *Linear // [I, C], or with a gate above it [2I, C]; [C, I]
	// Activate maps what Up returns to [N, I].
	Activate          func(s *torchbind.Scope, x *torchbind.Tensor) *torchbind.Tensor
	AroundFeedForward Residual

	inner *float64 // dropout before Down; nil: none
}

// Residual is the connection around a layer f,
//
//	After(x + Adapter(dropout(Within(f(Before(x))))))
type Residual struct {
	Before, Within, After *Norm        // nil: none
	Adapter               AdapterLayer // nil: none

	module  string   // what AdapterHub calls the place of the adapter
	dropout *float64 // nil: the configuration's HiddenDropout
}

// noDropout is that of a Residual that has none.
var noDropout = new(float64)

// Norm is a LayerNorm's weight and bias [C], or an RMSNorm's weight.
type Norm struct {
	Weight *Param
	Bias   *Param // nil: RMSNorm, or a LayerNorm without
	Eps    float64
	Plus   float64 // what an RMSNorm adds to its weight

	zero *torchbind.Tensor // [C], of a LayerNorm without bias
}

// bias returns the bias of a LayerNorm; nil for an RMSNorm.
func (n *Norm) bias() *torchbind.Tensor {
	if n.Bias == nil {
		return n.zero
	}
	return n.Bias.Value
}

// params returns the norm's parameters; those of nil are none.
func (n *Norm) params() []*Param {
	switch {
	case n == nil:
		return nil
	case n.Bias == nil:
		return []*Param{n.Weight}
	}
	return []*Param{n.Weight, n.Bias}
}

// Forward normalises the rows of x [N, C]; a nil Norm returns x.
func (n *Norm) Forward(s *torchbind.Scope, x *torchbind.Tensor) *torchbind.Tensor {
	switch {
	case n == nil:
		return x
	case n.Plus != 0: // in float32 at least, and as a whole: the sum has no room in bfloat16
		dtype := factorType(x.DType())
		w := torchbind.AddScalar(s, torchbind.To(s, n.Weight.Value, dtype, x.Device()), n.Plus)
		return torchbind.To(s, torchbind.RMSNorm(s, torchbind.To(s, x, dtype, x.Device()), w, n.Eps), x.DType(), x.Device())
	case n.bias() == nil:
		return torchbind.RMSNorm(s, x, n.Weight.Value, n.Eps)
	}
	return torchbind.LayerNorm(s, x, n.Weight.Value, n.bias(), n.Eps)
}

// ofSum normalises the rows of x + dropout(y), of a LayerNorm in one pass over
// memory; a nil Norm returns the sum.
func (n *Norm) ofSum(s *torchbind.Scope, y, x *torchbind.Tensor, p float64, seed uint64) *torchbind.Tensor {
	if n == nil || n.bias() == nil {
		return n.Forward(s, torchbind.AddDropout(s, y, x, p, seed))
	}
	return torchbind.AddDropoutLayerNorm(s, y, x, n.Weight.Value, n.bias(), n.Eps, p, seed)
}

// Segment is a part of a model's computation on a batch: it maps x, which the
// segment before it returned; x of the first is nil. With the same weights, x and
// state of dropout it computes the same again.
type Segment func(s *torchbind.Scope, x *torchbind.Tensor, rng *DropoutRNG) *torchbind.Tensor

// forward applies segments one after the other, each in a scope of its own.
func forward(s *torchbind.Scope, segments []Segment, rng *DropoutRNG) *torchbind.Tensor {
	var x *torchbind.Tensor
	for _, f := range segments {
		x = s.Tidy(func(s *torchbind.Scope) *torchbind.Tensor { return f(s, x, rng) })
	}
	return x
}

// segments returns the computation of the last hidden states of the rows that b
// wants, [M, C]. With a cache, which may be nil, the rows see what is in it, and
// add to it. What the segments share lives in s.
func (t *Transformer) segments(s *torchbind.Scope, b *Batch, cache *KVCache) []Segment {
	all := []Segment{func(s *torchbind.Scope, _ *torchbind.Tensor, rng *DropoutRNG) *torchbind.Tensor {
		return t.embed(s, b, rng)
	}}
	rotations := &rotations{scope: s, batch: b, made: map[*rotary]*rotation{}}
	for i, block := range t.Blocks {
		p := Pass{batch: b, rotations: rotations, cache: cache, block: i, wanted: i == len(t.Blocks)-1 && b.Want != nil && b.means == nil}
		all = append(all, func(s *torchbind.Scope, x *torchbind.Tensor, rng *DropoutRNG) *torchbind.Tensor {
			y := block.forward(s, x, p, t.config.HiddenDropout, rng)
			if i == 0 && t.beside != nil {
				y = t.beside.forward(s, x, y, p, rng)
			}
			return y
		})
	}
	if t.Norm != nil {
		all = append(all, func(s *torchbind.Scope, x *torchbind.Tensor, _ *DropoutRNG) *torchbind.Tensor {
			return t.Norm.Forward(s, x)
		})
	}
	if b.means != nil {
		all = append(all, func(s *torchbind.Scope, x *torchbind.Tensor, _ *DropoutRNG) *torchbind.Tensor {
			return torchbind.MatMul(s, b.means, x)
		})
	}
	return all
}

// embed returns the embeddings of the rows of b: [N, C].
func (t *Transformer) embed(s *torchbind.Scope, b *Batch, rng *DropoutRNG) *torchbind.Tensor {
	e := t.Embedding
	x := torchbind.Embedding(s, e.Words.Value, b.IDs)
	if e.Scale != 0 {
		x = torchbind.MulScalar(s, x, e.Scale)
	}
	if e.Types != nil {
		x = torchbind.Add(s, x, torchbind.Embedding(s, e.Types.Value, b.Segments))
	}
	if e.Places != nil {
		x = torchbind.Add(s, x, torchbind.Embedding(s, e.Places.Value, b.Positions))
	}
	p, seed := rng.draw(t.config.EmbedDropout)
	x = torchbind.Dropout(s, e.Norm.Forward(s, x), p, seed)
	if e.Project != nil {
		x = e.Project.Forward(s, x, rng)
	}
	return x
}

// forward maps x [N, C] to [N, C], or to the rows that are wanted [M, C].
func (l *Block) forward(s *torchbind.Scope, x *torchbind.Tensor, p Pass, dropout float64, rng *DropoutRNG) *torchbind.Tensor {
	all := l.AroundAttention.Before.Forward(s, x)
	h := all
	if p.wanted {
		x = torchbind.IndexSelect(s, x, 0, p.batch.Want)
		if h = x; l.AroundAttention.Before != nil {
			h = torchbind.IndexSelect(s, all, 0, p.batch.Want)
		}
	}
	x = l.AroundAttention.add(s, l.Attention.Forward(s, h, all, p, rng), x, dropout, rng)
	h = l.Activate(s, l.Up.Forward(s, l.AroundFeedForward.Before.Forward(s, x), rng))
	if l.inner != nil {
		drop, seed := rng.draw(*l.inner)
		h = torchbind.Dropout(s, h, drop, seed)
	}
	return l.AroundFeedForward.add(s, l.Down.Forward(s, h, rng), x, dropout, rng)
}

// add returns After(x + Adapter(dropout(Within(y)))).
func (r *Residual) add(s *torchbind.Scope, y, x *torchbind.Tensor, dropout float64, rng *DropoutRNG) *torchbind.Tensor {
	y = r.Within.Forward(s, y)
	if r.dropout != nil {
		dropout = *r.dropout
	}
	p, seed := rng.draw(dropout)
	if r.Adapter != nil {
		y = r.Adapter.Forward(s, x, torchbind.Dropout(s, y, p, seed), rng)
		p, seed = 0, 0
	}
	return r.After.ofSum(s, y, x, p, seed)
}

// linears returns the linear layers, in the order of computation.
func (t *Transformer) linears() []*Linear {
	var all []*Linear
	if t.Embedding.Project != nil {
		all = append(all, t.Embedding.Project)
	}
	for _, l := range t.Blocks {
		all = append(append(all, l.Attention.linears()...), l.Up, l.Down)
	}
	return all
}

// residuals returns the places of bottleneck adapters, in the order of
// computation: two in each block, after attention and after the feed-forward
// layer.
func (t *Transformer) residuals() []*Residual {
	var all []*Residual
	for _, l := range t.Blocks {
		all = append(all, &l.AroundAttention, &l.AroundFeedForward)
	}
	return all
}

// windows returns the windows of attention that the blocks have, each once.
func (t *Transformer) windows() []int64 {
	var all []int64
	for _, l := range t.Blocks {
		if w := l.Attention.window(); !slices.Contains(all, w) {
			all = append(all, w)
		}
	}
	return all
}

// activation returns what config.json calls act: gelu's, or tanh.
func activation(act string) func(s *torchbind.Scope, x *torchbind.Tensor) *torchbind.Tensor {
	if act == "tanh" {
		return torchbind.Tanh
	}
	return gelu(act)
}

// gelu returns the activation that config.json calls act.
func gelu(act string) func(s *torchbind.Scope, x *torchbind.Tensor) *torchbind.Tensor {
	return func(s *torchbind.Scope, x *torchbind.Tensor) *torchbind.Tensor {
		return torchbind.GELU(s, x, act != "gelu")
	}
}

// gated returns the activation that config.json calls act of the first half of the
// columns, times the second.
func gated(act string) func(s *torchbind.Scope, x *torchbind.Tensor) *torchbind.Tensor {
	if act == "silu" {
		return torchbind.SwiGLU
	}
	return func(s *torchbind.Scope, x *torchbind.Tensor) *torchbind.Tensor {
		return torchbind.GeGLU(s, x, act != "gelu")
	}
}
