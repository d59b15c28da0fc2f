package job

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"autolora/autolora/runs"
	"autolora/autolora/settings"
	"autolora/data"
	"autolora/data/metrics"
	"autolora/torchbind"
)

// watchedRun is a training of a method that is evaluated, and gets worse in the end.
func watchedRun(t *testing.T, method string) settings.Config {
	t.Helper()
	cfg, err := tinyConfig(t, "exact").Variant(method)
	if err != nil {
		t.Fatal(err)
	}
	return watchedFor(cfg)
}

func watchedFor(cfg settings.Config) settings.Config {
	cfg.Steps, cfg.SearchSteps, cfg.EvalEvery, cfg.Keep, cfg.LR, cfg.AdaLoRADeltaT, cfg.GridRanks = 11, 4, 2, settings.KeepBest, 0.3, 2, []int64{1, 2}
	return cfg
}

// Whatever is trained, the weights of the best evaluation are kept, and written.
func TestKeepBest(t *testing.T) {
	tagging, generation := tinyTagging(t), tinyGeneration(t, "gpt2")
	tagging.Method, generation.Method = runs.MethodLoRA, runs.MethodLoRA
	early := 0
	for name, cfg := range map[string]settings.Config{
		runs.MethodFull: watchedRun(t, runs.MethodFull), runs.MethodAdapter: watchedRun(t, runs.MethodAdapter), runs.MethodLoRA: watchedRun(t, runs.MethodLoRA),
		runs.MethodAdaLoRA: watchedRun(t, runs.MethodAdaLoRA), runs.MethodAutoLoRA: watchedRun(t, runs.MethodAutoLoRA), runs.MethodLoRAGrid: watchedRun(t, runs.MethodLoRAGrid),
		"tagging": watchedFor(tagging), "generation": watchedFor(generation),
	} {
		t.Run(name, func(t *testing.T) {
			r := mustRun(t, perform, cfg).Results
			var steps []int
			best, from := -1, 0
			if cfg.Method == runs.MethodAdaLoRA {
				from = cfg.AdaLoRA(11).LastAllocation()
			}
			for i, e := range r.Evaluations {
				steps = append(steps, e.Step)
				if e.Step >= from && (best < 0 || e.Loss < r.Evaluations[best].Loss) {
					best = i
				}
				if _, has := e.Scores[r.Primary]; has == (name == "generation") || !(e.Loss > 0) {
					t.Errorf("evaluation %+v", e)
				}
			}
			if !slices.Equal(steps, []int{2, 4, 6, 8, 10, 11}) || r.BestStep != r.Evaluations[best].Step || r.Steps.Train != 11 || r.PlannedSteps != 0 {
				t.Errorf("evaluations %+v, best %d, steps %+v", r.Evaluations, r.BestStep, r.Steps)
			}
			if r.BestStep < 11 {
				early++
			}
			if got, want := r.Scores[metrics.NameLoss], r.Evaluations[best].Loss; !(math.Abs(got-want) <= 1e-6*want) { // AdaLoRA is folded after
				t.Errorf("the loss of what was kept is %v, that of the best evaluation %v", got, want)
			}
			dir := cfg.Out
			if cfg.Method == runs.MethodFull {
				cfg.Model, cfg.NewHead, dir = filepath.Join(cfg.Out, runs.ModelDir), false, ""
			}
			run(t, func(*torchbind.Scope) {
				again, err := Eval(context.Background(), quiet, cfg, dir, data.Dev)
				if err != nil {
					t.Fatal(err)
				}
				if got, want := again.Results.Scores[metrics.NameLoss], r.Scores[metrics.NameLoss]; !(math.Abs(got-want) <= 1e-5*want) {
					t.Errorf("what was written has the loss %v, the run %v", got, want)
				}
			})
		})
	}
	if early == 0 {
		t.Error("the best step was always the last: nothing was tested")
	}
}

// Evaluations change nothing of what is learnt where the last weights are kept, and
// are in metrics.jsonl.
func TestEvaluationsChangeNothing(t *testing.T) {
	cfg := watchedRun(t, runs.MethodAdaLoRA)
	cfg.Keep, cfg.LoRADropout, cfg.LogEvery = settings.KeepLast, 0.1, 1
	with := mustRun(t, perform, cfg)
	var logged []runs.Evaluation
	for _, record := range readRecords(t, cfg.Out) {
		if record.ValLoss != nil {
			if record.Phase != "train" || record.Loss != nil {
				t.Errorf("record %+v", record)
			}
			logged = append(logged, runs.Evaluation{Step: record.Step, Loss: *record.ValLoss, Scores: record.Scores})
		}
	}
	if !reflect.DeepEqual(logged, with.Results.Evaluations) || len(logged) != 6 || with.Results.BestStep != 0 {
		t.Errorf("logged %+v, results %+v", logged, with.Results)
	}
	want := learned(t, cfg.Out)
	cfg.EvalEvery, cfg.Out = 0, cfg.Out+"-without"
	without := mustRun(t, perform, cfg)
	sameFiles(t, learned(t, cfg.Out), want)
	if a, b := with.Results, without.Results; a.Cost.Train != b.Cost.Train || a.Cost.Eval.Tokens != 7*b.Cost.Eval.Tokens || b.Evaluations != nil {
		t.Errorf("cost %+v, without evaluations %+v", a.Cost, b.Cost)
	}
}

