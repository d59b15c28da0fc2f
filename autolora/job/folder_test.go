package job

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"autolora/autolora/runs"
	"autolora/autolora/settings"
	"autolora/torchbind"
)

// fails runs do with cfg, which has to end in an error of one line with want.
func fails(t *testing.T, do func(context.Context, Host, settings.Config) (*Outcome, error), cfg settings.Config, want string) {
	t.Helper()
	run(t, func(*torchbind.Scope) {
		if _, err := do(context.Background(), quiet, cfg); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("error %v, want one line with %q", err, want)
		}
	})
}

// everything returns all files of a folder.
func everything(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() == "lock" {
			return err
		}
		data, err := os.ReadFile(path)
		all[path] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// Runs that cannot start leave no folder in the way, and earlier results as they
// were.
func TestFailsEarly(t *testing.T) {
	cfg := tinyConfig(t, "exact")
	cfg.Method, cfg.Steps = runs.MethodLoRA, 2
	mustRun(t, Train, cfg)
	before := everything(t, cfg.Out)
	for _, c := range []struct {
		name, want string
		change     func(c *settings.Config)
	}{
		{"rank", "rank", func(c *settings.Config) { c.Rank = 4000 }},
		{"weights cut off", "model.safetensors", func(c *settings.Config) {
			c.Model = filepath.Join(t.TempDir(), "m")
			if err := os.CopyFS(c.Model, os.DirFS(cfg.Model)); err != nil {
				t.Fatal(err)
			}
			if err := os.Truncate(filepath.Join(c.Model, "model.safetensors"), 5000); err != nil {
				t.Fatal(err)
			}
		}},
		{"a column that is not there", "sentence", func(c *settings.Config) { c.Text = []string{"sentence"} }},
		{"a target that is not there", "no_such_layer", func(c *settings.Config) { c.Targets = []string{"no_such_layer"} }},
		{"a size", "bottleneck", func(c *settings.Config) { c.Method, c.AdapterSize = runs.MethodAdapter, 4000 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			again := cfg
			again.Overwrite, again.TensorBoard = true, true
			c.change(&again)
			fails(t, Train, again, c.want)
			if !maps.Equal(everything(t, cfg.Out), before) {
				t.Error("the earlier results were changed")
			}
			parent := t.TempDir()
			again.Out, again.Overwrite = filepath.Join(parent, "made", "out"), false
			fails(t, Train, again, c.want)
			if entries, err := os.ReadDir(parent); err != nil || len(entries) > 0 {
				t.Errorf("left %v, %v", entries, err)
			}
		})
	}
}

// A run that is to replace another leaves that until it is complete, goes on where
// it was interrupted, and takes its place.
func TestOverwrite(t *testing.T) {
	cfg := tinyConfig(t, "exact")
	cfg.SearchSteps = 6
	mustRun(t, Run, cfg)
	notes := filepath.Join(cfg.Out, "notes.txt")
	writeTest(t, notes, "mine")
	first := learned(t, cfg.Out)

	cfg.Overwrite, cfg.Seed, cfg.SaveEvery = true, 5, 2
	run(t, func(*torchbind.Scope) {
		ctx, cancel := context.WithCancel(context.Background())
		if _, err := Run(ctx, Host{Reporter: &stopper{left: 5, cancel: cancel}}, cfg); !errors.Is(err, context.Canceled) {
			t.Fatalf("error %v, want context.Canceled", err)
		}
	})
	sameFiles(t, learned(t, cfg.Out), first)
	cfg.Overwrite, cfg.Resume = false, true
	mustRun(t, Run, cfg)
	second := learned(t, cfg.Out)
	if text, err := os.ReadFile(notes); string(text) != "mine" {
		t.Errorf("the notes have %q, %v", text, err)
	}
	alone := cfg
	alone.Out, alone.Resume = filepath.Join(t.TempDir(), "alone"), false
	mustRun(t, Run, alone)
	sameFiles(t, second, learned(t, alone.Out))
	entries, err := os.ReadDir(cfg.Out)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if name := e.Name(); name != runs.Own && name != "notes.txt" && !slices.Contains(runs.Names, name) || name == runs.Checkpoint {
			t.Errorf("%s is left", name)
		}
	}
}

