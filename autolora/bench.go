package autolora

import (
	"context"
	"fmt"
	"slices"
	"time"

	"autolora/data"
	"autolora/nn"
	"autolora/nn/generate"
	"autolora/torchbind"
)

// BenchResult holds the medians of one `autolora bench`.
type BenchResult struct {
	LoRAStep     float64 `json:"lora_step_ms"`
	SearchStep   float64 `json:"search_step_ms"`
	TokensPerSec float64 `json:"tokens_per_s"` // real tokens, in LoRA steps
	// PeakMemory is the process's highest resident size after the LoRA steps.
	PeakMemory int64  `json:"peak_memory_bytes"`
	SearchPeak int64  `json:"search_peak_memory_bytes"`
	Batches    int    `json:"batches"` // timed
	Threads    int    `json:"threads"`
	DType      string `json:"dtype"`

	Decoded *DecodeResult `json:"decoded,omitempty"` // of a language model
}

// DecodeResult is how fast texts were generated for the timed batches' sources.
type DecodeResult struct {
	TokensPerSec float64 `json:"tokens_per_s"` // of the best text for each source
	Tokens       int     `json:"tokens"`
	Seconds      float64 `json:"seconds"`
	Beams        int     `json:"beams"`
}

// benchWarmup is the number of batches whose times are not counted.
const benchWarmup = 2

// bench times the LoRA step on every batch in turn, then the search iteration,
// whose validation batch is the one before. The first two batches warm up.
func bench(ctx context.Context, cfg Config, load func() (*nn.Model, error), batches []*data.Batch, rep Reporter) (*BenchResult, error) {
	if len(batches) <= benchWarmup {
		return nil, fmt.Errorf("%d batches of %d examples: want at least %d (%d warm up)", len(batches), cfg.BatchSize, benchWarmup+1, benchWarmup)
	}
	r := &BenchResult{Batches: len(batches) - benchWarmup, Threads: torchbind.NumThreads(), DType: cfg.DType}
	lora, err := timed(ctx, cfg, load, "lora", loraStep, batches, rep)
	if err != nil {
		return nil, err
	}
	tokens, total := 0, time.Duration(0)
	for i, d := range lora[benchWarmup:] {
		tokens += len(batches[benchWarmup+i].IDs)
		total += d
	}
	r.LoRAStep, r.TokensPerSec = median(lora[benchWarmup:]), float64(tokens)/total.Seconds()
	if r.PeakMemory, err = torchbind.PeakMemory(); err != nil {
		return nil, err
	}
	search, err := timed(ctx, cfg, load, "search", searchStep, batches, rep)
	if err != nil {
		return nil, err
	}
	r.SearchStep = median(search[benchWarmup:])
	r.SearchPeak, err = torchbind.PeakMemory()
	return r, err
}

// benchDecoding times the writing of texts for prompts, a batch at a time. None
// ends before it has --max-new-tokens, so that the work is the same whatever the
// model has learnt.
func (s *session) benchDecoding(ctx context.Context, prompts [][]int64) (*DecodeResult, error) {
	model, err := s.load(nn.HeadFresh, false)
	if err != nil {
		return nil, err
	}
	defer model.Close()
	cfg := s.decoding()
	warmup := min(len(prompts), benchWarmup*s.BatchSize)
	if _, _, err := generate.Generate(ctx, model, prompts[:warmup], s.BatchSize, cfg, nil); err != nil {
		return nil, err
	}
	timed := prompts[warmup:]
	s.rep.Begin("decode", 0, len(timed))
	defer s.rep.End()
	began := time.Now()
	texts, _, err := generate.Generate(ctx, model, timed, s.BatchSize, cfg, func(n int) { s.rep.Advance(n, "") })
	if err != nil {
		return nil, err
	}
	r := &DecodeResult{Seconds: time.Since(began).Seconds(), Beams: s.Beams}
	for _, best := range texts {
		r.Tokens += len(best[0].IDs)
	}
	r.TokensPerSec = float64(r.Tokens) / r.Seconds
	return r, nil
}

