package job

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"autolora/autolora/runs"
	"autolora/autolora/settings"
	"autolora/nn"
	"autolora/torchbind"
)

// stopper cancels a context after so many steps.
type stopper struct {
	silent
	left   int
	cancel context.CancelFunc
}

func (s *stopper) Advance(int, string) {
	if s.left--; s.left == 0 {
		s.cancel()
	}
}

// learned returns the files of a run that must not depend on how often it was
// stopped.
func learned(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	for _, name := range []string{runs.RanksFile, runs.GridFile, runs.PruneFile, runs.AdapterDir, runs.ModelDir, runs.HypothesesFile} {
		err := filepath.WalkDir(filepath.Join(dir, name), func(path string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return nil
			}
			data, err := os.ReadFile(path)
			rel, _ := filepath.Rel(dir, path)
			files[rel] = data
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return files
}

// sameFiles fails where two runs learned different bytes.
func sameFiles(t *testing.T, got, want map[string][]byte) {
	t.Helper()
	if len(want) == 0 || len(got) != len(want) {
		t.Fatalf("%d files, want %d", len(got), len(want))
	}
	for name, data := range want {
		if !bytes.Equal(got[name], data) {
			t.Errorf("%s differs from that of a run that was left alone", name)
		}
	}
}

// perform does the method that cfg names, as compare does.
func perform(ctx context.Context, host Host, cfg settings.Config) (*Outcome, error) {
	return do(ctx, host, cfg, compareCommand, (*job).perform)
}

// A run that is interrupted again and again, and goes on each time, learns the
// same bytes as one that is left alone: with every method, at random points.
func TestResumeSameBytes(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 2))
	for _, m := range []string{runs.MethodFull, runs.MethodAdapter, runs.MethodLoRA, runs.MethodAdaLoRA, runs.MethodLoRAGrid, runs.MethodAutoLoRA, runs.MethodSigmoid} {
		t.Run(m, func(t *testing.T) {
			cfg, err := tinyConfig(t, "exact").Variant(m)
			if err != nil {
				t.Fatal(err)
			}
			cfg.Steps, cfg.SearchSteps, cfg.Unroll, cfg.GridRanks, cfg.AdaLoRADeltaT = 11, 9, 2, []int64{1, 2}, 2
			cfg.LoRADropout, cfg.Accumulate = 0.1, 2
			switch m {
			case runs.MethodSigmoid:
				cfg.Quantize = nn.Int8
			case runs.MethodLoRAGrid:
				cfg.Targets = []string{"query"} // two configurations
			}
			checkResume(t, perform, cfg, rng)
		})
	}
}

// checkResume does a job alone, and again with interrupts at random points, and wants
// the same bytes, steps and work of both. It returns what the first came to.
func checkResume(t *testing.T, do func(context.Context, Host, settings.Config) (*Outcome, error), cfg settings.Config, rng *rand.Rand) *Outcome {
	t.Helper()
	alone := mustRun(t, do, cfg)
	want, wantTune := learned(t, cfg.Out), timeless(t, cfg.Out)

	cfg.Out, cfg.Resume, cfg.SaveEvery = filepath.Join(t.TempDir(), "out"), true, 3
	interrupts := 0
	var out *Outcome
	run(t, func(*torchbind.Scope) {
		for out == nil {
			ctx, cancel := context.WithCancel(context.Background())
			rep := &stopper{left: 1 + rng.IntN(5+4*max(0, interrupts-1)), cancel: cancel} // the longer it takes, the fewer
			var err error
			if out, err = do(ctx, Host{Reporter: rep}, cfg); err != nil && !errors.Is(err, context.Canceled) {
				t.Fatal(err)
			}
			cancel()
			if interrupts++; interrupts > 100 {
				t.Fatal("no end after 100 interrupts")
			}
		}
	})
	if interrupts < 2 {
		t.Fatal("the run was never interrupted")
	}
	sameFiles(t, learned(t, cfg.Out), want)
	if got := timeless(t, cfg.Out); got != wantTune {
		t.Errorf("tune.json is\n%s\nwant\n%s", got, wantTune)
	}
	if out.Results.Steps != alone.Results.Steps || out.Results.Cost != alone.Results.Cost {
		t.Errorf("steps %+v and cost %+v, want %+v and %+v", out.Results.Steps, out.Results.Cost, alone.Results.Steps, alone.Results.Cost)
	}
	if _, err := os.Stat(filepath.Join(cfg.Out, runs.Checkpoint)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the checkpoint of a complete run is there: %v", err)
	}
	if again := mustRun(t, do, cfg); fmt.Sprint(again.Results.Scores) != fmt.Sprint(alone.Results.Scores) {
		t.Errorf("a complete run that is resumed: %+v", again.Results)
	}
	return alone
}

