package job

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"autolora/autolora/runs"
	"autolora/autolora/settings"
	"autolora/data"
	"autolora/data/metrics"
	"autolora/nn"
	"autolora/nn/peft"
	"autolora/torchbind"
)

// trainedAdapter makes a run of LoRA on every linear layer, and returns the settings
// of a pruning of its adapter.
func trainedAdapter(t *testing.T, cfg settings.Config) settings.Config {
	t.Helper()
	cfg.Method, cfg.Targets, cfg.Rank, cfg.Steps, cfg.LR, cfg.Warmup, cfg.Dropout = runs.MethodLoRA, []string{"all-linear"}, 4, 40, 2e-2, 0, -1
	mustRun(t, Train, cfg)
	p := settings.Default()
	p.Adapter, p.Out, p.DevFile, p.BatchSize = cfg.Out, filepath.Join(t.TempDir(), "pruned"), cfg.DevFile, cfg.BatchSize
	if _, err := Recall(&p, p.Adapter, func(string) bool { return false }); err != nil {
		t.Fatal(err)
	}
	p.Model = cfg.Model
	return p
}

func readPruning(t *testing.T, dir string) (p runs.Pruning) {
	t.Helper()
	readJSON(t, filepath.Join(dir, runs.PruneFile), &p)
	return p
}

// An adapter of every kind of task is cut by the worth that looks at its losses, and by
// the others that do not; what is chosen, stored and reported is one and the same, and
// what is left predicts as it was reported.
func TestPrune(t *testing.T) {
	numbers := tinyConfig(t, "exact")
	numbers.Kind, numbers.Label = "regression", "n"
	for file, n := range map[string]int{numbers.TrainFile: 41, numbers.DevFile: 13} {
		var b strings.Builder
		b.WriteString("text\tn\n")
		for i := range n {
			fmt.Fprintf(&b, "film w%d w%d\t%v\n", 10+i*7%100, 10+i*3%100, float64(i%5)/2)
		}
		writeTest(t, file, b.String())
	}
	quantized := tinyGeneration(t, "llama")
	quantized.Quantize = nn.NF4
	for name, cfg := range map[string]settings.Config{
		"classes": tinyConfig(t, "exact"), "numbers": numbers, "tags": tinyTagging(t), "texts": tinyGeneration(t, "gpt2"), "texts of llama in 4 bits": quantized,
	} {
		t.Run(name, func(t *testing.T) {
			cfg := trainedAdapter(t, cfg)
			worths := []string{runs.ByAblation}
			switch name {
			case "classes":
				worths = runs.WorthNames
			case "numbers": // of which a training goes on in the units that are learnt
				cfg.TrainFile, cfg.Steps = numbers.TrainFile, 2
				run(t, func(*torchbind.Scope) {
					s, err := newSession(context.Background(), quiet, cfg)
					if err != nil {
						t.Fatal(err)
					}
					defer s.close()
					if _, err := newPruning(context.Background(), s); err != nil || s.units.Scale <= 0 {
						t.Errorf("units %+v, %v", s.units, err)
					}
				})
			}
			for _, by := range worths {
				cfg.By, cfg.Out = by, filepath.Join(t.TempDir(), "pruned")
				out := mustRun(t, Prune, cfg)
				checkPruning(t, cfg, out)
			}
		})
	}
}

