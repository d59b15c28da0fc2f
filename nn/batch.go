package nn

import (
	"fmt"

	"autolora/torchbind"
)

// Sequences is a packed batch as plain slices, as package data makes it.
type Sequences struct {
	IDs      []int64 // [N] token ids of all sequences, one after the other
	Segments []int64 // [N] token_type_ids
	Lengths  []int   // [B] tokens of each sequence
	// Want [M] are the rows of the batch that the head reads, in ascending order,
	// and WantPer [B] how many of them belong to each sequence. Both nil mean the
	// first token of each sequence.
	Want    []int64
	WantPer []int
}

// wanted returns the rows that the head reads [M], and which of them belong to
// which sequence [B+1]: those from at[i] to at[i+1]. offsets [B+1] says the
// same of all rows.
func (q Sequences) wanted(offsets []int64) (rows, at []int64, err error) {
	b := len(q.Lengths)
	at = make([]int64, 1, b+1)
	if q.Want == nil && q.WantPer == nil {
		for i := range b {
			at = append(at, int64(i+1))
		}
		return offsets[:b], at, nil
	}
	if len(q.WantPer) != b || len(q.Want) == 0 {
		return nil, nil, fmt.Errorf("batch of %d sequences wants %d rows of %d sequences", b, len(q.Want), len(q.WantPer))
	}
	rest := q.Want
	for i, n := range q.WantPer {
		if n < 0 || n > len(rest) {
			return nil, nil, fmt.Errorf("sequence %d of the batch wants %d rows, and %d are left", i, n, len(rest))
		}
		least := offsets[i]
		for _, row := range rest[:n] {
			if row < least || row >= offsets[i+1] {
				return nil, nil, fmt.Errorf("sequence %d of the batch wants row %d, want its rows %d to %d in ascending order", i, row, offsets[i], offsets[i+1]-1)
			}
			least = row + 1
		}
		rest = rest[n:]
		at = append(at, at[i]+int64(n))
	}
	if len(rest) > 0 {
		return nil, nil, fmt.Errorf("batch wants %d rows more than its sequences do", len(rest))
	}
	return q.Want, at, nil
}

// Batch is a packed batch of B sequences with N tokens on a device.
type Batch struct {
	IDs       *torchbind.Tensor // [N] int64
	Segments  *torchbind.Tensor // [N] int64
	Positions *torchbind.Tensor // [N] int64
	Offsets   *torchbind.Tensor // [B+1] int64 on the CPU: where each sequence begins, then N
	Want      *torchbind.Tensor // [M] int64: the rows that the head reads
	WantAt    *torchbind.Tensor // [B+1] int64 on the CPU: Offsets of the rows Want
	// Visible [N] and WantVisible [M] (int64, on the CPU) say how many tokens of its
	// sequence each row sees, itself the last; nil in an encoder, where it sees all.
	Visible, WantVisible *torchbind.Tensor
	Tokens               int
}

// NewBatch checks seqs against the model's vocabulary and positions and copies
// them to the model's device.
func (m *Model) NewBatch(s *torchbind.Scope, seqs Sequences) (*Batch, error) {
	n, b := len(seqs.IDs), len(seqs.Lengths)
	positions := make([]int64, 0, n)
	offsets := make([]int64, 1, b+1)
	for i, length := range seqs.Lengths {
		if length < 1 || int64(length) > m.MaxTokens() {
			return nil, fmt.Errorf("sequence %d of the batch has %d tokens, want 1 to %d (the model's positions): lower --max-length", i, length, m.MaxTokens())
		}
		for p := range length {
			positions = append(positions, m.firstPosition()+int64(p))
		}
		offsets = append(offsets, int64(len(positions)))
	}
	if len(positions) != n || len(seqs.Segments) != n || b == 0 {
		return nil, fmt.Errorf("batch of %d sequences has %d tokens and %d segments, want %d of both", b, n, len(seqs.Segments), len(positions))
	}
	for i, id := range seqs.IDs {
		if id < 0 || id >= m.VocabSize {
			return nil, fmt.Errorf("token id %d is not in the model's vocabulary of %d: the tokenizer belongs to another model", id, m.VocabSize)
		}
		if seg := seqs.Segments[i]; seg < 0 || seg >= m.TypeVocabSize {
			return nil, fmt.Errorf("segment id %d, want less than type_vocab_size %d: the tokenizer belongs to another model", seg, m.TypeVocabSize)
		}
	}
	want, wantAt, err := seqs.wanted(offsets)
	if err != nil {
		return nil, err
	}
	row := func(data []int64, device torchbind.Device) *torchbind.Tensor {
		return torchbind.FromSlice(s, data, []int64{int64(len(data))}, device)
	}
	batch := &Batch{
		IDs:       row(seqs.IDs, m.device),
		Segments:  row(seqs.Segments, m.device),
		Positions: row(positions, m.device),
		Offsets:   row(offsets, torchbind.CPU),
		Want:      row(want, m.device),
		WantAt:    row(wantAt, torchbind.CPU),
		Tokens:    n,
	}
	if m.Output == CausalLM {
		visible, wantVisible := make([]int64, n), make([]int64, len(want))
		for i, p := range positions {
			visible[i] = p + 1
		}
		for i, w := range want {
			wantVisible[i] = visible[w]
		}
		batch.Visible, batch.WantVisible = row(visible, torchbind.CPU), row(wantVisible, torchbind.CPU)
	}
	return batch, nil
}

// Masks draws the seeds of dropout masks. Its state is one number, so that a
// computation can be repeated with the same masks: copy it and use the copy.
// A nil *Masks means evaluation: no dropout.
type Masks struct{ State uint64 }

// next returns the seed of the next mask (splitmix64).
func (m *Masks) next() uint64 {
	m.State += 0x9e3779b97f4a7c15
	z := m.State
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// draw returns the probability and seed for one dropout: 0, 0 in evaluation.
func (m *Masks) draw(p float64) (float64, uint64) {
	if m == nil || p == 0 {
		return 0, 0
	}
	return p, m.next()
}
