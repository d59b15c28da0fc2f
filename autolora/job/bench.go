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
	// Products are the speeds that --dtype auto would choose by, on a CPU that has bfloat16.
	Products *productSpeeds `json:"products_flop_per_s,omitempty"`

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
func (s *session) bench(ctx context.Context, batches []*data.Batch) (r *BenchResult, err error) {
	if len(batches) <= benchWarmup {
		return nil, fmt.Errorf("%d batches of %d examples: want at least %d (%d warm up)", len(batches), s.cfg.BatchSize, benchWarmup+1, benchWarmup)
	}
	r = &BenchResult{Batches: len(batches) - benchWarmup, Threads: torchbind.NumThreads(), DType: s.cfg.DType}
	if s.device == torchbind.CPU && torchbind.HasBFloat16() {
		speeds := timeProducts(newShape(s.arch))
		r.Products = &speeds
	}
	tokens := 0
	for _, b := range batches[benchWarmup:] {
		tokens += len(b.IDs)
	}
	var total time.Duration
	if r.LoRAStep, total, err = s.timed(ctx, benchLoRA, batches); err != nil {
		return nil, err
	}
	r.TokensPerSec = float64(tokens) / total.Seconds()
	if r.PeakMemory, r.DevicePeak, err = s.peaks(); err != nil {
		return nil, err
	}
	if r.SearchStep, _, err = s.timed(ctx, benchSearch, batches); err != nil {
		return nil, err
	}
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

// The steps that are timed.
const (
	benchLoRA   = "lora"
	benchSearch = "search"
)

// benchStep is one of them, with the model that it moves.
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

// newBenchStep makes a step on batches; where there are graphs, it runs on all of
// them until each has its graph. It is to be closed.
func (s *session) newBenchStep(ctx context.Context, what string, batches []*data.Batch) (step *benchStep, err error) {
	b := &benchStep{batches: batches}
	if b.model, err = s.load(nn.HeadFresh, false); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			b.close()
		}
	}()
	lora := s.cfg.LoRA()
	if what == benchSearch {
		cfg := s.cfg.Search(len(batches))
		how := s.execution(cfg.Replayable(), s.cfg.Seed)
		b.graphs = how.Graphs
		x, err := autolora.NewSearch(b.model, lora, cfg, how)
		if err != nil {
			return nil, err
		}
		b.step = func(s *torchbind.Scope, t, v *autolora.Batch) { x.Iterate(s, t, v, true) }
	} else {
		lora.Rank = s.cfg.K
		if err := b.model.AddLoRA(lora); err != nil {
			return nil, err
		}
		how := s.execution(true, s.cfg.Seed)
		b.graphs = how.Graphs
		t := autolora.NewTrainer(b.model, s.cfg.Training(len(batches)), nil, how)
		b.step = func(s *torchbind.Scope, batch, _ *autolora.Batch) { t.Step(s, []*autolora.Batch{batch}) }
	}
	for range autolora.GraphAfter + 1 {
		for i := 0; b.graphs != nil && i < len(batches); i++ {
			if err := b.on(ctx, i); err != nil {
				return nil, err
			}
		}
	}
	return b, nil
}

// on runs the step on batch i and the batch before it, to its end.
func (b *benchStep) on(ctx context.Context, i int) error {
	if err := ctx.Err(); err != nil {
		return err
	}
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

// timed runs a step on every batch, and returns the median time in milliseconds
// and the sum, without the batches that warm up.
func (s *session) timed(ctx context.Context, what string, batches []*data.Batch) (median float64, total time.Duration, err error) {
	b, err := s.newBenchStep(ctx, what, batches)
	if err != nil {
		return 0, 0, err
	}
	defer b.close()
	s.rep.Begin(what, 0, len(batches))
	defer s.rep.End()
	var times []time.Duration
	for i := range batches {
		began := time.Now()
		if err := b.on(ctx, i); err != nil {
			return 0, 0, err
		}
		if i >= benchWarmup {
			times = append(times, time.Since(began))
			total += times[len(times)-1]
		}
		s.rep.Advance(i+1, "")
	}
	slices.Sort(times)
	n := len(times)
	return float64(times[n/2]+times[(n-1)/2]) / 2 / float64(time.Millisecond), total, nil
}

// benchTrace writes a trace of one LoRA step and one search iteration, on the
// first batch that is timed, after the same warm-up.
func (s *session) benchTrace(ctx context.Context, batches []*data.Batch, path string) error {
	var spans []torchbind.Span
	for _, what := range []string{benchLoRA, benchSearch} {
		b, err := s.newBenchStep(ctx, what, batches)
		if err != nil {
			return err
		}
		defer b.close()
		for i := range benchWarmup {
			if err := b.on(ctx, i); err != nil {
				return err
			}
		}
		name := map[string]string{benchLoRA: "LoRA step", benchSearch: "search iteration"}[what]
		spans = append(spans, torchbind.Span{Name: name, Run: func() error { return b.on(ctx, benchWarmup) }})
	}
	return torchbind.Profile(path, s.device, spans)
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
	if err != nil || !s.task.Kind.Writes() {
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
	case s.arch.Generates() && data.HasConversations(input):
		return data.Task{Name: "bench", Kind: data.Chat}, nil
	case s.arch.Generates() && !s.arch.HasHead():
		return data.Task{Name: "bench", Kind: data.Generation}, nil
	}
	return data.Task{Name: "bench", Kind: data.Classification, Labels: []string{"0", "1"}}, nil
}
