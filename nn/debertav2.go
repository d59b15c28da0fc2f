package nn

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"autolora/plainjson"
	"autolora/torchbind"
)

// debertaV2 is DeBERTa-v2 and v3, which have one architecture.
var debertaV2 = family{
	prefix: "deberta", class: "DebertaV2", read: readDebertaV2, check: checkBERT, build: newDebertaV2, head: debertaV2Head, tokenHead: plainTokenHead,
	// heads of pre-training, what a head for tokens does not read, and positions that
	// are not added to tokens
	unread: []string{"cls.", "lm_predictions.", "mask_predictions.", "pooler.", "embeddings.position_ids", "embeddings.position_embeddings."},
}

// Relative says how DeBERTa's attention sees relative positions (He et al. 2021).
type Relative struct {
	// Span is half the number of embeddings: distances from -Span to before Span have
	// one each.
	Span int64
	// Buckets, if not 0, makes distances from Buckets/2 on share embeddings, up to Max
	// on a logarithmic scale.
	Buckets, Max int64
	Keys         bool // a query is multiplied by positions: content to position
	Queries      bool // a key is: position to content
	Shared       bool // positions have the projections of tokens, and none of their own
	Norm         bool // of the embeddings

	ConvKernel int64 // rows of a convolution beside the first block; 0: none
	ConvAct    string
}

// readDebertaV2 is readBERT with DeBERTa's keys over the defaults of transformers'
// DebertaV2Config.
func readDebertaV2(data []byte, cfg *Config) error {
	keys := struct {
		Types         int64           `json:"type_vocab_size"`
		Eps           float64         `json:"layer_norm_eps"`
		Relative      bool            `json:"relative_attention"`
		Max           int64           `json:"max_relative_positions"`
		Buckets       int64           `json:"position_buckets"`
		AttType       json.RawMessage `json:"pos_att_type"`
		Shared        bool            `json:"share_att_key"`
		Norm          string          `json:"norm_rel_ebd"`
		Biased        bool            `json:"position_biased_input"`
		EmbeddingSize int64           `json:"embedding_size"`
		HeadSize      int64           `json:"attention_head_size"`
		PoolerSize    int64           `json:"pooler_hidden_size"`
		PoolerDropout float64         `json:"pooler_dropout"`
		PoolerAct     string          `json:"pooler_hidden_act"`
		Dropout       *float64        `json:"cls_dropout"`
		Kernel        int64           `json:"conv_kernel_size"`
		Groups        int64           `json:"conv_groups"`
		ConvAct       string          `json:"conv_act"`
	}{Eps: 1e-7, Max: -1, Biased: true, PoolerAct: "gelu", Groups: 1, ConvAct: "tanh"}
	if err := cmp.Or(readBERT(data, cfg), plainjson.Unmarshal(data, &keys)); err != nil {
		return err
	}
	cfg.LayerNormEps, cfg.SegmentTypes, cfg.TypeVocabSize, cfg.Placed = keys.Eps, keys.Types, max(1, keys.Types), keys.Biased
	cfg.ClassifierDropout = keys.Dropout
	cfg.Pooler = Pooler{Dropout: keys.PoolerDropout, Act: keys.PoolerAct, Bias: true}
	if err := readActivation("pooler_hidden_act", &cfg.Pooler.Act, "gelu", "gelu_new", "tanh"); err != nil {
		return err
	}
	for _, size := range []struct {
		key        string
		value, all int64
	}{{"embedding_size", keys.EmbeddingSize, cfg.HiddenSize}, {"pooler_hidden_size", keys.PoolerSize, cfg.HiddenSize}, {"attention_head_size", keys.HeadSize, cfg.HeadDim}} {
		if size.value != 0 && size.value != size.all {
			return fmt.Errorf("%s: got %d, want %d: a DeBERTa with other sizes is not computed here", size.key, size.value, size.all)
		}
	}
	if !keys.Relative {
		return errors.New("relative_attention: got false, want true: a DeBERTa without it is not computed here")
	}
	types, err := readPosAttType(keys.AttType)
	if err != nil {
		return err
	}
	r := &Relative{
		Buckets: max(0, keys.Buckets), Max: keys.Max, Shared: keys.Shared, Norm: slices.Contains(splitTypes(keys.Norm), "layer_norm"),
		Keys: slices.Contains(types, "c2p"), Queries: slices.Contains(types, "p2c"), ConvKernel: max(0, keys.Kernel), ConvAct: keys.ConvAct,
	}
	if r.Max < 1 {
		r.Max = cfg.MaxPositionEmbeddings
	}
	r.Span = r.Max
	if r.Buckets > 0 {
		r.Span = r.Buckets
	}
	cfg.Relative = r
	if r.ConvKernel > 0 {
		if err := readActivation("conv_act", &r.ConvAct, "gelu", "gelu_new", "tanh"); err != nil {
			return err
		}
	}
	switch {
	case r.Buckets == 1 || r.Buckets > 0 && r.Max-1 <= r.Buckets/2:
		return fmt.Errorf("position_buckets: got %d, want 2 at least, and less than twice max_relative_positions %d", r.Buckets, r.Max)
	case r.Max > 1<<20 || r.Span > 1<<20:
		return fmt.Errorf("max_relative_positions: got %d, want at most %d", r.Max, 1<<20)
	case keys.Groups != 1 || r.ConvKernel > 0 && r.ConvKernel%2 == 0 || r.ConvKernel > 99:
		return fmt.Errorf("conv_kernel_size and conv_groups: got %d and %d, want an odd number, and 1", r.ConvKernel, keys.Groups)
	}
	return nil
}