// A benchStep is one step of what is timed, on a batch and, for the search, the
// batch before it.
type benchStep func(s *torchbind.Scope, b, previous *Batch)

// loraStep returns a model with LoRA and its training step.
func loraStep(cfg Config, load func() (*nn.Model, error), steps int) (*nn.Model, benchStep, error) {
	model, err := load()
	if err != nil {
		return nil, nil, err
	}
	if err := model.AddLoRA(nn.LoRAConfig{Targets: cfg.Targets, Rank: cfg.K, Alpha: cfg.LoRAAlpha, Dropout: cfg.LoRADropout, Seed: cfg.Seed}); err != nil {
		model.Close()
		return nil, nil, err
	}
	t := NewTrainer(model, cfg.training(steps), cfg.Seed)
	return model, func(s *torchbind.Scope, b, _ *Batch) { t.Step(s, []*Batch{b}) }, nil
}

// searchStep returns a model in search and the iteration of that.
func searchStep(cfg Config, load func() (*nn.Model, error), steps int) (*nn.Model, benchStep, error) {
	model, err := load()
	if err != nil {
		return nil, nil, err
	}
	x, err := NewSearch(model, nn.LoRAConfig{Targets: cfg.Targets, Alpha: cfg.LoRAAlpha, Dropout: cfg.LoRADropout, Seed: cfg.Seed}, cfg.search(steps), cfg.Seed)
	if err != nil {
		model.Close()
		return nil, nil, err
	}
	return model, func(s *torchbind.Scope, t, v *Batch) { x.Iterate(s, t, v, true) }, nil
}

// A stepMaker is loraStep or searchStep.
type stepMaker func(cfg Config, load func() (*nn.Model, error), steps int) (*nn.Model, benchStep, error)

// timed makes a step and runs it on every batch.
func timed(ctx context.Context, cfg Config, load func() (*nn.Model, error), phase string, maker stepMaker, batches []*data.Batch, rep Reporter) ([]time.Duration, error) {
	model, step, err := maker(cfg, load, len(batches))
	if err != nil {
		return nil, err
	}
	defer model.Close()
	rep.Begin(phase, 0, len(batches))
	defer rep.End()
	var times []time.Duration
	for i := range batches {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		began := time.Now()
		if err := step.on(model, batches, i); err != nil {
			return nil, err
		}
		times = append(times, time.Since(began))
		rep.Advance(i+1, "")
	}
	return times, nil
}

// on runs the step on batch i and the batch before it.
func (step benchStep) on(model *nn.Model, batches []*data.Batch, i int) error {
	return torchbind.Run(func(s *torchbind.Scope) error {
		b, err := newBatch(s, model, batches[i])
		if err != nil {
			return err
		}
		previous, err := newBatch(s, model, batches[(i+len(batches)-1)%len(batches)])
		if err == nil {
			step(s, b, previous)
		}
		return err
	})
}

// benchTrace writes a trace of one LoRA step and one search iteration, on the
// first batch that is timed, after the same warm-up.
func benchTrace(ctx context.Context, cfg Config, device torchbind.Device, load func() (*nn.Model, error), batches []*data.Batch, path string) error {
	var spans []torchbind.Span
	for _, kind := range []struct {
		name  string
		maker stepMaker
	}{{"LoRA step", loraStep}, {"search iteration", searchStep}} {
		model, step, err := kind.maker(cfg, load, len(batches))
		if err != nil {
			return err
		}
		defer model.Close()
		for i := range benchWarmup {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := step.on(model, batches, i); err != nil {
				return err
			}
		}
		spans = append(spans, torchbind.Span{Name: kind.name, Run: func() error { return step.on(model, batches, benchWarmup) }})
	}
	return torchbind.Profile(path, device, spans)
}

// median returns the median in milliseconds.
func median(times []time.Duration) float64 {
	sorted := slices.Clone(times)
	slices.Sort(sorted)
	n := len(sorted)
	return float64(sorted[n/2]+sorted[(n-1)/2]) / 2 / float64(time.Millisecond)
}
