package data

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"
)

// Encoded is the token form of one example.
type Encoded struct {
	IDs      []int64 // token ids, special tokens included
	Segments []int64 // segment (token type) of each token, 0 to 255; nil means 0 for all
	First    []int   // [words] place of the first token of each word of a sentence; nil for texts
	Prompt   int     // in generation the number of tokens before those of the target, at least 1; 0 in the other kinds
}

// Encoder turns an example into tokens. Encode is called from several goroutines at once.
type Encoder interface {
	Encode(ex Example) (Encoded, error)
}

// Corpus is a data set with its tokens. Each example is encoded once, when it is first needed, and kept.
// All methods may be called from several goroutines.
type Corpus struct {
	Data    *Dataset
	encoder Encoder
	entries []entry // [len(Data.Examples)]
}

// entry keeps an encoding in 4 to 5 bytes a token where Encoded takes 16: MNLI is 16 million tokens.
type entry struct {
	once     sync.Once
	ids      []int32
	segments []uint8 // nil: all 0
	first    []int32 // nil for texts
	prompt   int32   // 0 but in generation
	err      error
}

// NewCorpus joins a data set and the encoder for it. Nothing is encoded yet.
func NewCorpus(d *Dataset, enc Encoder) *Corpus {
	return &Corpus{Data: d, encoder: enc, entries: make([]entry, len(d.Examples))}
}

// Length is the number of tokens that a model is given of example i: in generation those of the prompt, and of
// the target all but the last, from which nothing is predicted. The error names the example's file and line.
func (c *Corpus) Length(i int) (int, error) {
	e, err := c.entry(i)
	if err != nil {
		return 0, err
	}
	return len(e.input()), nil
}

// IDs returns the tokens that a model is given of example i. The error names the example's file and line.
func (c *Corpus) IDs(i int) ([]int64, error) {
	e, err := c.entry(i)
	if err != nil {
		return nil, err
	}
	var ids []int64
	for _, id := range e.input() {
		ids = append(ids, int64(id))
	}
	return ids, nil
}

// input is the ids that a model is given.
func (e *entry) input() []int32 {
	if e.prompt == 0 || int(e.prompt) == len(e.ids) {
		return e.ids
	}
	return e.ids[:len(e.ids)-1]
}

// Tokens is the sum of the lengths of all examples. The error names the example's file and line.
func (c *Corpus) Tokens() (int64, error) {
	total := int64(0)
	for i := range c.entries {
		n, err := c.Length(i)
		if err != nil {
			return 0, err
		}
		total += int64(n)
	}
	return total, nil
}

// EncodeAll encodes what is not encoded yet with the given number of goroutines (at least 1). The error is
// that of the first bad example in the order of the data set, or the context's.
func (c *Corpus) EncodeAll(ctx context.Context, workers int) error {
	// Examples are handed out in order, so once one fails all before it have been handed out too: letting
	// those finish makes the error the same in every run.
	var next atomic.Int64
	var failed atomic.Bool
	var wg sync.WaitGroup
	for range max(workers, 1) {
		wg.Go(func() {
			for ctx.Err() == nil && !failed.Load() {
				i := int(next.Add(1)) - 1
				if i >= len(c.entries) {
					return
				}
				if _, err := c.entry(i); err != nil {
					failed.Store(true)
				}
			}
		})
	}
	wg.Wait()
	if err := ctx.Err(); err != nil {
		return err
	}
	if !failed.Load() {
		return nil
	}
	for i := range c.entries[:min(int(next.Load()), len(c.entries))] {
		if err := c.entries[i].err; err != nil {
			return err
		}
	}
	return nil
}

func (c *Corpus) entry(i int) (*entry, error) {
	e := &c.entries[i]
	e.once.Do(func() {
		ex := c.Data.Examples[i]
		enc, err := c.encoder.Encode(ex)
		if err == nil {
			err = e.store(enc, ex, c.Data.Kind)
		}
		if err != nil {
			e.err = fmt.Errorf("%s: %w", ex.Where(), err)
		}
	})
	return e, e.err
}

// store keeps the encoding of an example.
func (e *entry) store(enc Encoded, ex Example, kind Kind) error {
	if len(enc.IDs) == 0 {
		return errors.New("the tokenizer gave no tokens: want at least one a text")
	}
	if enc.Segments != nil && len(enc.Segments) != len(enc.IDs) {
		return fmt.Errorf("the tokenizer gave %d segments for %d tokens", len(enc.Segments), len(enc.IDs))
	}
	ids, err := narrow[int32](enc.IDs, "token id", math.MaxInt32)
	if err != nil {
		return err
	}
	segments, err := narrow[uint8](enc.Segments, "segment", math.MaxUint8)
	if err != nil {
		return err
	}
	if len(segments) > 0 && slices.Max(segments) == 0 {
		segments = nil
	}
	words := len(ex.Words)
	if len(enc.First) != words {
		return fmt.Errorf("the tokenizer gave tokens for %d words: want %d", len(enc.First), words)
	}
	switch prompt := enc.Prompt; {
	case kind != Generation && prompt != 0:
		return fmt.Errorf("the tokenizer gave a prompt of %d tokens: want none in a %s", prompt, kind)
	case kind == Generation && (prompt < 1 || prompt > len(ids)):
		return fmt.Errorf("the tokenizer gave a prompt of %d tokens: want 1 to %d", prompt, len(ids))
	case kind == Generation && (prompt < len(ids)) != (ex.Target != ""):
		return fmt.Errorf("the tokenizer gave %d tokens for the target %s", len(ids)-prompt, shorten(ex.Target))
	}
	first := make([]int32, words)
	for k, at := range enc.First {
		if at < 0 || at >= len(ids) || k > 0 && at <= enc.First[k-1] {
			return fmt.Errorf("the tokenizer gave token %d of %d as the first of word %d", at, len(ids), k+1)
		}
		first[k] = int32(at)
	}
	e.ids, e.segments, e.first, e.prompt = ids, segments, first, int32(enc.Prompt)
	return nil
}

// narrow puts numbers into fewer bytes, in which the largest is most.
func narrow[T int32 | uint8](numbers []int64, what string, most int64) ([]T, error) {
	if numbers == nil {
		return nil, nil
	}
	small := make([]T, len(numbers))
	for i, v := range numbers {
		if v < 0 || v > most {
			return nil, fmt.Errorf("the tokenizer gave %s %d: want 0 to %d", what, v, most)
		}
		small[i] = T(v)
	}
	return small, nil
}
