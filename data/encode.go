package data

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
)

// Encoded is the token form of one example. A Corpus keeps it, so its numbers are small: MNLI is 16 million tokens.
type Encoded struct {
	IDs      []int32 // token ids, special tokens included
	Segments []uint8 // segment (token type) of each token; nil means 0 for all
	First    []int32 // [words] place of the first token of each word of a sentence; nil for texts
	Trained  []Span  // in generation and chats the tokens that are to be written, in order and apart; none of a prompt
}

// Span is the tokens of an example from From up to To.
type Span struct{ From, To int32 }

// Encoder turns an example into tokens. Encode is called from several goroutines at once.
type Encoder interface {
	Encode(ex Example) (Encoded, error)
}

// TokenizerFiles are those of a model's folder that say how texts become tokens: what is fetched with a model, and
// copied beside what is made of it.
var TokenizerFiles = []string{
	"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
	"vocab.txt", "vocab.json", "merges.txt", "sentencepiece.bpe.model", "tokenizer.model", "spm.model", "chat_template.jinja",
}

// Corpus is a data set with its tokens. Each example is encoded once, when it is first needed, and kept.
// All methods may be called from several goroutines.
type Corpus struct {
	Data    *Dataset
	encoder Encoder
	entries []entry // [len(Data.Examples)]
}

// entry is an example that is encoded once.
type entry struct {
	Encoded
	once sync.Once
	err  error
}

// NewCorpus joins a data set and the encoder for it. Nothing is encoded yet.
func NewCorpus(d *Dataset, enc Encoder) *Corpus {
	return &Corpus{Data: d, encoder: enc, entries: make([]entry, len(d.Examples))}
}

// Length is the number of tokens that a model is given of example i: in generation and chats those before the last
// that is to be written, from which nothing is predicted. The error names the example's file and line.
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
	return appendWide(nil, e.input()), nil
}

// appendWide appends numbers in the width that a model takes.
func appendWide[T int32 | uint8](wide []int64, numbers []T) []int64 {
	for _, v := range numbers {
		wide = append(wide, int64(v))
	}
	return wide
}

// input is the ids that a model is given.
func (e *Encoded) input() []int32 {
	if len(e.Trained) == 0 {
		return e.IDs
	}
	return e.IDs[:e.Trained[len(e.Trained)-1].To-1]
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
		defer func() {
			if r := recover(); r != nil { // in a goroutine of the loader's it would end the process
				e.err = fmt.Errorf("this is a bug in autolora, please report it: %v", r)
			}
			if e.err != nil {
				e.err = fmt.Errorf("%s: %w", ex.Where(), e.err)
			}
		}()
		if e.Encoded, e.err = c.encoder.Encode(ex); e.err == nil {
			e.err = e.check(ex, c.Data.Kind)
		}
	})
	return e, e.err
}

// check says why an encoding is not one of an example of that kind.
func (e *Encoded) check(ex Example, kind Kind) error {
	n := len(e.IDs)
	switch {
	case n == 0:
		return errors.New("the tokenizer gave no tokens: want at least one a text")
	case e.Segments != nil && len(e.Segments) != n:
		return fmt.Errorf("the tokenizer gave %d segments for %d tokens", len(e.Segments), n)
	case ex.Sentence == nil && e.First != nil, ex.Sentence != nil && len(e.First) != len(ex.Words):
		return fmt.Errorf("the tokenizer gave tokens for %d words: want %d", len(e.First), len(ex.words()))
	case !kind.Writes() && e.Trained != nil:
		return fmt.Errorf("the tokenizer gave tokens to be written: want none in a %s", kind)
	case kind == Generation && (len(e.Trained) > 0) != (ex.Target != ""):
		return fmt.Errorf("the tokenizer gave %d parts to be written for the target %s", len(e.Trained), shorten(ex.Target))
	}
	before := int32(1)
	for _, s := range e.Trained {
		if s.From < before || s.To <= s.From || int(s.To) > n {
			return fmt.Errorf("the tokenizer gave tokens %d to %d to be written: want them from %d to %d", s.From, s.To, before, n)
		}
		before = s.To
	}
	for k, at := range e.First {
		if at < 0 || int(at) >= n || k > 0 && at <= e.First[k-1] {
			return fmt.Errorf("the tokenizer gave token %d of %d as the first of word %d", at, n, k+1)
		}
	}
	return nil
}