// interruptedRun returns the settings of a run that was stopped after a
// checkpoint.
func interruptedRun(t *testing.T) settings.Config {
	t.Helper()
	cfg := tinyConfig(t, "exact")
	cfg.Resume, cfg.SaveEvery, cfg.SearchSteps = true, 2, 6
	run(t, func(*torchbind.Scope) {
		ctx, cancel := context.WithCancel(context.Background())
		if _, err := Run(ctx, Host{Reporter: &stopper{left: 5, cancel: cancel}}, cfg); !errors.Is(err, context.Canceled) {
			t.Fatalf("error %v, want context.Canceled", err)
		}
	})
	return cfg
}

// What is wrong with a run that should go on is said, and nothing is lost.
func TestResumeErrors(t *testing.T) {
	state := func(cfg settings.Config) string { return filepath.Join(cfg.Out, runs.Checkpoint, checkpointFile) }
	for _, c := range []struct {
		name, want string
		spoil      func(t *testing.T, cfg *settings.Config)
	}{
		{"other setting", `lr: got 0.25, but the run in `, func(t *testing.T, cfg *settings.Config) { cfg.LR = 0.25 }},
		{"other command", "was begun with search, not run", func(t *testing.T, cfg *settings.Config) {
			path := filepath.Join(cfg.Out, runs.ConfigFile)
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			writeTest(t, path, strings.Replace(string(text), `"command": "run"`, `"command": "search"`, 1))
		}},
		{"other data", "the data have changed", func(t *testing.T, cfg *settings.Config) {
			f, err := os.OpenFile(cfg.TrainFile, os.O_APPEND|os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintln(f, "film good\tgood")
			f.Close()
		}},
		{"cut off", "cannot be read", func(t *testing.T, cfg *settings.Config) {
			if err := os.Truncate(state(*cfg), 1000); err != nil {
				t.Fatal(err)
			}
		}},
		{"damaged", "SHA-256", func(t *testing.T, cfg *settings.Config) {
			data, err := os.ReadFile(state(*cfg))
			if err != nil {
				t.Fatal(err)
			}
			data[len(data)-5] ^= 1
			writeTest(t, state(*cfg), string(data))
		}},
		{"empty", "cannot be read", func(t *testing.T, cfg *settings.Config) { writeTest(t, state(*cfg), "") }},
		{"no config", "not what a run writes", func(t *testing.T, cfg *settings.Config) {
			writeTest(t, filepath.Join(cfg.Out, runs.ConfigFile), "{")
		}},
		{"metrics cut", "it was changed", func(t *testing.T, cfg *settings.Config) {
			writeTest(t, filepath.Join(cfg.Out, runs.MetricsFile), "")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := interruptedRun(t)
			c.spoil(t, &cfg)
			before, err := os.ReadFile(state(cfg))
			if err != nil {
				t.Fatal(err)
			}
			run(t, func(*torchbind.Scope) {
				_, err := Run(context.Background(), quiet, cfg)
				if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
					t.Errorf("error %v, want one line with %q", err, c.want)
				}
			})
			if after, err := os.ReadFile(state(cfg)); err != nil || !bytes.Equal(after, before) {
				t.Errorf("the checkpoint was changed: %v", err)
			}
		})
	}
}

// A run whose ranks were changed since it began does not go on, and is not taken as
// complete; one of a version that did not keep their sum does, and one whose ranks are
// gone is complete.
func TestChangedRanks(t *testing.T) {
	const before, after = `{"layers": [{"name": "bert.encoder.layer.1.output.dense", "rank": 3}]}`, `{"layers": [{"name": "bert.encoder.layer.0.output.dense", "rank": 3}]}`
	cfg := tinyConfig(t, "exact")
	cfg.Method, cfg.RanksFile, cfg.Resume, cfg.SaveEvery = runs.MethodAutoLoRA, filepath.Join(t.TempDir(), "ranks.json"), true, 2
	changed := func() {
		t.Helper()
		writeTest(t, cfg.RanksFile, after)
		run(t, func(*torchbind.Scope) {
			if _, err := Train(context.Background(), quiet, cfg); err == nil || err.Error() != "the ranks have changed since the run in "+cfg.Out+" began: choose another folder" {
				t.Errorf("error %v", err)
			}
		})
		writeTest(t, cfg.RanksFile, before)
	}
	writeTest(t, cfg.RanksFile, before)
	run(t, func(*torchbind.Scope) {
		ctx, cancel := context.WithCancel(context.Background())
		if _, err := Train(ctx, Host{Reporter: &stopper{left: 3, cancel: cancel}}, cfg); !errors.Is(err, context.Canceled) {
			t.Fatalf("error %v, want context.Canceled", err)
		}
	})
	changed()
	config := filepath.Join(cfg.Out, runs.ConfigFile)
	kept, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	former := regexp.MustCompile(`"ranks": "[0-9a-f]{64}",`).ReplaceAllString(string(kept), "")
	if former == string(kept) {
		t.Fatalf("no sum of the ranks in %s", kept)
	}
	writeTest(t, config, former)
	mustRun(t, Train, cfg)
	writeTest(t, config, string(kept))
	changed()
	if err := os.Remove(cfg.RanksFile); err != nil {
		t.Fatal(err)
	}
	mustRun(t, Train, cfg)
}

