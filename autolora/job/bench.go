package job

import (
	"context"
	"fmt"
	"slices"
	"time"

	"autolora/autolora"
	"autolora/autolora/settings"
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
	PeakMemory int64 `json:"peak_memory_bytes"`
	SearchPeak int64 `json:"search_peak_memory_bytes"`
	// DevicePeak and DeviceSearchPeak are the most that was in use on the GPU.
	DevicePeak       int64  `json:"device_peak_memory_bytes,omitempty"`
	DeviceSearchPeak int64  `json:"device_search_peak_memory_bytes,omitempty"`
	Batches          int    `json:"batches"` // timed
	Threads          int    `json:"threads"`
	DType            string `json:"dtype"`

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
// whose validation batch is the one before. The first two batches warm up; where
// steps are replayed as graphs, all batches do, until each has its graph.
func (s *session) bench(ctx context.Context, batches []*data.Batch) (*BenchResult, error) {
	if len(batches) <= benchWarmup {
		return nil, fmt.Errorf("%d batches of %d examples: want at least %d (%d warm up)", len(batches), s.cfg.BatchSize, benchWarmup+1, benchWarmup)
	}
	r := &BenchResult{Batches: len(batches) - benchWarmup, Threads: torchbind.NumThreads(), DType: s.cfg.DType}
	lora, err := s.timed(ctx, "lora", s.loraStep, batches)
	if err != nil {
		return nil, err
	}
	tokens, total := 0, time.Duration(0)
	for i, d := range lora[benchWarmup:] {
		tokens += len(batches[benchWarmup+i].IDs)
		total += d
	}
	r.LoRAStep, r.TokensPerSec = median(lora[benchWarmup:]), float64(tokens)/total.Seconds()
	if r.PeakMemory, r.DevicePeak, err = s.peaks(); err != nil {
		return nil, err
	}
	search, err := s.timed(ctx, "search", s.searchStep, batches)
	if err != nil {
		return nil, err
	}
	r.SearchStep = median(search[benchWarmup:])
	r.SearchPeak, r.DeviceSearchPeak, err = s.peaks()
	return r, err
}

// peaks returns the highest use of memory so far, of the process and on its GPU,
// and begins to count the latter anew.
func (s *session) peaks() (process, device int64, err error) {
	if process, err = torchbind.PeakMemory(); err != nil || s.device == torchbind.CPU {
		return process, 0, err
	}
	if device, err = torchbind.PeakDeviceMemory(s.device); err != nil {
		return 0, 0, err
	}
	return process, device, torchbind.ResetPeakDeviceMemory(s.device)
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
	cfg := s.cfg.Generation()
	warmup := min(len(prompts), benchWarmup*s.cfg.BatchSize)
	if _, _, err := generate.Generate(ctx, model, prompts[:warmup], s.cfg.BatchSize, cfg, nil); err != nil {
		return nil, err
	}
	timed := prompts[warmup:]
	s.rep.Begin("decode", 0, len(timed))
	defer s.rep.End()
	began := time.Now()
	texts, _, err := generate.Generate(ctx, model, timed, s.cfg.BatchSize, cfg, func(n int) { s.rep.Advance(n, "") })
	if err != nil {
		return nil, err
	}
	r := &DecodeResult{Seconds: time.Since(began).Seconds(), Beams: s.cfg.Decoding.Beams}
	for _, best := range texts {
		r.Tokens += len(best[0].IDs)
	}
	r.TokensPerSec = float64(r.Tokens) / r.Seconds
	return r, nil
}

// benchStep is one step of what is timed, with the model that it moves.
type benchStep struct {
	model   *nn.Model
	graphs  *autolora.Graphs
	step    func(s *torchbind.Scope, b, previous *autolora.Batch) // on a batch and, for the search, the batch before it
	batches []*data.Batch
}

func (b *benchStep) close() {
	b.graphs.Close()
	b.model.Close()
}

// loraStep returns the training step of LoRA.
func (s *session) loraStep(steps int) (*benchStep, error) {
	model, err := s.load(nn.HeadFresh, false)
	if err != nil {
		return nil, err
	}
	lora := s.cfg.LoRA()
	lora.Rank = s.cfg.K
	if err := model.AddLoRA(lora); err != nil {
		model.Close()
		return nil, err
	}
	graphs := s.graphs(true)
	t := autolora.NewTrainer(model, s.cfg.Training(steps), nil, s.execution(graphs, s.cfg.Seed))
	return &benchStep{model: model, graphs: graphs, step: func(s *torchbind.Scope, b, _ *autolora.Batch) { t.Step(s, []*autolora.Batch{b}) }}, nil
}

// searchStep returns the iteration of the search.
func (s *session) searchStep(steps int) (*benchStep, error) {
	model, err := s.load(nn.HeadFresh, false)
	if err != nil {
		return nil, err
	}
	cfg := s.cfg.Search(steps)
	graphs := s.graphs(cfg.Replayable())
	x, err := autolora.NewSearch(model, s.cfg.LoRA(), cfg, s.execution(graphs, s.cfg.Seed))
	if err != nil {
		graphs.Close()
		model.Close()
		return nil, err
	}
	return &benchStep{model: model, graphs: graphs, step: func(s *torchbind.Scope, t, v *autolora.Batch) { x.Iterate(s, t, v, true) }}, nil
}

// warmed makes a step, and runs it on all batches until each has its graph, if
// there are graphs.
func warmed(ctx context.Context, maker func(steps int) (*benchStep, error), batches []*data.Batch) (*benchStep, error) {
	step, err := maker(len(batches))
	if err != nil {
		return nil, err
	}
	step.batches = batches
	if step.graphs == nil {
		return step, nil
	}
	for range autolora.GraphAfter + 1 {
		if err := step.run(ctx, len(batches), func(int, time.Duration) {}); err != nil {
			step.close()
			return nil, err
		}
	}
	return step, nil
}

// timed makes a step and runs it on every batch.
func (s *session) timed(ctx context.Context, phase string, maker func(steps int) (*benchStep, error), batches []*data.Batch) ([]time.Duration, error) {
	step, err := warmed(ctx, maker, batches)
	if err != nil {
		return nil, err
	}
	defer step.close()
	s.rep.Begin(phase, 0, len(batches))
	defer s.rep.End()
	var times []time.Duration
	err = step.run(ctx, len(batches), func(i int, took time.Duration) {
		times = append(times, took)
		s.rep.Advance(i+1, "")
	})
	return times, err
}

// run runs the step on the first n batches, and tells after how long each took.
func (b *benchStep) run(ctx context.Context, n int, after func(i int, took time.Duration)) error {
	for i := range n {
		if err := ctx.Err(); err != nil {
			return err
		}
		began := time.Now()
		if err := b.on(i); err != nil {
			return err
		}
		after(i, time.Since(began))
	}
	return nil
}

// on runs the step on batch i and the batch before it, to its end.
func (b *benchStep) on(i int) error {
	return torchbind.Run(func(s *torchbind.Scope) error {
		batch, err := autolora.NewBatch(s, b.model, b.batches[i])
		if err != nil {
			return err
		}
		previous, err := autolora.NewBatch(s, b.model, b.batches[(i+len(b.batches)-1)%len(b.batches)])
		if err == nil {
			b.step(s, batch, previous)
			torchbind.Synchronize(b.model.Device())
		}
		return err
	})
}

// benchTrace writes a trace of one LoRA step and one search iteration, on the
// first batch that is timed, after the same warm-up.
func (s *session) benchTrace(ctx context.Context, batches []*data.Batch, path string) error {
	var spans []torchbind.Span
	for _, kind := range []struct {
		name  string
		maker func(steps int) (*benchStep, error)
	}{{"LoRA step", s.loraStep}, {"search iteration", s.searchStep}} {
		step, err := warmed(ctx, kind.maker, batches)
		if err != nil {
			return err
		}
		defer step.close()
		if err := step.run(ctx, benchWarmup, func(int, time.Duration) {}); err != nil {
			return err
		}
		spans = append(spans, torchbind.Span{Name: kind.name, Run: func() error { return step.on(benchWarmup) }})
	}
	return torchbind.Profile(path, s.device, spans)
}

// median returns the median in milliseconds.
func median(times []time.Duration) float64 {
	sorted := slices.Clone(times)
	slices.Sort(sorted)
	n := len(sorted)
	return float64(sorted[n/2]+sorted[(n-1)/2]) / 2 / float64(time.Millisecond)
}

// Bench times the LoRA step and the search iteration on the examples of the
// file input, in batches in file order. Unless trace is empty, it then writes a
// trace of one of each there; see torchbind.Profile.
func Bench(ctx context.Context, host Host, cfg settings.Config, input, trace string) (*BenchResult, error) {
	s, err := newSession(ctx, host, cfg)
	if err != nil {
		return nil, err
	}
	defer s.close()
	if err := s.openTokenizer(); err != nil {
		return nil, err
	}
	if s.task, err = s.benchTask(input); err != nil {
		return nil, err
	}
	examples, err := data.ReadInputs(input, s.task)
	if err != nil {
		return nil, err
	}
	if !examples.Labelled() {
		return nil, fmt.Errorf("%s: every example needs a label", input)
	}
	if examples, err = s.pieces(examples); err != nil {
		return nil, err
	}
	corpus := s.corpus(examples)
	var batches []*data.Batch
	for indices := range slices.Chunk(everyIndex(examples.Len()/cfg.BatchSize*cfg.BatchSize), cfg.BatchSize) {
		b, err := corpus.Batch(indices)
		if err != nil {
			return nil, err
		}
		batches = append(batches, b)
	}
	r, err := s.bench(ctx, batches)
	if err == nil && trace != "" {
		err = s.benchTrace(ctx, batches, trace)
	}
	if err != nil || s.task.Kind != data.Generation {
		return r, err
	}
	prompts, err := s.prompts(ctx, examples)
	if err == nil {
		r.Decoded, err = s.benchDecoding(ctx, prompts[:len(batches)*cfg.BatchSize])
	}
	return r, err
}

// benchTask is the named task, or else one of two classes, or of generation
// where the model generates.
func (s *session) benchTask(input string) (data.Task, error) {
	switch {
	case input == "":
		return data.Task{}, settings.Errorf("input", "no file of examples is given")
	case s.cfg.Task != "":
		return data.NamedTask(s.cfg.Task)
	case s.arch.Generates():
		return data.Task{Name: "bench", Kind: data.Generation}, nil
	}
	return data.Task{Name: "bench", Kind: data.Classification, Labels: []string{"0", "1"}}, nil
}
