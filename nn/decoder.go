package nn

import (
	"fmt"
	"math"

	"autolora/torchbind"
)

// Decoder is the Transformer of GPT-2 and of the LLaMA family: blocks that
// normalise before they compute, and attention to what came before.
type Decoder struct {
	*Config
	Words  *Param          // [V, C]
	Places *Param          // [positions, C], GPT-2; nil with rotary embeddings
	Layers []*DecoderLayer // NumHiddenLayers
	Norm   *Norm

	frequencies *torchbind.Tensor // of rotary embeddings [D/2] float32; nil without
}

// DecoderLayer is one block. The last one reads queries for the wanted rows
// only, so there the query matrix stands apart. The adapters are nil where there
// is none.
type DecoderLayer struct {
	AttentionNorm   *Norm
	QKV             *Linear // [(H+2G)·D, C] for G heads of keys and values, all layers but the last
	Query, KeyValue *Linear // [H·D, C] and [2G·D, C], the last layer
	Out             *Linear // [C, H·D]
	OutputNorm      *Norm
	Up              *Linear // [I, C], or with SwiGLU the gate above it: [2I, C]
	Down            *Linear // [C, I]

	AttentionAdapter, OutputAdapter *Bottleneck

	module string // "transformer.h.0"
}

// DecoderConfig is the part of Config that only families that generate have.
type DecoderConfig struct {
	NumKeyValueHeads          int64   // G, heads of keys and values
	HeadDim                   int64   // D
	EmbedDropout              float64 // GPT-2's embd_pdrop
	SlidingWindow             int64   // tokens that attention looks back on; 0: all
	TieWordEmbeddings         bool    // the embedding is the vocabulary's head too
	QKVBias, OutBias, MLPBias bool
	Rope                      Rope
}

// checkDecoder checks what every family that generates has.
func (c Config) checkDecoder() error {
	switch {
	case c.NumKeyValueHeads < 1 || c.NumAttentionHeads%c.NumKeyValueHeads != 0:
		return fmt.Errorf("num_key_value_heads: got %d, want a divisor of num_attention_heads %d", c.NumKeyValueHeads, c.NumAttentionHeads)
	case c.HeadDim < 1 || c.HeadDim > c.HiddenSize*16:
		return fmt.Errorf("head_dim: got %d for hidden_size %d", c.HeadDim, c.HiddenSize)
	case c.SlidingWindow < 0:
		return fmt.Errorf("sliding_window: got %d, want at least 1, or null", c.SlidingWindow)
	case c.MaxPositionEmbeddings < 3:
		return fmt.Errorf("max_position_embeddings: got %d, want at least 3", c.MaxPositionEmbeddings)
	}
	return nil
}

func (l *DecoderLayer) linears() []*Linear {
	if l.QKV != nil {
		return []*Linear{l.QKV, l.Out, l.Up, l.Down}
	}
	return []*Linear{l.Query, l.KeyValue, l.Out, l.Up, l.Down}
}

func (d *Decoder) linears() []*Linear {
	var all []*Linear
	for _, l := range d.Layers {
		all = append(all, l.linears()...)
	}
	return all
}

func (d *Decoder) sites() []site {
	var all []site
	for _, l := range d.Layers {
		all = append(all, site{l.module + ".attention_adapters", &l.AttentionAdapter, true}, site{l.module + ".output_adapters", &l.OutputAdapter, false})
	}
	return all
}

// segments implements Body: the embeddings, the blocks, the norm.
func (d *Decoder) segments(s *torchbind.Scope, b *Batch) []Segment {
	return d.keeping(s, b, func(int, *torchbind.Tensor) {})
}

// keeping is segments that show keep the keys and values [N, 2G·D] of every
// layer.
func (d *Decoder) keeping(s *torchbind.Scope, b *Batch, keep func(layer int, kv *torchbind.Tensor)) []Segment {
	r := d.rotation(s, b.Positions)
	all := []Segment{func(s *torchbind.Scope, _ *torchbind.Tensor, rng *DropoutRNG) *torchbind.Tensor {
		return d.embed(s, b.IDs, b.Positions, rng)
	}}
	for i, layer := range d.Layers {
		all = append(all, func(s *torchbind.Scope, x *torchbind.Tensor, rng *DropoutRNG) *torchbind.Tensor {
			kept := func(kv *torchbind.Tensor) { keep(i, kv) }
			if layer.QKV != nil {
				return d.block(s, layer, x, b, r, rng, kept)
			}
			return d.lastBlock(s, layer, x, b, r, rng, kept)
		})
	}
	return append(all, func(s *torchbind.Scope, x *torchbind.Tensor, _ *DropoutRNG) *torchbind.Tensor {
		return d.Norm.Forward(s, x)
	})
}

// embed returns the embeddings of tokens at positions: [N, C].
func (d *Decoder) embed(s *torchbind.Scope, ids, positions *torchbind.Tensor, rng *DropoutRNG) *torchbind.Tensor {
	x := torchbind.Embedding(s, d.Words.Value, ids)
	if d.Places != nil {
		x = torchbind.Add(s, x, torchbind.Embedding(s, d.Places.Value, positions))
	}
	p, seed := rng.draw(d.EmbedDropout)
	return torchbind.Dropout(s, x, p, seed)
}