// A training whose held-out loss gets no better ends; AdaLoRA's not before its
// ranks are those that were asked for.
func TestPatience(t *testing.T) {
	for _, m := range []string{runs.MethodLoRA, runs.MethodAdaLoRA} {
		for _, keep := range []string{settings.KeepLast, settings.KeepBest} {
			t.Run(m+" "+keep, func(t *testing.T) {
				cfg := watchedRun(t, m)
				cfg.Keep, cfg.Patience, cfg.EvalEvery, cfg.Steps, cfg.LR = keep, 1, 1, 40, 0.5
				r := mustRun(t, perform, cfg).Results
				n := len(r.Evaluations)
				if r.PlannedSteps != 40 || r.Steps.Train >= 40 || n != r.Steps.Train || !(r.Evaluations[n-1].Loss >= r.Evaluations[n-2].Loss) {
					t.Fatalf("%d steps of %d, evaluations %+v", r.Steps.Train, r.PlannedSteps, r.Evaluations)
				}
				kept := r.Steps.Train
				if keep == settings.KeepBest {
					if kept = r.BestStep; kept != n-1 {
						t.Errorf("kept step %d of %d", kept, n)
					}
				}
				if got, want := r.Scores[metrics.NameLoss], r.Evaluations[kept-1].Loss; !(math.Abs(got-want) <= 1e-6*want) {
					t.Errorf("loss %v, at step %d %v", got, kept, want)
				}
				if last := cfg.AdaLoRA(40).LastAllocation(); m == runs.MethodAdaLoRA && r.Steps.Train <= last {
					t.Errorf("it ended after step %d, and ranks are final after %d", r.Steps.Train, last)
				}
			})
		}
	}
}

// A training that is evaluated goes on to the same bytes after an interrupt, in an
// evaluation too.
func TestWatchedResume(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 4))
	for _, m := range []string{runs.MethodFull, runs.MethodAdapter, runs.MethodLoRA, runs.MethodAdaLoRA} {
		for _, patience := range []int{0, 1} {
			t.Run(fmt.Sprint(m, " ", patience), func(t *testing.T) {
				cfg := watchedRun(t, m)
				cfg.Patience, cfg.LoRADropout = patience, 0.1
				checkResume(t, perform, cfg, rng)
			})
		}
	}
	generation := tinyGeneration(t, "gpt2")
	generation.Method = runs.MethodLoRA
	checkResume(t, perform, watchedFor(generation), rng)
}

// copier copies a run's folder after every step, as a kill would leave it.
type copier struct {
	silent
	from, to string
	n        int
	err      error
}

func (c *copier) Advance(int, string) {
	c.n++
	if c.err == nil {
		c.err = os.CopyFS(fmt.Sprintf("%s-%d", c.to, c.n), os.DirFS(c.from))
	}
}

// A run that is killed after any step, also between an evaluation and the next
// checkpoint, comes to the same bytes, results and records.
func TestWatchedKill(t *testing.T) {
	for _, m := range []string{runs.MethodLoRA, runs.MethodAdaLoRA} {
		t.Run(m, func(t *testing.T) {
			cfg := watchedRun(t, m)
			cfg.Steps, cfg.SaveEvery, cfg.LogEvery, cfg.Patience, cfg.LoRADropout = 10, 3, 1, 3, 0.1
			killed := &copier{from: cfg.Out, to: filepath.Join(t.TempDir(), "killed")}
			var alone *Outcome
			run(t, func(*torchbind.Scope) {
				var err error
				if alone, err = perform(context.Background(), Host{Reporter: killed}, cfg); err != nil || killed.err != nil {
					t.Fatal(err, killed.err)
				}
			})
			records := func(dir string) []runs.Record {
				all := readRecords(t, dir)
				for i := range all {
					all[i].Seconds = 0
				}
				return all
			}
			want, log := learned(t, cfg.Out), records(cfg.Out)
			cfg.Resume = true
			for n := 1; n <= alone.Results.Steps.Train; n++ {
				cfg.Out = fmt.Sprintf("%s-%d", killed.to, n)
				r := mustRun(t, perform, cfg).Results
				sameFiles(t, learned(t, cfg.Out), want)
				if a := alone.Results; !reflect.DeepEqual(r.Evaluations, a.Evaluations) || r.BestStep != a.BestStep || r.Steps != a.Steps || r.Cost != a.Cost {
					t.Errorf("killed after step %d: %+v, want %+v", n, r, a)
				}
				if got := records(cfg.Out); !reflect.DeepEqual(got, log) {
					t.Errorf("killed after step %d: %d records of %d, or others", n, len(got), len(log))
				}
			}
		})
	}
}
