package job

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"autolora/autolora/runs"
	"autolora/autolora/settings"
	"autolora/nn"
	"autolora/torchbind"
)

// tune chooses alone.
func tune(ctx context.Context, host Host, cfg settings.Config) (*Outcome, error) {
	return Tune(ctx, host, cfg, Shard{1, 1})
}

// tinyTune is a choice among some settings of a tiny task.
func tinyTune(t *testing.T) settings.Config {
	t.Helper()
	cfg := tinyConfig(t, "exact")
	cfg.LR, cfg.SearchLR, cfg.Steps = 0, 0, 20
	cfg.TuneTargets, cfg.TuneRanks, cfg.TuneLR, cfg.Cost = []string{"query+value", "all-linear"}, []int64{1, 2}, []float64{1e-3, 1e-2, 5e-2}, 3
	return cfg
}

func readTune(t *testing.T, dir string) *runs.Tune {
	t.Helper()
	u, err := runs.ReadTune(dir)
	if err != nil || u == nil {
		t.Fatalf("tune.json: %v, %v", u, err)
	}
	return u
}

// The whole of it: what is tried, chosen, trained and written.
func TestTune(t *testing.T) {
	cfg := tinyTune(t)
	out := mustRun(t, tune, cfg)
	u := readTune(t, cfg.Out)
	if len(u.Trials) != 12 || fmt.Sprint(u.Rungs) != "[{12 3} {4 9}]" || u.Final != 20 || u.Train != 49 || u.HeldOut != 12 {
		t.Fatalf("%d trials, rungs %v of %d steps, %d examples and %d", len(u.Trials), u.Rungs, u.Final, u.Train, u.HeldOut)
	}
	reached, steps := 0, 0
	for i, trial := range u.Trials {
		if len(trial.Rungs) == 2 {
			reached++
		}
		steps += trial.Steps
		if trial.Loss == nil || trial.Seconds <= 0 || trial.Scores["accuracy"] < 0 || trial.StandardError == nil {
			t.Errorf("trial %d: %+v", i, trial)
		}
	}
	if reached != 4 || out.Results.Steps.Tune != steps || steps > u.Steps || out.Results.Cost.Tune.Backward != int64(steps) {
		t.Errorf("%d trials reached the last rung; %d steps of at most %d, results %+v, %+v", reached, steps, u.Steps, out.Results.Steps, out.Results.Cost.Tune)
	}
	chosen, err := u.Chosen.Read()
	if err != nil || out.Results.LR != chosen.LR || out.Results.Method != "lora" || out.Results.Parameters.Adapter != u.Chosen.Parameters || out.Results.Steps.Train != 20 {
		t.Errorf("chosen %+v (%v), results %+v", u.Chosen, err, out.Results)
	}
	// It ends in what a training of its own with these settings ends in.
	want := cfg
	want.Method, want.Targets, want.Rank, want.LoRAAlpha, want.LR, want.Out = chosen.Method, chosen.Targets, chosen.Rank, chosen.Alpha, chosen.LR, filepath.Join(t.TempDir(), "alone")
	mustRun(t, Train, want)
	sameFiles(t, adapterFiles(t, cfg.Out), adapterFiles(t, want.Out))
	// Its config.json is that of the training, and the states are gone.
	saved, err := readSavedConfig(cfg.Out)
	if err != nil || saved.Settings.LR != chosen.LR || saved.Settings.Rank != chosen.Rank || !slices.Equal(saved.Settings.Targets, chosen.Targets) {
		t.Errorf("config.json: %+v (%v)", saved, err)
	}
	if _, err := os.Stat(filepath.Join(cfg.Out, runs.TuneDir)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("states are left: %v", err)
	}
	var file map[string]json.RawMessage
	readJSON(t, filepath.Join(cfg.Out, runs.TuneFile), &file)
	if file["trials"] == nil || file["chosen"] == nil {
		t.Errorf("tune.json has %v", file)
	}
}

