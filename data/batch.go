package data

import (
	"cmp"
	"context"
	"fmt"
	"slices"
)

// Batch is a packed batch of B examples and N tokens in all: the tokens of one example after those of the
// other, and no padding.
//
// In tagging, generation and chats a prediction is wanted at M of the tokens: at the first token of each word, and at
// each token that one follows which is to be written, a target's or an assistant's. The last of these is not among the
// N, since nothing follows it. Of a prompt, for which nothing is given, the last token is wanted, with NoLabel.
type Batch struct {
	IDs      []int64   // [N] token ids
	Segments []int64   // [N] segments (token types)
	Lengths  []int     // [B] tokens of each example, at least 1; their sum is N
	Want     []int64   // [M] places of the wanted tokens among the N; nil but in tagging, generation and chats
	WantPer  []int     // [B] wanted tokens of each example, their sum is M; nil but in tagging, generation and chats
	Labels   []int64   // [B] classes, of K that an example may have any of [B·K] 1 or 0 for each, in tagging [M], in generation and chats [M] ids of the tokens that follow; NoLabel when not known; nil in regression
	Values   []float64 // [B] targets, NaN when not known; nil but in regression
	Index    []int     // [B] place of each example in its data set
	Filler   bool      // the part of a batch that has too few examples for all its parts: it counts for nothing
}

// Len is the number of examples, B.
func (b *Batch) Len() int { return len(b.Lengths) }

// Alone returns the i-th example as a batch of its own.
func (b *Batch) Alone(i int) *Batch {
	// share returns what the i-th example has of all, where each has so many.
	share := func(all []int64, each []int) []int64 {
		from := 0
		for _, n := range each[:i] {
			from += n
		}
		return slices.Clone(all[from : from+each[i]])
	}
	alone := &Batch{
		IDs: share(b.IDs, b.Lengths), Segments: share(b.Segments, b.Lengths), Lengths: []int{b.Lengths[i]}, Index: []int{b.Index[i]}, Filler: b.Filler,
	}
	labels := slices.Repeat([]int{len(b.Labels) / b.Len()}, b.Len())
	if b.Want != nil {
		labels, alone.Want, alone.WantPer = b.WantPer, share(b.Want, b.WantPer), []int{b.WantPer[i]}
		for _, n := range b.Lengths[:i] {
			for k := range alone.Want {
				alone.Want[k] -= int64(n)
			}
		}
	}
	if b.Labels != nil {
		alone.Labels = share(b.Labels, labels)
	}
	if b.Values != nil {
		alone.Values = []float64{b.Values[i]}
	}
	return alone
}

// Batch packs the examples at indices, in that order, encoding those that are not encoded yet. The batch
// belongs to the caller. The error names the example's file and line.
func (c *Corpus) Batch(indices []int) (*Batch, error) {
	b := &Batch{Lengths: make([]int, len(indices)), Index: slices.Clone(indices)}
	total := 0
	for k, i := range indices {
		if i < 0 || i >= len(c.entries) {
			return nil, fmt.Errorf("%s: no example %d: it has %d", c.Data.Name, i, len(c.entries))
		}
		n, err := c.Length(i)
		if err != nil {
			return nil, err
		}
		b.Lengths[k] = n
		total += n
	}
	b.IDs, b.Segments = make([]int64, 0, total), make([]int64, 0, total)
	for _, i := range indices {
		e, ex := &c.entries[i].Encoded, &c.Data.Examples[i]
		at := int64(len(b.IDs))
		switch c.Data.Kind {
		case Regression:
			b.Values = append(b.Values, ex.Value)
		case MultiLabel:
			for class := range c.Data.Labels {
				has := int64(0)
				switch {
				case ex.LabelSet == nil:
					has = NoLabel
				case slices.Contains(ex.Classes, class):
					has = 1
				}
				b.Labels = append(b.Labels, has)
			}
		case Tagging:
			for k, first := range e.First {
				b.Want, b.Labels = append(b.Want, at+int64(first)), append(b.Labels, int64(ex.Tags[k]))
			}
			b.WantPer = append(b.WantPer, len(e.First))
		case Generation, Chat:
			before := len(b.Want)
			if len(e.Trained) == 0 {
				b.Want, b.Labels = append(b.Want, at+int64(len(e.IDs)-1)), append(b.Labels, NoLabel)
			}
			for _, span := range e.Trained {
				for k := span.From; k < span.To; k++ {
					b.Want = append(b.Want, at+int64(k-1))
				}
				b.Labels = appendWide(b.Labels, e.IDs[span.From:span.To])
			}
			b.WantPer = append(b.WantPer, len(b.Want)-before)
		default:
			b.Labels = append(b.Labels, int64(ex.Label))
		}
		b.IDs = appendWide(b.IDs, e.input())
		b.Segments = appendWide(b.Segments, e.Segments[:min(len(e.Segments), len(e.input()))])
		b.Segments = append(b.Segments, make([]int64, len(b.IDs)-len(b.Segments))...)
	}
	return b, nil
}

// EvalBatches encodes the whole data set with the given number of goroutines and returns the batches to
// evaluate it in: every example once, those of similar length together. Give each to Batch.
func (c *Corpus) EvalBatches(ctx context.Context, size, workers int) ([][]int, error) {
	if size < 1 {
		return nil, fmt.Errorf("batch size %d: want at least 1", size)
	}
	if err := c.EncodeAll(ctx, workers); err != nil {
		return nil, err
	}
	order := make([]int, len(c.entries))
	for i := range order {
		order[i] = i
	}
	// Longest first, so that a batch that does not fit into memory fails at the start.
	length := func(i int) int { return len(c.entries[i].input()) }
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(length(b), length(a)) })
	return slices.Collect(slices.Chunk(order, size)), nil
}
