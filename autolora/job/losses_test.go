package job

import (
	"context"
	"math"
	"slices"
	"testing"

	"autolora/autolora"
	"autolora/autolora/runs"
	"autolora/autolora/settings"
	"autolora/data"
	"autolora/data/metrics"
	"autolora/nn"
	"autolora/torchbind"
)

// The losses of the examples are those of the model's own loss, in float64, and
// neither smoothing nor weights of classes change them.
func TestLossesOfExamples(t *testing.T) {
	numbers := tinyConfig(t, "exact")
	numbers.Kind, numbers.Label = "regression", "n"
	for _, file := range []string{numbers.TrainFile, numbers.DevFile} {
		writeTest(t, file, "text\tn\nfilm good\t1.5\nfilm bad w20 w30\t-1\nw11\t0.25\n")
	}
	for name, cfg := range map[string]settings.Config{
		"classes": tinyConfig(t, "exact"), "numbers": numbers, "tags": tinyTagging(t), "texts": tinyGeneration(t, "gpt2"),
	} {
		t.Run(name, func(t *testing.T) {
			cfg.DType, cfg.Seed, cfg.BatchSize = "float64", 3, 4
			run(t, func(*torchbind.Scope) {
				s, err := newSession(context.Background(), quiet, cfg)
				if err != nil {
					t.Fatal(err)
				}
				defer s.close()
				if err := s.readTask(data.Train, data.Dev); err != nil {
					t.Fatal(err)
				}
				load := func() *nn.Model {
					model, err := s.load(nn.HeadIfStored, false)
					if err != nil {
						t.Fatal(err)
					}
					return model
				}
				dev, model := s.splits.Dev[0], load()
				defer model.Close()
				computed := dev
				if dev.Kind == data.Generation {
					computed = dev.Targets()
				}
				computed, err = s.pieces(computed)
				if err != nil {
					t.Fatal(err)
				}
				sum, rows := 0.0, 0
				err = s.eachBatch(context.Background(), model, computed, new(runs.Work), func(scope *torchbind.Scope, b *autolora.Batch, _ *data.Batch, _ int) error {
					sum += float64(b.Size) * model.LossScale() * model.Loss(scope, b.Batch, b.Labels, nil).Item()
					rows += b.Size
					return nil
				})
				if err != nil {
					t.Fatal(err)
				}
				s.cfg.Smoothing = 0.1
				if s.weights = nil; len(s.task.Labels) > 0 {
					s.weights = slices.Repeat([]float64{2}, len(s.task.Labels))
				}
				other := load()
				defer other.Close()
				var work runs.Work
				l, err := s.losses(context.Background(), other, dev, &work)
				if err != nil || len(l.Loss) != dev.Len() || l.Data != dev.Digest() {
					t.Fatalf("%d losses of %d examples, %v", len(l.Loss), dev.Len(), err)
				}
				if want := sum / float64(rows); !(math.Abs(l.Mean()-want) < 1e-12*want) {
					t.Errorf("mean %v, want %v", l.Mean(), want)
				}
				tokens, err := s.corpus(computed).Tokens()
				if want := (runs.Work{Tokens: tokens, Forward: int64(computed.Len()+3) / 4}); err != nil || work != want {
					t.Errorf("work %+v, want %+v (%v)", work, want, err)
				}
				// Every example alone has its loss.
				for i := range dev.Examples {
					one, err := s.losses(context.Background(), model, dev.Select([]int{i}), &work)
					if err != nil || !(math.Abs(one.Loss[0]-l.Loss[i]) < 1e-12*(1+l.Loss[i])) {
						t.Errorf("example %d has %v alone and %v among others: %v", i, one.Loss, l.Loss[i], err)
					}
				}
			})
		})
	}
}

// A run leaves the losses of what it was evaluated on.
func TestRunLeavesLosses(t *testing.T) {
	cfg := tinyConfig(t, "exact")
	cfg.Method, cfg.Smoothing = runs.MethodLoRA, 0.2
	out := mustRun(t, Train, cfg)
	l, err := runs.ReadLosses(cfg.Out)
	if err != nil || l.Part != "dev" || len(l.Loss) != 23 {
		t.Fatalf("%+v, %v", l, err)
	}
	if want := out.Results.Scores[metrics.NameLoss]; !(math.Abs(l.Mean()-want) < 1e-6) {
		t.Errorf("mean of %s %v, want %v", runs.LossesFile, l.Mean(), want)
	}
	if !slices.Contains(out.Files, runs.LossesFile) {
		t.Errorf("the list of files %q lacks %s", out.Files, runs.LossesFile)
	}
}
