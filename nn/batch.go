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
}

// Batch is a packed batch of B sequences with N tokens on a device.
type Batch struct {
	IDs       *torchbind.Tensor // [N] int64
	Segments  *torchbind.Tensor // [N] int64
	Positions *torchbind.Tensor // [N] int64
	Offsets   *torchbind.Tensor // [B+1] int64 on the CPU: where each sequence begins, then N
	First     *torchbind.Tensor // [B] int64: row of each sequence's first token
	FirstAt   *torchbind.Tensor // [B+1] int64 on the CPU: 0 to B, Offsets of the rows First
	Tokens    int
}

// NewBatch checks seqs against the model's vocabulary and positions and copies
// them to the model's device.
func (m *Classifier) NewBatch(s *torchbind.Scope, seqs Sequences) (*Batch, error) {
	n, b := len(seqs.IDs), len(seqs.Lengths)
	positions := make([]int64, 0, n)
	offsets := make([]int64, 1, b+1)
	firstAt := make([]int64, 1, b+1)
	for i, length := range seqs.Lengths {
		if length < 1 || int64(length) > m.MaxTokens() {
			return nil, fmt.Errorf("sequence %d of the batch has %d tokens, want 1 to %d (the model's positions): lower --max-length", i, length, m.MaxTokens())
		}
		for p := range length {
			positions = append(positions, m.firstPosition()+int64(p))
		}
		offsets = append(offsets, int64(len(positions)))
		firstAt = append(firstAt, int64(i+1))
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
	row := func(data []int64, device torchbind.Device) *torchbind.Tensor {
		return torchbind.FromSlice(s, data, []int64{int64(len(data))}, device)
	}
	return &Batch{
		IDs:       row(seqs.IDs, m.device),
		Segments:  row(seqs.Segments, m.device),
		Positions: row(positions, m.device),
		Offsets:   row(offsets, torchbind.CPU),
		First:     row(offsets[:b], m.device),
		FirstAt:   row(firstAt, torchbind.CPU),
		Tokens:    n,
	}, nil
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