// readPosAttType reads pos_att_type: a list, or names with "|" between them.
func readPosAttType(raw json.RawMessage) ([]string, error) {
	var list []string
	var text string
	switch {
	case raw == nil || string(raw) == "null":
	case plainjson.Unmarshal(raw, &list) == nil:
	case plainjson.Unmarshal(raw, &text) == nil:
		list = splitTypes(text)
	default:
		return nil, fmt.Errorf("pos_att_type: got %.40s, want a list of c2p and p2c", raw)
	}
	for _, t := range list {
		if t != "c2p" && t != "p2c" {
			return nil, fmt.Errorf("pos_att_type: got %q, want c2p or p2c", t)
		}
	}
	return list, nil
}

func splitTypes(text string) []string {
	var all []string
	for _, t := range strings.Split(strings.ToLower(text), "|") {
		if t = strings.TrimSpace(t); t != "" {
			all = append(all, t)
		}
	}
	return all
}

// newDebertaV2 builds DeBERTa-v2.
func newDebertaV2(ld *loader, cfg *Config, prefix string) *Transformer {
	c, eps, r := cfg.HiddenSize, cfg.LayerNormEps, cfg.Relative
	embeddings, encoder := prefix+".embeddings.", prefix+".encoder."
	t := &Transformer{config: cfg, padded: true, Embedding: Embedding{Words: ld.param(embeddings+"word_embeddings.weight", cfg.VocabSize, c)}}
	if cfg.Placed {
		t.Embedding.Places = ld.param(embeddings+"position_embeddings.weight", cfg.MaxPositionEmbeddings, c)
	}
	if cfg.SegmentTypes > 0 {
		t.Embedding.Types = ld.param(embeddings+"token_type_embeddings.weight", cfg.SegmentTypes, c)
	}
	t.Embedding.Norm = ld.norm(embeddings+"LayerNorm", c, eps)
	distances := &distances{weight: ld.param(encoder+"rel_embeddings.weight", 2*r.Span, c)}
	if r.Norm {
		distances.norm = ld.norm(encoder+"LayerNorm", c, eps)
	}
	for i := range cfg.NumHiddenLayers {
		t.Blocks = append(t.Blocks, bertBlock(ld, cfg, prefix, i, func(at func(module string, rows int64) Module) Attention {
			return ld.disentangled(cfg, distances, at)
		}))
	}
	if r.ConvKernel > 0 {
		name := encoder + "conv."
		t.beside = &convolution{
			weight: ld.param(name+"conv.weight", c, c, r.ConvKernel), bias: ld.param(name+"conv.bias", c), norm: ld.norm(name+"LayerNorm", c, eps),
			activate: activation(r.ConvAct), config: cfg,
		}
	}
	return t
}