// Pieces of a conversation or a sentence are not held out from trials on others of it.
func TestHeldOutPieces(t *testing.T) {
	for name, cfg := range map[string]settings.Config{"conversations": forgetfulChat(t), "sentences": tinyTagging(t)} {
		t.Run(name, func(t *testing.T) {
			run(t, func(*torchbind.Scope) {
				s, err := newSession(t.Context(), quiet, cfg)
				if err != nil {
					t.Fatal(err)
				}
				defer s.close()
				j, err := newJob(t.Context(), s)
				if err != nil {
					t.Fatal(err)
				}
				x := &tuning{job: j}
				if err := x.divide(); err != nil {
					t.Fatal(err)
				}
				trained, lines := map[int]bool{}, map[int]bool{}
				for _, i := range x.train {
					trained[j.corpus.Data.Examples[i].Line] = true
				}
				for _, ex := range j.corpus.Data.Examples {
					lines[ex.Line] = true
				}
				if len(lines) == j.corpus.Data.Len() {
					t.Fatal("nothing is in pieces")
				}
				for _, ex := range x.heldOut.Examples {
					if trained[ex.Line] {
						t.Errorf("a piece of line %d is held out, another is not", ex.Line)
					}
				}
			})
		})
	}
}

// A plan says what would be tried, and what it takes: the base's weights are a part;
// and where trials have too few steps to say much.
func TestPlanTrials(t *testing.T) {
	cfg := tinyTune(t)
	weights := map[nn.Quantization]int64{}
	for _, cfg.Quantize = range []nn.Quantization{nn.AsStored, nn.NF4} {
		run(t, func(*torchbind.Scope) {
			var said notes
			plan, err := PlanTrials(context.Background(), Host{Reporter: &said}, cfg)
			if err != nil {
				t.Fatal(err)
			}
			if text := strings.Join(said.lines, "\n"); strings.Contains(text, "the trials of the first rung take only 3 steps") != (cfg.Steps == 20) {
				t.Errorf("of %d steps it says %q", cfg.Steps, text)
			}
			cfg.Steps = 200 // of the plan that follows
			if len(plan.Trials) != 12 || len(plan.Rungs) != 2 || plan.Chosen != nil || plan.Seconds <= 0 || plan.Weights <= 0 || plan.Weights >= plan.Memory {
				t.Errorf("plan %+v", plan)
			}
			weights[cfg.Quantize] = plan.Weights
		})
	}
	if _, err := os.Stat(cfg.Out); err == nil || weights[nn.NF4] >= weights[nn.AsStored] {
		t.Errorf("weights %v, and a plan writes nothing: %v", weights, err)
	}
}

// adapterFiles are those of the adapter's weights.
func adapterFiles(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	files := learned(t, dir)
	for name := range files {
		if !strings.HasSuffix(name, ".safetensors") && !strings.HasSuffix(name, "adapter_config.json") {
			delete(files, name)
		}
	}
	return files
}

// timeless is tune.json without what depends on the machine; "" where there is none.
func timeless(t *testing.T, dir string) string {
	t.Helper()
	u, err := runs.ReadTune(dir)
	if u == nil && err == nil {
		return ""
	} else if err != nil {
		t.Fatal(err)
	}
	for i := range u.Trials {
		trial := &u.Trials[i]
		trial.Seconds = 0
		for r := range trial.Rungs {
			trial.Rungs[r].Seconds = 0
		}
	}
	u.Chosen.Seconds, u.Shards = 0, 0
	for r := range u.Chosen.Rungs {
		u.Chosen.Rungs[r].Seconds = 0
	}
	text, err := json.Marshal(u)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// A choice that is interrupted again and again comes to the same, with every method
// and a rate alone, too.
func TestResumeTune(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 7))
	for name, change := range map[string]func(c *settings.Config){
		"lora": func(c *settings.Config) {
			c.LoRADropout, c.Accumulate, c.TuneTargets = 0.1, 2, []string{"query+value"}
		},
		"adalora": func(c *settings.Config) {
			c.TuneMethods, c.TuneRanks, c.AdaLoRADeltaT = []string{"adalora"}, []int64{1}, 1
		},
		"autolora": func(c *settings.Config) {
			c.TuneMethods, c.TuneRanks, c.TuneTargets = []string{"autolora", "adalora"}, []int64{2}, []string{"query+value"}
		},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := tinyTune(t)
			change(&cfg)
			checkResume(t, tune, cfg, rng)
		})
	}
	for _, m := range []string{runs.MethodFull, runs.MethodAdapter, runs.MethodLoRAGrid, runs.MethodAutoLoRA} {
		t.Run("rate of "+m, func(t *testing.T) {
			cfg, err := tinyTune(t).Variant(m)
			if err != nil {
				t.Fatal(err)
			}
			cfg.LR, cfg.TuneLR, cfg.Steps, cfg.Cost, cfg.GridRanks, cfg.SearchSteps = settings.Auto, []float64{1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 4e-2}, 12, 2, []int64{1, 2}, 4
			out := checkResume(t, perform, cfg, rng)
			if u := readTune(t, cfg.Out); out.Results.LR <= 0 || len(u.Trials) < 3 {
				t.Errorf("rate %v of %d trials", out.Results.LR, len(u.Trials))
			}
		})
	}
}