// What a run reads is not where it writes.
func TestOutputApart(t *testing.T) {
	cfg := tinyConfig(t, "exact")
	project := t.TempDir()
	model := filepath.Join(project, runs.ModelDir)
	if err := os.CopyFS(model, os.DirFS(cfg.Model)); err != nil {
		t.Fatal(err)
	}
	cfg.Model = model
	before := everything(t, project)
	for out, want := range map[string]string{
		project:                               "holds the model",
		model:                                 "is the model",
		filepath.Join(model, "out"):           "lies in the model",
		filepath.Dir(cfg.TrainFile):           "holds the training data",
		project + "/none/../" + "model/./new": "lies in the model",
	} {
		for _, c := range []settings.Config{{Overwrite: true}, {Resume: true}, {}} {
			this := cfg
			this.Out, this.Overwrite, this.Resume = out, c.Overwrite, c.Resume
			fails(t, Run, this, want)
			fails(t, func(ctx context.Context, host Host, cfg settings.Config) (*Outcome, error) {
				return nil, Compare(ctx, host, cfg, nil)
			}, this, want)
		}
	}
	if !maps.Equal(everything(t, project), before) {
		t.Error("the folder was changed")
	}
}

// A comparison that fails before its first run leaves no folder in the way.
func TestComparisonFailsEarly(t *testing.T) {
	cfg := tinyComparison(t, "lora")
	cfg.Rank, cfg.Controls = 4000, false
	plan, err := Plan(cfg)
	if err != nil {
		t.Fatal(err)
	}
	run(t, func(*torchbind.Scope) {
		if err := Compare(context.Background(), quiet, cfg, plan); err == nil || !strings.Contains(err.Error(), "rank") {
			t.Errorf("error %v", err)
		}
	})
	if _, err := os.Stat(cfg.Out); err == nil {
		t.Error("the folder is left")
	}
}

// A second run in a folder is told of the first, which is not disturbed.
func TestTwoRunsInOneFolder(t *testing.T) {
	cfg := interruptedRun(t)
	first, err := runs.Open(cfg.Out)
	if err != nil {
		t.Fatal(err)
	}
	before := everything(t, cfg.Out)
	for _, overwrite := range []bool{false, true} {
		cfg.Resume, cfg.Overwrite = !overwrite, overwrite
		fails(t, Run, cfg, "is in use by process ")
	}
	if !maps.Equal(everything(t, cfg.Out), before) {
		t.Error("the folder was changed")
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	cfg.Resume, cfg.Overwrite = true, false
	mustRun(t, Run, cfg)
}

// A checkpoint in which anything was changed is refused: tensors, names, progress.
func TestCheckpointSum(t *testing.T) {
	cfg := interruptedRun(t)
	file := filepath.Join(cfg.Out, runs.Checkpoint, checkpointFile)
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if c, err := openCheckpoint(cfg.Out, checkpointName); err != nil {
		t.Fatal(err)
	} else {
		c.close()
	}
	for _, change := range [][2]string{
		{`\"step\":5`, `\"step\":3`}, {`\"phase\":\"search\"`, `\"phase\":\"SEARCH\"`}, {`\"seed\":`, `\"sEed\":`}, {`\"metrics\":`, `\"metricS\":`}, {`"F32"`, `"I32"`},
	} {
		damaged := strings.Replace(string(whole), change[0], change[1], 1)
		if damaged == string(whole) {
			t.Fatalf("%s is not in the checkpoint", change[0])
		}
		writeTest(t, file, damaged)
		if _, err := openCheckpoint(cfg.Out, checkpointName); err == nil || !strings.Contains(err.Error(), "nothing was changed") {
			t.Errorf("%s for %s: error %v", change[1], change[0], err)
		}
	}
	for at := 8; at < len(whole); at += 211 { // beyond the length of the header
		damaged := slices.Clone(whole)
		damaged[at] ^= 4
		writeTest(t, file, string(damaged))
		if c, err := openCheckpoint(cfg.Out, checkpointName); err == nil {
			c.close()
			t.Errorf("byte %d (%q) may be changed", at, whole[max(8, at-20):min(len(whole), at+20)])
		}
	}
}
