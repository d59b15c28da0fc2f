package nn

import (
	"fmt"
	"math"

	"autolora/torchbind"
)

// Encoder is the Transformer that BERT and RoBERTa share.
type Encoder struct {
	*Config
	Words     *Param // [V, C]
	Places    *Param // [positions, C]
	Types     *Param // [type_vocab, C]
	EmbedNorm *Norm
	Layers    []*Layer
}

// Norm is a LayerNorm's weight and bias [C], or an RMSNorm's weight.
type Norm struct {
	Weight *Param
	Bias   *Param // nil: RMSNorm
	Eps    float64
}

// Forward normalises the rows of x [N, C].
func (n *Norm) Forward(s *torchbind.Scope, x *torchbind.Tensor) *torchbind.Tensor {
	if n.Bias == nil {
		return torchbind.RMSNorm(s, x, n.Weight.Value, n.Eps)
	}
	return torchbind.LayerNorm(s, x, n.Weight.Value, n.Bias.Value, n.Eps)
}

// Layer is one Transformer block. The last one reads queries for the wanted
// rows only, so there the query matrix stands apart. The adapters are nil where
// there is none.
type Layer struct {
	QKV             *Linear // [3C, C], all layers but the last
	Query, KeyValue *Linear // [C, C] and [2C, C], the last layer
	Out             *Linear // [C, C]
	AttentionNorm   *Norm
	Up, Down        *Linear // [I, C] and [C, I]
	OutputNorm      *Norm

	AttentionAdapter, OutputAdapter *Bottleneck

	module string // "bert.encoder.layer.0"
}

// linears returns the block's linear layers, in the order of computation.
func (l *Layer) linears() []*Linear {
	if l.QKV != nil {
		return []*Linear{l.QKV, l.Out, l.Up, l.Down}
	}
	return []*Linear{l.Query, l.KeyValue, l.Out, l.Up, l.Down}
}

func (e *Encoder) linears() []*Linear {
	var all []*Linear
	for _, l := range e.Layers {
		all = append(all, l.linears()...)
	}
	return all
}

func (e *Encoder) sites() []site {
	var all []site
	for _, l := range e.Layers {
		all = append(all, site{l.module + ".attention.output", &l.AttentionAdapter, true}, site{l.module + ".output", &l.OutputAdapter, false})
	}
	return all
}

// segments implements Body: the embeddings, then the blocks.
func (e *Encoder) segments(_ *torchbind.Scope, b *Batch) []Segment {
	all := []Segment{func(s *torchbind.Scope, _ *torchbind.Tensor, rng *DropoutRNG) *torchbind.Tensor {
		return e.embed(s, b, rng)
	}}
	last := len(e.Layers) - 1
	for i, layer := range e.Layers {
		all = append(all, func(s *torchbind.Scope, x *torchbind.Tensor, rng *DropoutRNG) *torchbind.Tensor {
			if i < last {
				return e.block(s, layer, x, b, rng)
			}
			return e.lastBlock(s, layer, x, b, rng)
		})
	}
	return all
}

// embed sums the three embeddings: [N, C].
func (e *Encoder) embed(s *torchbind.Scope, b *Batch, rng *DropoutRNG) *torchbind.Tensor {
	words := torchbind.Embedding(s, e.Words.Value, b.IDs)
	types := torchbind.Embedding(s, e.Types.Value, b.Segments)
	places := torchbind.Embedding(s, e.Places.Value, b.Positions)
	x := torchbind.Add(s, torchbind.Add(s, words, types), places)
	x = e.EmbedNorm.Forward(s, x)
	p, seed := rng.draw(e.HiddenDropout)
	return torchbind.Dropout(s, x, p, seed)
}

// block maps x [N, C] to [N, C].
func (e *Encoder) block(s *torchbind.Scope, l *Layer, x *torchbind.Tensor, b *Batch, rng *DropoutRNG) *torchbind.Tensor {
	qkv := l.QKV.Forward(s, x, rng) // [N, 3C]
	context := torchbind.SelfAttention(s, qkv, b.Offsets, e.attention(b, b.Plan, rng))
	return e.feedForward(s, l, x, context, rng)
}

