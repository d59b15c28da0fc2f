package nn

import (
	"fmt"

	"autolora/torchbind"
)

// Decoding is a language model at the writing of texts. Each row is a text: a
// prompt, and the tokens that were chosen for it; several rows may have one
// prompt, and what they share is computed and kept once. It is to be closed.
type Decoding struct {
	model *Model
	body  *Decoder
	memos []*memo // of every layer
	rows  []row
	size  int64 // rows of the memos that are in use
}

// row is a text: where the keys and values of its tokens lie in the memos.
type row struct{ places []int64 }

// memo has the keys and values [≥ size, 2G·D] of all tokens of all texts at a
// layer, in the order in which they were read.
type memo struct {
	scope *torchbind.Scope // of kv
	kv    *torchbind.Tensor
}

// Decode reads prompts, of at least one token each, and returns the scores
// [B, V] of the tokens that may follow them. Rows are the prompts, in order.
// It is to be called in InferenceMode, and so is Step.
func (m *Model) Decode(s *torchbind.Scope, prompts [][]int64) (_ *Decoding, scores *torchbind.Tensor, err error) {
	body, ok := m.Body.(*Decoder)
	if !ok {
		return nil, nil, fmt.Errorf("model_type %q does not generate text", m.ModelType)
	}
	d := &Decoding{model: m, body: body}
	defer func() {
		if scores == nil { // an error, or a panic of an operation
			d.Close()
		}
	}()
	var seqs Sequences
	for _, p := range prompts {
		at := int64(len(seqs.IDs))
		var r row
		for i := range p {
			r.places = append(r.places, at+int64(i))
		}
		d.rows = append(d.rows, r)
		seqs.IDs = append(seqs.IDs, p...)
		seqs.Lengths = append(seqs.Lengths, len(p))
		seqs.Want, seqs.WantPer = append(seqs.Want, at+int64(len(p))-1), append(seqs.WantPer, 1)
	}
	seqs.Segments = make([]int64, len(seqs.IDs))
	b, err := m.NewBatch(s, seqs)
	if err != nil {
		return nil, nil, err
	}
	scores = s.Tidy(func(s *torchbind.Scope) *torchbind.Tensor {
		h := forward(s, body.keeping(s, b, func(_ int, kv *torchbind.Tensor) {
			scope := torchbind.NewScope()
			d.memos = append(d.memos, &memo{scope, torchbind.Contiguous(scope, kv)})
		}), nil)
		return m.scores(s, torchbind.Narrow(s, h, 0, 0, int64(b.Wanted)), nil)
	})
	d.size = int64(len(seqs.IDs))
	return d, scores, nil
}

// Close frees the memory.
func (d *Decoding) Close() {
	for _, m := range d.memos {
		m.scope.Close()
	}
}

// Len returns the number of tokens of a row.
func (d *Decoding) Len(row int) int { return len(d.rows[row].places) }

// Step makes new rows: row i is row from[i] of now with tokens[i] after it. It
// returns the scores [len(tokens), V] of the tokens that may follow.
func (d *Decoding) Step(s *torchbind.Scope, from []int, tokens []int64) (*torchbind.Tensor, error) {
	rows, n := make([]row, len(from)), int64(len(from))
	positions := make([]int64, n)
	var places []int64
	offsets, each := make([]int64, 1, n+1), make([]int64, 1, n+1)
	for i, f := range from {
		old := d.rows[f].places
		if int64(len(old)) >= d.model.MaxTokens() {
			return nil, fmt.Errorf("a text of %d tokens is as long as the model's positions allow: lower --max-length or --max-new-tokens", len(old))
		}
		positions[i] = d.model.firstPosition() + int64(len(old))
		rows[i].places = append(old[:len(old):len(old)], d.size+int64(i))
		places = append(places, rows[i].places...)
		offsets, each = append(offsets, int64(len(places))), append(each, int64(i+1))
	}
	device := d.model.device
	tensor := func(data []int64, device torchbind.Device) *torchbind.Tensor {
		return torchbind.FromSlice(s, data, []int64{int64(len(data))}, device)
	}
	at := tensor(positions, device)
	t := step{
		places: tensor(places, device), offsets: tensor(offsets, torchbind.CPU), each: tensor(each, torchbind.CPU),
		rotation: d.body.rotation(s, at),
	}
	if device != torchbind.CPU {
		longest := int64(0)
		for _, r := range rows {
			longest = max(longest, int64(len(r.places)))
		}
		t.plan = torchbind.NewAttentionPlan(s, t.each, t.offsets, torchbind.PlanConfig{
			Window: d.body.SlidingWindow, Rows: n, QueryLength: 1, KeyLength: roundLength(longest), DType: d.model.dtype, Device: device,
		})
	}
	x := d.body.embed(s, tensor(tokens, device), at, nil)
	for i, layer := range d.body.Layers {
		x = s.Tidy(func(s *torchbind.Scope) *torchbind.Tensor { return d.block(s, layer, d.memos[i], x, t) })
	}
	d.rows, d.size = rows, d.size+n
	return d.model.scores(s, d.body.Norm.Forward(s, x), nil), nil
}

// step is what the layers of a Step share.
type step struct {
	places        *torchbind.Tensor // [Σ tokens of the rows] rows of the memos
	offsets, each *torchbind.Tensor // [n+1] where each of the n rows' begin; 0 to n
	rotation      *rotation
	plan          *torchbind.AttentionPlan // of each against places; nil on the CPU
}

// block maps x [n, C] to [n, C] through a layer, and adds to its memo.
func (d *Decoding) block(s *torchbind.Scope, l *DecoderLayer, m *memo, x *torchbind.Tensor, t step) *torchbind.Tensor {
	h := l.AttentionNorm.Forward(s, x)
	var q, kv *torchbind.Tensor
	if l.QKV != nil {
		q, kv = d.body.split(s, t.rotation.apply(s, l.QKV.Forward(s, h, nil), d.body.NumAttentionHeads+d.body.NumKeyValueHeads))
	} else {
		q = t.rotation.apply(s, l.Query.Forward(s, h, nil), d.body.NumAttentionHeads)
		kv = t.rotation.apply(s, l.KeyValue.Forward(s, h, nil), d.body.NumKeyValueHeads)
	}
	d.append(s, m, kv)
	seen := torchbind.IndexSelect(s, m.kv, 0, t.places)
	context := torchbind.CrossAttention(s, q, seen, t.each, t.offsets, d.body.attention(nil, t.plan, false, nil))
	return d.body.feedForward(s, l, x, context, nil)
}

// append adds kv [n, 2G·D] to a memo, which grows by doubling.
func (d *Decoding) append(s *torchbind.Scope, m *memo, kv *torchbind.Tensor) {
	if need := d.size + kv.Size(0); need > m.kv.Size(0) {
		scope := torchbind.NewScope()
		larger := torchbind.Empty(scope, []int64{max(need, 2*m.kv.Size(0)), kv.Size(1)}, kv.DType(), kv.Device())
		torchbind.Narrow(s, larger, 0, 0, d.size).CopyInPlace(torchbind.Narrow(s, m.kv, 0, 0, d.size))
		m.scope.Close()
		m.scope, m.kv = scope, larger
	}
	torchbind.Narrow(s, m.kv, 0, d.size, kv.Size(0)).CopyInPlace(kv)
}
