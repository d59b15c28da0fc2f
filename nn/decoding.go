package nn

import (
	"fmt"
	"slices"

	"autolora/data"
	"autolora/torchbind"
)

// Decoding is a language model at the writing of texts. Each row is a text: a
// prompt, and the tokens that were chosen for it; several rows may have one
// prompt, and what they share is computed and kept once. It is to be closed.
type Decoding struct {
	model *Model
	cache KVCache
	rows  [][]int64 // where the tokens of each text lie in the cache
	// tokens are those in the cache, by their places.
	tokens []int64
}

// Decode reads prompts, of at least one token each, and returns the scores
// [B, V] of the tokens that may follow them. Rows are the prompts, in order.
// It is to be called in InferenceMode, and so is Step.
func (m *Model) Decode(s *torchbind.Scope, prompts [][]int64) (_ *Decoding, scores *torchbind.Tensor, err error) {
	if m.Output != CausalLM {
		return nil, nil, fmt.Errorf("model_type %q does not generate text", m.ModelType)
	}
	d := &Decoding{model: m}
	defer func() {
		if scores == nil { // an error, or a panic of an operation
			d.Close()
		}
	}()
	var seqs data.Batch
	for _, p := range prompts {
		row := make([]int64, len(p))
		for i := range p {
			row[i] = int64(len(seqs.IDs) + i)
		}
		d.rows = append(d.rows, row)
		seqs.IDs = append(seqs.IDs, p...)
		seqs.Lengths = append(seqs.Lengths, len(p))
		seqs.Want, seqs.WantPer = append(seqs.Want, int64(len(seqs.IDs))-1), append(seqs.WantPer, 1)
	}
	seqs.Segments = make([]int64, len(seqs.IDs))
	b, err := m.NewBatch(s, &seqs)
	if err != nil {
		return nil, nil, err
	}
	scores = m.logits(s, b, &d.cache, nil)
	d.cache.size, d.tokens = int64(len(seqs.IDs)), seqs.IDs
	return d, scores, nil
}

// Close frees the memory.
func (d *Decoding) Close() { d.cache.Close() }

// Len returns the number of tokens of a row.
func (d *Decoding) Len(row int) int { return len(d.rows[row]) }

// Step makes new rows: row i is row from[i] of now with tokens[i] after it. It
// returns the scores [len(tokens), V] of the tokens that may follow.
func (d *Decoding) Step(s *torchbind.Scope, from []int, tokens []int64) (*torchbind.Tensor, error) {
	m, n := d.model, int64(len(from))
	rows, positions := make([][]int64, n), make([]int64, n)
	longest, rotaries := 0, m.Body.rotaries()
	each := make([]int64, 1, n+1)
	for i, f := range from {
		old := d.rows[f]
		if int64(len(old)) >= m.MaxTokens() {
			return nil, fmt.Errorf("a text of %d tokens cannot go on: %w", len(old), ErrPositions)
		}
		if slices.ContainsFunc(rotaries, func(r *rotary) bool { return r.rope.jumps(int64(len(old)) + 1) }) {
			return d.again(s, from, tokens)
		}
		positions[i] = m.firstPosition() + int64(len(old))
		rows[i] = append(old[:len(old):len(old)], d.cache.size+int64(i))
		longest = max(longest, len(rows[i]))
		each = append(each, int64(i+1))
	}
	b := &Batch{
		IDs: indices(s, tokens, m.device), Positions: indices(s, positions, m.device), Offsets: indices(s, each, torchbind.CPU),
		Tokens: len(from), Wanted: len(from),
	}
	lengths := make([]int64, n)
	for i, row := range rows {
		lengths[i] = int64(len(row))
	}
	b.frequencies = m.Body.frequenciesOf(s, lengths, m.device)
	d.cache.views = nil
	for _, window := range m.Body.windows() {
		var places []int64
		offsets, most := make([]int64, 1, n+1), longest
		if window > 0 {
			most = min(longest, int(window))
		}
		for _, row := range rows {
			places = append(places, row[max(0, len(row)-most):]...)
			offsets = append(offsets, int64(len(places)))
		}
		v := view{window, indices(s, places, m.device), indices(s, offsets, torchbind.CPU)}
		d.cache.views = append(d.cache.views, v)
		r := look{offsets: b.Offsets, keys: v.offsets, window: window}
		if m.device != torchbind.CPU {
			r.plan = torchbind.NewAttentionPlan(s, b.Offsets, v.offsets, torchbind.PlanConfig{
				Window: window, Rows: n, QueryLength: 1, KeyLength: roundLength(int64(most)), DType: m.dtype, Device: m.device,
			})
		}
		b.sights = append(b.sights, sight{window: window, all: r})
	}
	scores := m.logits(s, b, &d.cache, nil)
	d.rows, d.cache.size, d.tokens = rows, d.cache.size+n, append(d.tokens, tokens...)
	return scores, nil
}

// again is Step by reading the new texts from their starts.
func (d *Decoding) again(s *torchbind.Scope, from []int, tokens []int64) (*torchbind.Tensor, error) {
	texts := make([][]int64, len(from))
	for i, f := range from {
		for _, place := range d.rows[f] {
			texts[i] = append(texts[i], d.tokens[place])
		}
		texts[i] = append(texts[i], tokens[i])
	}
	read, scores, err := d.model.Decode(s, texts)
	if err != nil {
		return nil, err
	}
	d.Close()
	*d = *read
	return scores, nil
}