func checkPruning(t *testing.T, cfg settings.Config, out *Outcome) {
	t.Helper()
	p := readPruning(t, cfg.Out)
	if p.By != cfg.By || p.Tolerance <= 0 || p.Choosing+p.Reporting != devRows(t, cfg) || p.Reported == nil || (p.Cost.Backward > 0) != (cfg.By == runs.ByAblation) {
		t.Errorf("%s: %+v", cfg.By, p)
	}
	if len(p.Curve) < 5 || p.Whole().Rise != 0 || !slices.IsSortedFunc(p.Curve, func(a, b runs.Cut) int { return int(b.Parameters - a.Parameters) }) {
		t.Errorf("%s: curve %+v", cfg.By, p.Curve)
	}
	for _, c := range p.Curve {
		if c.Parameters < p.Chosen.Parameters && p.Within(c) {
			t.Errorf("%s: %+v is within the tolerance of %+v, but %+v was chosen", cfg.By, c, p.Whole(), p.Chosen)
		}
		if math.Abs(c.Rise-(c.Loss-p.Whole().Loss)) > 1e-6 {
			t.Errorf("%s: the loss of %+v rose from %v", cfg.By, c, p.Whole().Loss)
		}
	}
	if !p.Within(p.Chosen) || !slices.Contains(p.Curve, p.Chosen) {
		t.Errorf("%s: chosen %+v of %+v", cfg.By, p.Chosen, p.Curve)
	}
	adapter, err := ReadAdapter(cfg.Out)
	if err != nil {
		t.Fatal(err)
	}
	if got := out.Results.Parameters.Adapter; got != p.Chosen.Parameters {
		t.Errorf("%s: %d parameters, chosen %d", cfg.By, got, p.Chosen.Parameters)
	}
	l, err := runs.ReadLosses(cfg.Out)
	if err != nil || len(l.Loss) != p.Reporting || math.Abs(l.Mean()-p.Reported.Loss) > 1e-9 || math.Abs(out.Results.Scores[metrics.NameLoss]-p.Reported.Loss) > 1e-5 {
		t.Errorf("%s: losses %v (%v), reported %+v, scores %v", cfg.By, l, err, p.Reported, out.Results.Scores)
	}
	var ranks runs.Ranks
	readJSON(t, filepath.Join(cfg.Out, runs.RanksFile), &ranks)
	if ranks.Rule.Name != runs.RulePruned {
		t.Errorf("%s: ranks by %+v", cfg.By, ranks.Rule)
	}
	written := map[string]int{}
	for _, l := range adapter.Ranks.Layers {
		written[l.Name] = l.Rank
	}
	if cfg.Kind != data.Generation || !strings.Contains(ranks.Layers[0].Name, "c_attn") {
		for _, l := range ranks.Layers {
			if written[l.Name] != l.Rank {
				t.Errorf("%s: %s has rank %d in the adapter, %d in ranks.json", cfg.By, l.Name, written[l.Name], l.Rank)
			}
		}
	}
	// The adapter that was written has the loss that was reported.
	run(t, func(*torchbind.Scope) {
		s, err := newSession(context.Background(), quiet, cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer s.close()
		if err := errors.Join(s.knowLabels(adapter), s.readTask(data.Dev)); err != nil {
			t.Fatal(err)
		}
		model, err := s.trained(adapter)
		if err != nil {
			t.Fatal(err)
		}
		defer model.Close()
		_, reporting, err := halves(s.splits.Dev[0], cfg.Seed)
		if err != nil {
			t.Fatal(err)
		}
		again, err := s.losses(context.Background(), model, reporting[0], new(runs.Work))
		if err != nil || again.Data != l.Data || math.Abs(again.Mean()-p.Reported.Loss) > 1e-5 {
			t.Errorf("%s: loss %v of the adapter that was written (%v), reported %v", cfg.By, again.Mean(), err, p.Reported.Loss)
		}
	})
}

func devRows(t *testing.T, cfg settings.Config) int {
	t.Helper()
	text, err := os.ReadFile(cfg.DevFile)
	if err != nil {
		t.Fatal(err)
	}
	rows := strings.Count(string(text), "\n")
	if strings.HasSuffix(cfg.DevFile, ".tsv") {
		rows-- // the header
	}
	return rows
}

// A budget is kept, and what is left may be trained on; with no tolerance nothing is
// cut that does harm.
func TestPruneWithinParameters(t *testing.T) {
	train := tinyConfig(t, "exact")
	cfg := trainedAdapter(t, train)
	cfg.Parameters = 700
	out := mustRun(t, Prune, cfg)
	p := readPruning(t, cfg.Out)
	if n := out.Results.Parameters.Adapter; n > 700 || n < 600 || p.Budget != 700 || p.Chosen.Parameters != n {
		t.Errorf("%d parameters; %+v", n, p)
	}
	cut := p.Reported.Loss
	cfg.Out, cfg.TrainFile, cfg.Steps = filepath.Join(t.TempDir(), "trained"), train.TrainFile, 30
	out = mustRun(t, Prune, cfg)
	p = readPruning(t, cfg.Out)
	if p.Steps != 30 || out.Results.Steps.Train != 30 || out.Results.LR != 2e-2 || p.Reported.Loss == cut || len(out.Results.TrainLoss) == 0 || out.Results.Parameters.Adapter != p.Chosen.Parameters {
		t.Errorf("trained on: %+v, %+v", p, out.Results)
	}
	if _, err := peft.Read(filepath.Join(cfg.Out, runs.AdapterDir)); err != nil {
		t.Error(err)
	}
	cfg.Out, cfg.Steps, cfg.Parameters, cfg.Tolerance = filepath.Join(t.TempDir(), "strict"), 0, 0, 0
	mustRun(t, Prune, cfg)
	if p = readPruning(t, cfg.Out); p.Chosen.Loss > p.Whole().Loss || p.Tolerance != 0 {
		t.Errorf("with no tolerance: %+v", p.Chosen)
	}
}

// A pruning that is interrupted, at whatever point, and goes on comes to the same
// bytes and counts the same work.
func TestPruneResumes(t *testing.T) {
	train := tinyConfig(t, "exact")
	cfg := trainedAdapter(t, train)
	cfg.TrainFile, cfg.Steps, cfg.By = train.TrainFile, 11, runs.ByAblation
	checkResume(t, Prune, cfg, rand.New(rand.NewPCG(3, 8)))
}

// A pruning whose adapter was changed since it began does not go on, and is not taken as
// complete.
func TestPruneOfChangedAdapter(t *testing.T) {
	cfg := trainedAdapter(t, tinyConfig(t, "exact"))
	cfg.By, cfg.Resume, cfg.SaveEvery = runs.ByAblation, true, 1
	file := filepath.Join(cfg.Adapter, runs.AdapterDir, "adapter_config.json")
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	changed := func() {
		t.Helper()
		writeTest(t, file, string(before)+"\n")
		run(t, func(*torchbind.Scope) {
			if _, err := Prune(context.Background(), quiet, cfg); err == nil || err.Error() != "the adapter has changed since the run in "+cfg.Out+" began: choose another folder" {
				t.Errorf("error %v", err)
			}
		})
		writeTest(t, file, string(before))
	}
	begun := func() bool { _, err := os.Stat(filepath.Join(cfg.Out, runs.ConfigFile)); return err == nil }
	for left := 1; !begun(); left++ {
		run(t, func(*torchbind.Scope) {
			ctx, cancel := context.WithCancel(context.Background())
			if _, err := Prune(ctx, Host{Reporter: &stopper{left: left, cancel: cancel}}, cfg); !errors.Is(err, context.Canceled) {
				t.Fatalf("error %v, want context.Canceled", err)
			}
		})
	}
	changed()
	mustRun(t, Prune, cfg)
	changed()
	mustRun(t, Prune, cfg)
}

// What cannot be cut is one line that says why.
func TestPruneErrors(t *testing.T) {
	train := tinyConfig(t, "exact")
	good := trainedAdapter(t, train)
	adapter, err := ReadAdapter(good.Adapter)
	if err != nil {
		t.Fatal(err)
	}
	bottlenecks := train
	bottlenecks.Method, bottlenecks.Out, bottlenecks.Steps = runs.MethodAdapter, filepath.Join(t.TempDir(), "out"), 2
	mustRun(t, Train, bottlenecks)
	rows := func(text string) string {
		path := filepath.Join(t.TempDir(), "dev.tsv")
		writeTest(t, path, "text\tlabel\n"+text)
		return path
	}
	for _, c := range []struct {
		name, want string
		change     func(cfg *settings.Config)
		setting    bool
	}{
		{"no adapter", "config.json", func(cfg *settings.Config) { cfg.Adapter = t.TempDir() }, false},
		{"a whole model", "holds no adapter but a whole model: give ", func(cfg *settings.Config) {
			cfg.Adapter = t.TempDir()
			if err := os.Mkdir(filepath.Join(cfg.Adapter, runs.ModelDir), 0o777); err != nil {
				t.Fatal(err)
			}
		}, true},
		{"bottlenecks", "only LoRA has parts that can be left out", func(cfg *settings.Config) { cfg.Adapter = bottlenecks.Out }, true},
		{"another model", "is not in the model", func(cfg *settings.Config) {
			cfg.Model, cfg.DevFile = otherModel(t), rows("film good\tgood\nfilm bad\tbad\ngood\tgood\nbad\tbad\n")
		}, false},
		{"one class", "good is the only class in it", func(cfg *settings.Config) { cfg.DevFile = rows(strings.Repeat("film good\tgood\n", 5)) }, false},
		{"few examples", "has 2 examples, want at least 4", func(cfg *settings.Config) { cfg.DevFile = rows("film good\tgood\nfilm bad\tbad\n") }, false},
		{"a rate by trials", "lr: got auto: a pruning makes no trials", func(cfg *settings.Config) { cfg.LR = settings.Auto }, true},
		{"small budget", "parameters: got 63, want at least 64: one part of bert.encoder.layer.0.attention.self.query", func(cfg *settings.Config) { cfg.Parameters = 63 }, true},
		{"large budget", "there is nothing to cut", func(cfg *settings.Config) { cfg.Parameters = 1e6 }, true},
		{"a budget of all", "there is nothing to cut", func(cfg *settings.Config) { cfg.Parameters = settings.Amount(adapter.Size) }, true},
		{"steps without data", "steps: got 3, but no training data are given", func(cfg *settings.Config) { cfg.Steps = 3 }, true},
		{"in the adapter's folder", "output folder", func(cfg *settings.Config) { cfg.Out = filepath.Join(cfg.Adapter, runs.AdapterDir, "out") }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := good
			cfg.Out = filepath.Join(t.TempDir(), "out")
			c.change(&cfg)
			run(t, func(*torchbind.Scope) {
				_, err := Prune(context.Background(), quiet, cfg)
				if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") || errors.As(err, new(*settings.Error)) != c.setting {
					t.Errorf("error %v, want one line with %q", err, c.want)
				}
			})
			if _, err := os.Stat(filepath.Join(cfg.Out, runs.ResultsFile)); err == nil {
				t.Error("there are results")
			}
		})
	}
}

// otherModel is of another architecture than the adapter's.
func otherModel(t *testing.T) string {
	t.Helper()
	dir := tinyModel(t)
	for _, name := range []string{"config.json", "model.safetensors"} {
		text, err := os.ReadFile(fixturePath(filepath.Join("roberta-tiny", name)))
		if err != nil {
			t.Fatal(err)
		}
		writeTest(t, filepath.Join(dir, name), string(text))
	}
	return dir
}