// block maps x [N, C] to [N, C].
func (d *Decoder) block(s *torchbind.Scope, l *DecoderLayer, x *torchbind.Tensor, b *Batch, r *rotation, rng *DropoutRNG, keep func(kv *torchbind.Tensor)) *torchbind.Tensor {
	qkv := r.apply(s, l.QKV.Forward(s, l.AttentionNorm.Forward(s, x), rng), d.NumAttentionHeads+d.NumKeyValueHeads) // [N, (H+2G)·D]
	_, kv := d.split(s, qkv)
	keep(kv)
	context := torchbind.SelfAttention(s, qkv, b.Offsets, d.attention(b.Visible, b.Plan, b.twice, rng))
	return d.feedForward(s, l, x, context, rng)
}

// split returns views of queries [N, H·D], and keys and values [N, 2G·D].
func (d *Decoder) split(s *torchbind.Scope, qkv *torchbind.Tensor) (q, kv *torchbind.Tensor) {
	queries := d.NumAttentionHeads * d.HeadDim
	return torchbind.Narrow(s, qkv, 1, 0, queries), torchbind.Narrow(s, qkv, 1, queries, 2*d.NumKeyValueHeads*d.HeadDim)
}

// lastBlock maps x [N, C] to the wanted rows [M, C]: keys and values of all
// rows, everything else of those only.
func (d *Decoder) lastBlock(s *torchbind.Scope, l *DecoderLayer, x *torchbind.Tensor, b *Batch, r *rotation, rng *DropoutRNG, keep func(kv *torchbind.Tensor)) *torchbind.Tensor {
	h := l.AttentionNorm.Forward(s, x)
	q := r.at(s, b.Want).apply(s, l.Query.Forward(s, torchbind.IndexSelect(s, h, 0, b.Want), rng), d.NumAttentionHeads)
	kv := r.apply(s, l.KeyValue.Forward(s, h, rng), d.NumKeyValueHeads)
	keep(kv)
	context := torchbind.CrossAttention(s, q, kv, b.WantAt, b.Offsets, d.attention(b.WantVisible, b.WantPlan, b.twice, rng))
	return d.feedForward(s, l, torchbind.IndexSelect(s, x, 0, b.Want), context, rng)
}

// attention returns the settings of attention for rows that see so many keys, by
// plan where there is one, perhaps to be differentiated twice.
func (d *Decoder) attention(visible *torchbind.Tensor, plan *torchbind.AttentionPlan, twice bool, rng *DropoutRNG) torchbind.AttentionConfig {
	p, seed := rng.draw(d.AttentionDropout)
	return torchbind.AttentionConfig{
		Heads: d.NumAttentionHeads, KVHeads: d.NumKeyValueHeads, Scale: 1 / math.Sqrt(float64(d.HeadDim)),
		Dropout: p, Seed: seed, Visible: visible, Window: d.SlidingWindow, Plan: plan, Twice: twice,
	}
}

// feedForward is the block after attention, on rows x and their context.
func (d *Decoder) feedForward(s *torchbind.Scope, l *DecoderLayer, x, context *torchbind.Tensor, rng *DropoutRNG) *torchbind.Tensor {
	x = d.add(s, l.AttentionAdapter, l.Out.Forward(s, context, rng), x, rng)
	h := l.Up.Forward(s, l.OutputNorm.Forward(s, x), rng)
	if d.HiddenAct == "silu" {
		h = torchbind.SwiGLU(s, h)
	} else {
		h = torchbind.GELU(s, h, d.HiddenAct != "gelu")
	}
	return d.add(s, l.OutputAdapter, l.Down.Forward(s, h, rng), x, rng)
}

// add returns residual + adapter(dropout(x)).
func (d *Decoder) add(s *torchbind.Scope, adapter *Bottleneck, x, residual *torchbind.Tensor, rng *DropoutRNG) *torchbind.Tensor {
	p, seed := rng.draw(d.HiddenDropout)
	if adapter != nil {
		x = adapter.Forward(s, torchbind.Dropout(s, x, p, seed), residual, nil)
		p, seed = 0, 0
	}
	return torchbind.AddDropout(s, x, residual, p, seed)
}

// newDecoder starts the body that a family's builder fills.
func newDecoder(ld *loader, cfg *Config, words string) *Decoder {
	return &Decoder{Config: cfg, Words: ld.param(words, cfg.VocabSize, cfg.HiddenSize)}
}

// newVocabulary builds the head of a language model: a matrix of its own, or
// the embedding.
func newVocabulary(ld *loader, d *Decoder) *Linear {
	const name = "lm_head"
	if !d.TieWordEmbeddings {
		return ld.linear(d.HiddenSize, false, Module{name, d.VocabSize})
	}
	ld.used[name+".weight"] = true // a copy, in some checkpoints
	return ld.layer(&Linear{Weight: d.Words, Modules: []Module{{name, d.VocabSize}}, LoRA: make([]*LoRA, 1)})
}