// lastBlock maps x [N, C] to the wanted rows [M, C]: keys and values of all
// rows, everything else of those only.
func (e *Encoder) lastBlock(s *torchbind.Scope, l *Layer, x *torchbind.Tensor, b *Batch, rng *DropoutRNG) *torchbind.Tensor {
	rows := torchbind.IndexSelect(s, x, 0, b.Want)
	q := l.Query.Forward(s, rows, rng)
	kv := l.KeyValue.Forward(s, x, rng) // [N, 2C]
	context := torchbind.CrossAttention(s, q, kv, b.WantAt, b.Offsets, e.attention(b, b.WantPlan, rng))
	return e.feedForward(s, l, rows, context, rng)
}

// feedForward is the block after attention, on rows x and their context.
func (e *Encoder) feedForward(s *torchbind.Scope, l *Layer, x, context *torchbind.Tensor, rng *DropoutRNG) *torchbind.Tensor {
	y := e.addNorm(s, l.AttentionNorm, l.AttentionAdapter, l.Out.Forward(s, context, rng), x, rng)
	h := torchbind.GELU(s, l.Up.Forward(s, y, rng), e.HiddenAct != "gelu")
	return e.addNorm(s, l.OutputNorm, l.OutputAdapter, l.Down.Forward(s, h, rng), y, rng)
}

// addNorm returns LayerNorm(residual + adapter(dropout(x))); without an adapter
// that is one pass over memory.
func (e *Encoder) addNorm(s *torchbind.Scope, n *Norm, adapter *Bottleneck, x, residual *torchbind.Tensor, rng *DropoutRNG) *torchbind.Tensor {
	p, seed := rng.draw(e.HiddenDropout)
	if adapter != nil {
		x = adapter.Forward(s, torchbind.Dropout(s, x, p, seed), residual, n)
		p, seed = 0, 0
	}
	return torchbind.AddDropoutLayerNorm(s, x, residual, n.Weight.Value, n.Bias.Value, n.Eps, p, seed)
}

// attention returns the settings of attention in b by plan, with a dropout seed
// drawn from masks.
func (e *Encoder) attention(b *Batch, plan *torchbind.AttentionPlan, rng *DropoutRNG) torchbind.AttentionConfig {
	p, seed := rng.draw(e.AttentionDropout)
	scale := 1 / math.Sqrt(float64(e.HiddenSize/e.NumAttentionHeads))
	return torchbind.AttentionConfig{Heads: e.NumAttentionHeads, Scale: scale, Dropout: p, Seed: seed, Plan: plan, Twice: b.twice}
}

// newEncoder builds the encoder from a checkpoint whose keys begin with prefix
// and a dot.
func newEncoder(ld *loader, cfg *Config, prefix string) Body {
	e := &Encoder{Config: cfg}
	c, inner := cfg.HiddenSize, cfg.IntermediateSize
	name := func(format string, args ...any) string { return prefix + "." + fmt.Sprintf(format, args...) }
	e.Words = ld.param(name("embeddings.word_embeddings.weight"), cfg.VocabSize, c)
	e.Places = ld.param(name("embeddings.position_embeddings.weight"), cfg.MaxPositionEmbeddings, c)
	e.Types = ld.param(name("embeddings.token_type_embeddings.weight"), cfg.TypeVocabSize, c)
	e.EmbedNorm = ld.norm(name("embeddings.LayerNorm"), c, cfg.LayerNormEps)
	for i := range cfg.NumHiddenLayers {
		l := &Layer{module: name("encoder.layer.%d", i)}
		at := func(module string, rows int64) Module { return Module{l.module + "." + module, rows} }
		q, k, v := at("attention.self.query", c), at("attention.self.key", c), at("attention.self.value", c)
		if i < cfg.NumHiddenLayers-1 {
			l.QKV = ld.linear(c, true, q, k, v)
		} else {
			l.Query, l.KeyValue = ld.linear(c, true, q), ld.linear(c, true, k, v)
		}
		l.Out = ld.linear(c, true, at("attention.output.dense", c))
		l.AttentionNorm = ld.norm(l.module+".attention.output.LayerNorm", c, cfg.LayerNormEps)
		l.Up = ld.linear(c, true, at("intermediate.dense", inner))
		l.Down = ld.linear(inner, true, at("output.dense", c))
		l.OutputNorm = ld.norm(l.module+".output.LayerNorm", c, cfg.LayerNormEps)
		e.Layers = append(e.Layers, l)
	}
	return e
}