// debertaV2Head makes DeBERTa's head for sequences,
// classifier(dropout(gelu(pooler(dropout(h))))).
func debertaV2Head(ld *loader, cfg Config, labels int64, fresh bool, trained func(name string, shape ...int64) *Param) *Head {
	h := pooled(ld, cfg, fresh, "pooler.dense", true, trained)
	h.InputDropout, h.Activate = cfg.Pooler.Dropout, activation(cfg.Pooler.Act)
	return h.classify(cfg, labels, trained)
}

// convolution is that of DeBERTa-v2 beside its first block:
//
//	Norm(y + activate(dropout(W * x)))
//
// with W over the rows x around each that the block has made y of.
type convolution struct {
	weight   *Param // [C, C, K]
	bias     *Param
	norm     *Norm
	activate func(s *torchbind.Scope, x *torchbind.Tensor) *torchbind.Tensor
	config   *Config
}

// forward maps x [N, C] and y, of all rows or of those that are wanted, to y's shape.
func (c *convolution) forward(s *torchbind.Scope, x, y *torchbind.Tensor, p Pass, rng *DropoutRNG) *torchbind.Tensor {
	b, shape := p.batch, c.weight.Shape
	none := torchbind.ZerosLike(s, torchbind.Narrow(s, x, 0, 0, 1))
	padded := torchbind.Cat(s, []*torchbind.Tensor{x, none}, 0)
	var around []*torchbind.Tensor
	for _, rows := range b.around {
		if p.wanted {
			rows = torchbind.IndexSelect(s, rows, 0, b.Want)
		}
		around = append(around, torchbind.IndexSelect(s, padded, 0, rows))
	}
	flat := torchbind.Reshape(s, torchbind.Transpose(s, c.weight.Value, 1, 2), shape[0], shape[2]*shape[1]) // [C, K·C]
	h := torchbind.Linear(s, torchbind.Cat(s, around, 1), flat, c.bias.Value)
	drop, seed := rng.draw(c.config.HiddenDropout)
	return c.norm.ofSum(s, c.activate(s, torchbind.Dropout(s, h, drop, seed)), y, 0, 0)
}

// neighbours returns, for each of kernel places around a row, the row that is there
// of the same sequence, or rows where none is: so many lists of rows numbers.
func neighbours(offsets []int64, rows int, kernel int64) [][]int64 {
	all := make([][]int64, kernel)
	for k := range all {
		all[k] = slices.Repeat([]int64{int64(rows)}, rows)
		for i, from := range offsets[:len(offsets)-1] {
			for row := from; row < offsets[i+1]; row++ {
				if at := row + int64(k) - kernel/2; at >= from && at < offsets[i+1] {
					all[k][row] = at
				}
			}
		}
	}
	return all
}

// bucket returns the embedding of a distance from a key to a query, as transformers
// computes it (make_log_bucket_position), in float32.
func (r *Relative) bucket(distance int64) int64 {
	mid := r.Buckets / 2
	if r.Buckets > 0 && (distance > mid || distance < -mid) {
		far := float32(max(distance, -distance)) / float32(mid)
		scale := log32(float32(r.Max-1) / float32(mid))
		steps := int64(math.Ceil(float64(log32(far)/scale*float32(mid-1)))) + mid
		if distance < 0 {
			steps = -steps
		}
		distance = steps
	}
	return min(max(distance+r.Span, 0), 2*r.Span-1)
}

func log32(x float32) float32 { return float32(math.Log(float64(x))) }
