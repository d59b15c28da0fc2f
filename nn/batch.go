package nn

import (
	"errors"
	"fmt"
	"slices"

	"autolora/data"
	"autolora/torchbind"
)

// wanted returns the rows that the head reads [M], of sequences that begin at offsets
// [B+1]. Where the batch wants none, each sequence has one.
func (c Config) wanted(q *data.Batch, offsets []int64) (rows []int64, err error) {
	b := q.Len()
	if q.Want == nil && q.WantPer == nil {
		for i := range b {
			rows = append(rows, c.summary(q.IDs, offsets[i], offsets[i+1]))
		}
		return rows, nil
	}
	if len(q.WantPer) != b || len(q.Want) == 0 {
		return nil, fmt.Errorf("batch of %d sequences wants %d rows of %d sequences", b, len(q.Want), len(q.WantPer))
	}
	rest := q.Want
	for i, n := range q.WantPer {
		if n < 0 || n > len(rest) {
			return nil, fmt.Errorf("sequence %d of the batch wants %d rows, and %d are left", i, n, len(rest))
		}
		least := offsets[i]
		for _, row := range rest[:n] {
			if row < least || row >= offsets[i+1] {
				return nil, fmt.Errorf("sequence %d of the batch wants row %d, want its rows %d to %d in ascending order", i, row, offsets[i], offsets[i+1]-1)
			}
			least = row + 1
		}
		rest = rest[n:]
	}
	if len(rest) > 0 {
		return nil, fmt.Errorf("batch wants %d rows more than its sequences do", len(rest))
	}
	return q.Want, nil
}

// summary returns the row of a sequence, from one row to another, that stands for it
// all: the first, or in a decoder, where that sees itself alone, the last. As in
// transformers (GenericForSequenceClassification) no padding is that, also where it
// is a token of the text: many tokenizers pad with the one that ends texts.
func (c Config) summary(ids []int64, from, to int64) int64 {
	if !c.Generates() {
		return from
	}
	for row := to - 1; row >= from; row-- {
		if c.Padding == nil || ids[row] != *c.Padding {
			return row
		}
	}
	return from
}

// Batch is a packed batch of B sequences with N tokens on a device. Where the
// model rounds (LoadConfig.Round), N and M are rounded up: the last rows belong to
// no sequence, and nothing of another row, nor its gradient, depends on them.
type Batch struct {
	IDs            *torchbind.Tensor // [N] int64
	Segments       *torchbind.Tensor // [N] int64
	Positions      *torchbind.Tensor // [N] int64
	Offsets        *torchbind.Tensor // [B+1] int64 on the CPU: where each sequence begins, then Tokens
	Want           *torchbind.Tensor // [M] int64: the rows that the head reads
	Tokens, Wanted int               // of the sequences: N and M where nothing is rounded

	sights      []sight             // for each window of attention
	means       *torchbind.Tensor   // [M, N]: takes the mean of each sequence; nil: its rows Want are read
	reach       *reach              // of DeBERTa; else nil
	around      []*torchbind.Tensor // [N] int64 of each place around a row: the row there, or N; of a convolution
	frequencies []*torchbind.Tensor // of rotary embeddings by the length of the text
	twice       bool
}

// Twice returns b for a loss that will be differentiated twice: what only has
// first derivatives is not used in it.
func (b *Batch) Twice() *Batch {
	twice := *b
	twice.twice = true
	return &twice
}

// Tensors returns what Forward reads of the batch on the model's device, in a
// fixed order. Two batches for which their shapes are the same take the same
// operations.
func (b *Batch) Tensors() []*torchbind.Tensor {
	all := []*torchbind.Tensor{b.IDs, b.Segments, b.Positions, b.Want}
	if b.means != nil {
		all = append(all, b.means)
	}
	if b.reach != nil {
		all = append(all, b.reach.up, b.reach.down)
	}
	all = append(append(all, b.around...), b.frequencies...)
	for _, g := range b.sights {
		all = append(append(all, g.all.tensors()...), g.want.tensors()...)
	}
	return all
}

// Clone returns a copy of the batch whose Tensors are in s.
func (b *Batch) Clone(s *torchbind.Scope) *Batch {
	c := *b
	for _, t := range []**torchbind.Tensor{&c.IDs, &c.Segments, &c.Positions, &c.Want} {
		*t = torchbind.Clone(s, *t)
	}
	if b.means != nil {
		c.means = torchbind.Clone(s, b.means)
	}
	if b.reach != nil {
		c.reach = &reach{b.reach.first, b.reach.rows, torchbind.Clone(s, b.reach.up), torchbind.Clone(s, b.reach.down)}
	}
	c.around = slices.Clone(b.around)
	for i, rows := range b.around {
		c.around[i] = torchbind.Clone(s, rows)
	}
	c.frequencies = slices.Clone(b.frequencies)
	for i, f := range b.frequencies {
		c.frequencies[i] = torchbind.Clone(s, f)
	}
	c.sights = slices.Clone(b.sights)
	for i, g := range b.sights {
		c.sights[i].all, c.sights[i].want = g.all.clone(s), g.want.clone(s)
	}
	return &c
}

// IgnoredLabel is the label of a row that counts for nothing in a loss.
const IgnoredLabel = -100

// Labels returns the classes of the rows that b wants, [M] int64 on the device, or as
// many for each row as classes has: those beyond are IgnoredLabel.
func (b *Batch) Labels(s *torchbind.Scope, classes []int64) *torchbind.Tensor {
	rows := int(b.Want.Size(0)) * max(1, len(classes)/b.Wanted)
	all := slices.Concat(classes, slices.Repeat([]int64{IgnoredLabel}, rows-len(classes)))
	return torchbind.FromSlice(s, all, []int64{int64(rows)}, b.Want.Device())
}

