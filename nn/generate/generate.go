package generate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"autolora/nn"
	"autolora/torchbind"
)

// ErrBroken says that a model computes no numbers.
var ErrBroken = errors.New("its weights are broken")

// Generate writes texts for prompts of at least one token each, so many prompts
// at a time, and returns them for each prompt, best first: as many as there are
// beams with the rules of Transformers, else one. Prompts do not influence each
// other. progress, if not nil, is told how many prompts are done.
func Generate(ctx context.Context, model *nn.Model, prompts [][]int64, batchSize int, cfg Config, progress func(done int)) ([][]Text, Work, error) {
	var work Work
	if err := cfg.Check(); err != nil {
		return nil, work, fmt.Errorf("generate: %w", err)
	}
	// Those of similar length are finished at about the same time.
	order := make([]int, len(prompts))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int { return cmp.Compare(len(prompts[i]), len(prompts[j])) })
	texts := make([][]Text, len(prompts))
	done := 0
	for indices := range slices.Chunk(order, max(1, batchSize)) {
		b := &batch{Config: cfg, ctx: ctx, model: model, numbers: indices}
		for _, i := range indices {
			b.prompts, b.searches = append(b.prompts, prompts[i]), append(b.searches, cfg.search(i))
		}
		err := torchbind.Run(func(s *torchbind.Scope) (err error) {
			torchbind.InferenceMode(func() { err = b.run(s) })
			return err
		})
		if err != nil {
			return nil, work, err
		}
		work.Tokens, work.Passes = work.Tokens+b.work.Tokens, work.Passes+b.work.Passes
		for at, i := range indices {
			texts[i] = b.searches[at].best()
		}
		if done += len(indices); progress != nil {
			progress(done)
		}
	}
	return texts, work, nil
}

// Work is what the model computed.
type Work struct {
	Tokens int64 // of the prompts, and of all texts that a search went on with
	Passes int64 // through the model
}

// search returns the search for a prompt.
func (c Config) search(prompt int) search {
	switch {
	case c.Sample:
		return &single{Config: c, choose: c.sampler(prompt)}
	case c.Beams == 1 && c.Rules != LoRA:
		return &single{Config: c}
	case c.Rules == LoRA:
		return &loraSearch{Config: c, beams: []hypothesis{{}}}
	}
	return &beamSearch{Config: c, beams: []hypothesis{{}}}
}

// batch is the searches for several prompts, whose texts the model reads
// together.
type batch struct {
	Config
	ctx      context.Context
	model    *nn.Model
	prompts  [][]int64
	numbers  []int // of prompts, among all of them
	searches []search

	decoding *nn.Decoding
	work     Work
}

// running is a hypothesis that the model has read.
type running struct {
	prompt int
	hypothesis
}

func (b *batch) run(s *torchbind.Scope) error {
	var rows []running
	for i, prompt := range b.prompts {
		rows = append(rows, running{i, hypothesis{}})
		b.work.Tokens += int64(len(prompt))
	}
	b.work.Passes++
	defer func() { // of an operation that panics too
		if b.decoding != nil {
			b.decoding.Close()
		}
	}()
	err := s.Do(func(s *torchbind.Scope) error {
		decoding, scores, err := b.model.Decode(s, b.prompts)
		if err != nil {
			return err
		}
		b.decoding = decoding
		return b.advance(s, rows, scores)
	})
	for err == nil {
		if err := b.ctx.Err(); err != nil {
			return err
		}
		from, tokens, next := b.step(rows)
		if len(next) == 0 {
			return nil
		}
		rows = next
		b.work.Tokens, b.work.Passes = b.work.Tokens+int64(len(tokens)), b.work.Passes+1
		err = s.Do(func(s *torchbind.Scope) error {
			scores, err := b.decoding.Step(s, from, tokens)
			if err != nil {
				return err
			}
			return b.advance(s, rows, scores)
		})
	}
	return err
}

// step returns the hypotheses whose next tokens the searches want, the rows
// that they continue, and by which token.
func (b *batch) step(rows []running) (from []int, tokens []int64, next []running) {
	at := 0
	for i, x := range b.searches {
		begin := at
		for at < len(rows) && rows[at].prompt == i {
			at++
		}
		for _, h := range x.running() {
			from, tokens = append(from, begin+h.parent), append(tokens, h.tokens[len(h.tokens)-1])
			next = append(next, running{i, h})
		}
	}
	return from, tokens, next
}

// advance takes every search one token further. scores [rows, V] are those of
// the next tokens.
func (b *batch) advance(s *torchbind.Scope, rows []running, scores *torchbind.Tensor) error {
	v := scores.Size(1)
	width := int64(b.searches[0].width())
	if width == 0 || width > v {
		width = v
	}
	// LoRA bars tokens before the softmax, transformers after it.
	if b.Rules == LoRA {
		b.bar(s, rows, scores)
	}
	logp := torchbind.LogSoftmax(s, scores, 1)
	if b.Rules != LoRA {
		b.bar(s, rows, logp)
	}
	top, index := torchbind.TopK(s, logp, width, 1)
	values, tokens := torchbind.To(s, top, torchbind.Float32, torchbind.CPU).Float32s(), index.Int64s()
	followers := make([][]next, len(rows))
	for i := range rows {
		for j := range width {
			at := int64(i)*width + j
			if math.IsNaN(float64(values[at])) {
				return fmt.Errorf("prompt %d: the model's output is not a number: %w", b.numbers[rows[i].prompt]+1, ErrBroken)
			}
			followers[i] = append(followers[i], next{tokens[at], values[at]})
		}
	}
	for at := 0; at < len(rows); {
		end := at
		for end < len(rows) && rows[end].prompt == rows[at].prompt {
			end++
		}
		b.searches[rows[at].prompt].advance(followers[at:end])
		at = end
	}
	return nil
}

// bar gives the tokens that would repeat an n-gram a score of -Inf.
func (b *batch) bar(s *torchbind.Scope, rows []running, scores *torchbind.Tensor) {
	var places []int64
	v := scores.Size(1)
	for i, r := range rows {
		tokens := r.tokens
		if b.Rules != LoRA { // the prompt's n-grams count too
			tokens = slices.Concat(b.prompts[r.prompt], tokens)
		}
		for _, token := range repeats(tokens, b.NoRepeatNGram) {
			places = append(places, int64(i)*v+token)
		}
	}
	if len(places) == 0 {
		return
	}
	shape, device := []int64{int64(len(places))}, scores.Device()
	torchbind.Reshape(s, scores, -1).IndexCopyInPlace(0, torchbind.FromSlice(s, places, shape, device),
		torchbind.Full(s, shape, math.Inf(-1), scores.DType(), device))
}