// Shards that share a folder choose what one machine alone chooses, whoever of them is
// there when; and each says for whom it waits.
func TestTuneShards(t *testing.T) {
	cfg := tinyTune(t)
	cfg.Quantize = nn.Int8
	mustRun(t, tune, cfg)
	want, wantTune := learned(t, cfg.Out), timeless(t, cfg.Out)
	cfg.Out, cfg.ProcessTimeout = filepath.Join(t.TempDir(), "out"), 1
	defer func(before time.Duration) { look = before }(look)
	look = time.Millisecond
	var out *Outcome
	run(t, func(*torchbind.Scope) {
		for round := 0; out == nil; round++ {
			for _, i := range []int{2, 3, 1} {
				got, err := Tune(context.Background(), quiet, cfg, Shard{i, 3})
				var waits *ResumableError
				switch {
				case errors.As(err, &waits) && strings.Contains(err.Error(), "of other shards"):
				case err != nil:
					t.Fatal(err)
				case got.Results != nil:
					out = got
				}
			}
			if round > 5 {
				t.Fatal("the shards do not come to an end")
			}
		}
		for _, i := range []int{2, 3} {
			if got, err := Tune(context.Background(), quiet, cfg, Shard{i, 3}); err != nil || got.Results != nil {
				t.Errorf("shard %d after the end: %+v, %v", i, got, err)
			}
		}
	})
	sameFiles(t, learned(t, cfg.Out), want)
	if got := timeless(t, cfg.Out); got != wantTune {
		t.Errorf("tune.json is\n%s\nwant\n%s", got, wantTune)
	}
	left, _ := filepath.Glob(filepath.Join(cfg.Out, "*", runs.TuneDir))
	if len(left) > 0 {
		t.Errorf("states are left in %v", left)
	}
}