// roundUp returns the next of a few sizes from n on, eight an octave and at least
// 16 apart: batches of near sizes then have one, for a tenth more rows at most.
func roundUp(n int) int {
	step := 16
	for 16*step <= n {
		step *= 2
	}
	return (n + step - 1) / step * step
}

// roundLength returns the length to which sequences of at most n tokens are padded
// in attention: a multiple of what PyTorch's memory-efficient kernel wants of a
// mask's rows.
func roundLength(n int64) int64 { return (n + 7) / 8 * 8 }

// ErrPositions is matched, with errors.Is, by errors about texts that are longer
// than the model's positions allow.
var ErrPositions = errors.New("the model has positions for no more")

// indices returns data as a tensor of one dimension.
func indices(s *torchbind.Scope, data []int64, device torchbind.Device) *torchbind.Tensor {
	return torchbind.FromSlice(s, data, []int64{int64(len(data))}, device)
}

// places checks seqs against the model's vocabulary and positions, and returns where each
// of them begins, offsets [B+1], and the position of every token [N].
func (m *Model) places(seqs *data.Batch) (offsets, positions []int64, err error) {
	n, b := len(seqs.IDs), len(seqs.Lengths)
	positions = make([]int64, 0, n)
	offsets = make([]int64, 1, b+1)
	for i, length := range seqs.Lengths {
		if length < 1 || int64(length) > m.MaxTokens() {
			return nil, nil, fmt.Errorf("sequence %d of the batch has %d tokens, want 1 to %d: %w", i, length, m.MaxTokens(), ErrPositions)
		}
		next := m.firstPosition()
		for _, id := range seqs.IDs[min(len(positions), n):min(len(positions)+length, n)] {
			if m.family.positionOffset && id == m.PadTokenID { // written in a text, it is at its own place and counts for none
				positions = append(positions, m.PadTokenID)
				continue
			}
			positions = append(positions, next)
			next++
		}
		offsets = append(offsets, offsets[i]+int64(length))
	}
	if offsets[b] != int64(n) || len(seqs.Segments) != n || b == 0 {
		return nil, nil, fmt.Errorf("batch of %d sequences has %d tokens and %d segments, want %d of both", b, n, len(seqs.Segments), offsets[b])
	}
	for i, id := range seqs.IDs {
		if id < 0 || id >= m.VocabSize {
			return nil, nil, fmt.Errorf("token id %d is not in the model's vocabulary of %d: the tokenizer belongs to another model", id, m.VocabSize)
		}
		if seg := seqs.Segments[i]; m.Body.Embedding.Types != nil && (seg < 0 || seg >= m.TypeVocabSize) {
			return nil, nil, fmt.Errorf("segment id %d, want less than type_vocab_size %d: the tokenizer belongs to another model", seg, m.TypeVocabSize)
		}
	}
	return offsets, positions, nil
}

// NewBatch checks seqs and copies them to the model's device.
func (m *Model) NewBatch(s *torchbind.Scope, seqs *data.Batch) (*Batch, error) {
	offsets, positions, err := m.places(seqs)
	if err != nil {
		return nil, err
	}
	want, err := m.wanted(seqs, offsets)
	if err != nil {
		return nil, err
	}
	// filled returns data on the model's device, with a valid value for the rows that fill up.
	filled := func(data []int64, rows int, value int64) *torchbind.Tensor {
		return indices(s, slices.Concat(data, slices.Repeat([]int64{value}, rows-len(data))), m.device)
	}
	n, wanted := len(seqs.IDs), len(want)
	rows := n
	if m.round {
		rows = roundUp(n)
		if seqs.Want != nil { // else it is B
			wanted = roundUp(wanted)
		}
	}
	batch := &Batch{
		IDs:       filled(seqs.IDs, rows, 0),
		Segments:  filled(seqs.Segments, rows, 0),
		Positions: filled(positions, rows, m.firstPosition()),
		Offsets:   indices(s, offsets, torchbind.CPU),
		Want:      filled(want, wanted, 0),
		Tokens:    n,
		Wanted:    len(want),
	}
	if m.Pooler.Mean && seqs.Want == nil && m.Output != TokenClassification {
		means := make([]float64, wanted*rows)
		for i, length := range seqs.Lengths {
			for row := offsets[i]; row < offsets[i+1]; row++ {
				means[i*rows+int(row)] = 1 / float64(length)
			}
		}
		batch.means = torchbind.To(s, torchbind.FromSlice(s, means, []int64{int64(wanted), int64(rows)}, torchbind.CPU), m.dtype, m.device)
	}
	texts := make([]int64, 0, rows) // of each row, how many tokens its text has
	for _, length := range seqs.Lengths {
		texts = append(texts, slices.Repeat([]int64{int64(length)}, length)...)
	}
	batch.frequencies = m.Body.frequenciesOf(s, texts[:rows], m.device)
	for _, window := range m.Body.windows() {
		batch.sights = append(batch.sights, m.sight(s, batch, window, offsets, want))
	}
	if r := m.Relative; r != nil {
		batch.reach = r.reach(s, batch.sights[0].all.plan.Mask.Size(3), m.device)
		if r.ConvKernel > 0 {
			for _, list := range neighbours(offsets, rows, r.ConvKernel) {
				batch.around = append(batch.around, indices(s, list, m.device))
			}
		}
	}
	return batch, nil
}