// Without --resume, a stopped run's folder is not touched.
func TestNotResumed(t *testing.T) {
	cfg := interruptedRun(t)
	cfg.Resume = false
	run(t, func(*torchbind.Scope) {
		if _, err := Run(context.Background(), quiet, cfg); !errors.Is(err, runs.ErrNotEmpty) {
			t.Errorf("error %v, want %v", err, runs.ErrNotEmpty)
		}
	})
}

// A disk that is full when a checkpoint is due, and a folder that is gone, end
// the run with an error that says so; the checkpoint before stays good.
func TestCheckpointCannotBeWritten(t *testing.T) {
	t.Run("full disk", func(t *testing.T) {
		disk := t.TempDir()
		if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=300k"); err != nil {
			t.Skipf("a small file system cannot be mounted here: %v", err)
		}
		t.Cleanup(func() { syscall.Unmount(disk, syscall.MNT_DETACH) })
		cfg := tinyConfig(t, "exact")
		alone := cfg
		cfg.Out, cfg.Resume, cfg.SaveEvery, cfg.SearchSteps = filepath.Join(disk, "out"), true, 2, 6
		alone.SearchSteps = 6
		fill := filepath.Join(disk, "fill")
		rep := &filler{stopper: stopper{left: -1}, at: 3, fill: func() { fillDisk(fill) }}
		run(t, func(*torchbind.Scope) {
			if _, err := Run(context.Background(), Host{Reporter: rep}, cfg); err == nil || !strings.Contains(err.Error(), "no space left") || strings.Contains(err.Error(), "\n") {
				t.Fatalf("error %v, want one line with \"no space left\"", err)
			}
		})
		if err := os.Remove(fill); err != nil {
			t.Fatal(err)
		}
		mustRun(t, Run, cfg)
		mustRun(t, Run, alone)
		sameFiles(t, learned(t, cfg.Out), learned(t, alone.Out))
	})
	t.Run("folder gone", func(t *testing.T) {
		cfg := tinyConfig(t, "exact")
		cfg.SaveEvery = 2
		rep := &filler{stopper: stopper{left: -1}, at: 3, fill: func() { os.RemoveAll(cfg.Out) }}
		run(t, func(*torchbind.Scope) {
			if _, err := Run(context.Background(), Host{Reporter: rep}, cfg); err == nil || !strings.Contains(err.Error(), "no such file") || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %v, want one line with \"no such file\"", err)
			}
		})
	})
}

// filler does something to the disk after so many steps.
type filler struct {
	stopper
	at   int
	fill func()
}

func (f *filler) Advance(int, string) {
	if f.at--; f.at == 0 {
		f.fill()
	}
}

// fillDisk writes until the disk is full.
func fillDisk(path string) {
	f, err := os.Create(path)
	if err != nil {
		return
	}
	defer f.Close()
	for block := make([]byte, 512); err == nil; {
		_, err = f.Write(block)
	}
}

// Runs with gradient checkpointing go on after interrupts as others do, and one
// that was begun without may go on with it.
func TestRecomputedResume(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 3))
	for _, m := range []string{runs.MethodFull, runs.MethodAdaLoRA, runs.MethodAutoLoRA} {
		t.Run(m, func(t *testing.T) {
			cfg, err := tinyConfig(t, "exact").Variant(m)
			if err != nil {
				t.Fatal(err)
			}
			cfg.Steps, cfg.SearchSteps, cfg.Unroll, cfg.AdaLoRADeltaT = 11, 9, 2, 2
			cfg.LoRADropout, cfg.Accumulate, cfg.GradientCheckpointing = 0.1, 2, true
			checkResume(t, perform, cfg, rng)
		})
	}
	t.Run("begun without", func(t *testing.T) {
		cfg := interruptedRun(t)
		cfg.GradientCheckpointing = true
		mustRun(t, Run, cfg)
	})
}

// A training learns the same bytes with gradient checkpointing as without.
func TestRecomputedSameBytes(t *testing.T) {
	for _, m := range []string{runs.MethodLoRA, runs.MethodAdapter, runs.MethodAdaLoRA} {
		cfg, err := tinyConfig(t, "exact").Variant(m)
		if err != nil {
			t.Fatal(err)
		}
		cfg.Steps, cfg.LoRADropout = 6, 0.1
		mustRun(t, perform, cfg)
		want := learned(t, cfg.Out)
		cfg.GradientCheckpointing, cfg.Out = true, filepath.Join(t.TempDir(), "out")
		mustRun(t, perform, cfg)
		sameFiles(t, learned(t, cfg.Out), want)
	}
}