// What cannot be chosen is one line, of a setting where it is one's fault, and leaves
// nothing.
func TestTuneErrors(t *testing.T) {
	for _, c := range []struct {
		name, want string
		change     func(t *testing.T, c *settings.Config)
	}{
		{"no rank", "tune-rank: none is given", func(t *testing.T, c *settings.Config) { c.TuneRanks = nil }},
		{"no layers", "tune-target: none is given", func(t *testing.T, c *settings.Config) { c.TuneTargets = nil }},
		{"unknown layers", `target "keys" names no linear layer`, func(t *testing.T, c *settings.Config) { c.TuneTargets = []string{"query+keys"} }},
		{"unknown method", `tune-method: got "full", want some of lora`, func(t *testing.T, c *settings.Config) { c.TuneMethods = []string{"full"} }},
		{"methods with the same trials", "tune-method: the trials of autolora are those of lora", func(t *testing.T, c *settings.Config) { c.TuneMethods = []string{"lora", "autolora"} }},
		{"too small a cost", "cost: got 0.05 trainings of 20 steps: 1 steps for all trials are too few: want at least 4, 0.2 trainings, or fewer things to try", func(t *testing.T, c *settings.Config) { c.Cost = 0.05 }},
		{"a cost that is said", "want at least 6, 0.2 trainings", func(t *testing.T, c *settings.Config) { c.Steps, c.Cost = 31, 0.12 }}, // 0.19 would be 5
		{"too little time", "time: got 1ns: the training of 20 steps itself takes about", func(t *testing.T, c *settings.Config) { c.Cost, c.Time = 0, "1ns" }},
		{"time and cost", "time: got 1h, but a cost of 3 is given", func(t *testing.T, c *settings.Config) { c.Time = "1h" }},
		{"no parameters", "parameters: got 10: the smallest adapter to try has 256", func(t *testing.T, c *settings.Config) { c.Parameters = 10 }},
		{"a large rank", `rank of "bert.encoder.layer.0.attention.self.query": got 99, want 0 to 32`, func(t *testing.T, c *settings.Config) { c.TuneRanks = []int64{99} }},
		{"all held out", "held-out: 0.999 of 61 training examples are 61", func(t *testing.T, c *settings.Config) { c.HeldOut = 0.999 }},
		{"one class", `all 30 examples have the label "good"`, func(t *testing.T, c *settings.Config) {
			writeTest(t, c.TrainFile, "text\tlabel\n"+strings.Repeat("film good\tgood\n", 30))
			writeTest(t, c.DevFile, "text\tlabel\nfilm good\tgood\n")
		}},
		{"all diverge", "tune-lr: all 4 trials diverged", func(t *testing.T, c *settings.Config) { c.TuneLR = []float64{1e30} }},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := tinyTune(t)
			c.change(t, &cfg)
			run(t, func(*torchbind.Scope) {
				_, err := tune(context.Background(), quiet, cfg)
				if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
					t.Errorf("got %v, want one line with %q", err, c.want)
				}
			})
			if _, err := os.Stat(filepath.Join(cfg.Out, runs.ResultsFile)); err == nil {
				t.Error("there are results")
			}
		})
	}
}

// A choice whose trials an earlier version planned otherwise does not go on, from its
// first trial on, also where they are as many in as many rungs.
func TestTuneOfAnotherPlan(t *testing.T) {
	for name, left := range map[string]int{"in the first trial": 2, "in a later one": 8} {
		t.Run(name, func(t *testing.T) {
			cfg := tinyTune(t)
			cfg.SaveEvery, cfg.Resume = 1, true
			run(t, func(*torchbind.Scope) {
				ctx, cancel := context.WithCancel(context.Background())
				if _, err := tune(ctx, Host{Reporter: &stopper{left: left, cancel: cancel}}, cfg); !errors.Is(err, context.Canceled) {
					t.Fatal(err)
				}
				path := filepath.Join(cfg.Out, runs.TuneFile)
				text, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				writeTest(t, path, strings.Replace(string(text), `"lr": 0.01`, `"lr": 0.02`, 1))
				want := path + " is of another plan than this one: it was changed, or written by an earlier version or with other shards: choose another folder"
				if _, err := tune(context.Background(), quiet, cfg); err == nil || err.Error() != want {
					t.Errorf("got %v, want %s", err, want)
				}
				writeTest(t, path, string(text))
			})
			mustRun(t, tune, cfg)
		})
	}
}

// With --time the plan is made once, also where the machine is slower later, and goes on
// by what was stored.
func TestTuneTime(t *testing.T) {
	cfg := tinyTune(t)
	cfg.Cost, cfg.Time, cfg.SaveEvery = 0, "1h", 2
	ctx, cancel := context.WithCancel(context.Background())
	run(t, func(*torchbind.Scope) {
		if _, err := tune(ctx, Host{Reporter: &stopper{left: 3, cancel: cancel}}, cfg); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		if u := readTune(t, cfg.Out); u.Steps != 100*20 {
			t.Errorf("%d steps, want 100 trainings: more is a mistake", u.Steps)
		}
		writeTest(t, filepath.Join(cfg.Out, runs.TuneFile), "{")
		cfg.Resume = true
		if _, err := tune(context.Background(), quiet, cfg); err == nil || !strings.Contains(err.Error(), runs.TuneFile) {
			t.Errorf("a damaged tune.json: error %v", err)
		}
	})
}
