package job

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"autolora/autolora"
	"autolora/autolora/runs"
	"autolora/autolora/settings"
	"autolora/data/metrics"
	"autolora/data/tokenizer"
	"autolora/nn"
	"autolora/nn/safetensors"
	"autolora/torchbind"
)

// tinyModel makes a model folder of the fixture bert-tiny with a tokenizer of
// 120 made-up words.
func tinyModel(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"config.json", "model.safetensors"} {
		data, err := os.ReadFile(fixturePath(filepath.Join("bert-tiny", name)))
		if err != nil {
			t.Fatal(err)
		}
		writeTest(t, filepath.Join(dir, name), string(data))
	}
	vocab := []string{"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "bad", "film"}
	for i := len(vocab); i < 120; i++ {
		vocab = append(vocab, fmt.Sprintf("w%d", i))
	}
	writeTest(t, filepath.Join(dir, "vocab.txt"), strings.Join(vocab, "\n")+"\n")
	return dir
}

func writeTest(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// tinyConfig is a run on a made-up task: is "good" or "bad" in the text?
func tinyConfig(t *testing.T, mode string) settings.Config {
	t.Helper()
	dir := t.TempDir()
	rows := func(n, seed int) string {
		var b strings.Builder
		b.WriteString("text\tlabel\n")
		for i := range n {
			word := []string{"bad", "good"}[(i*7+seed)%2]
			fmt.Fprintf(&b, "film w%d %s w%d w%d\t%s\n", 10+(i*13+seed)%100, word, 10+(i*29)%100, 10+(i*31)%100, word)
		}
		return b.String()
	}
	writeTest(t, filepath.Join(dir, "train.tsv"), rows(61, 0))
	writeTest(t, filepath.Join(dir, "dev.tsv"), rows(23, 1))
	cfg := settings.Default()
	cfg.Model, cfg.Out = tinyModel(t), filepath.Join(t.TempDir(), "out")
	cfg.TrainFile, cfg.DevFile = filepath.Join(dir, "train.tsv"), filepath.Join(dir, "dev.tsv")
	cfg.Kind, cfg.Text, cfg.Label = "classification", []string{"text"}, "label"
	cfg.MaxLength, cfg.BatchSize, cfg.K, cfg.SearchSteps, cfg.Steps, cfg.NewHead = 16, 8, 4, 6, 6, true
	cfg.Dropout, cfg.Hypergradient, cfg.LogEvery = 0.1, autolora.Mode(mode), 2
	cfg.SearchLR, cfg.AlphaLR, cfg.LR = 5e-3, 5e-2, 5e-3
	return cfg
}

// notes collects what a run says.
type notes struct {
	silent
	lines []string
}

func (n *notes) Note(line string) { n.lines = append(n.lines, line) }

func mustRun(t *testing.T, fn func(context.Context, Host, settings.Config) (*Outcome, error), cfg settings.Config) *Outcome {
	t.Helper()
	var out *Outcome
	run(t, func(*torchbind.Scope) {
		var err error
		if out, err = fn(context.Background(), quiet, cfg); err != nil {
			t.Fatal(err)
		}
	})
	return out
}

func readJSON(t *testing.T, path string, v any) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(data, v)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// The whole job, what it writes, and that eval and predict agree with it.
func TestRun(t *testing.T) {
	for _, mode := range autolora.Modes {
		t.Run(string(mode), func(t *testing.T) {
			cfg := tinyConfig(t, string(mode))
			out := mustRun(t, Run, cfg)
			var results map[string]any
			readJSON(t, filepath.Join(cfg.Out, runs.ResultsFile), &results)
			for _, key := range []string{"task", "method", "seed", "scores", "parameters", "seconds", "steps", "peak_memory_bytes"} {
				if _, ok := results[key]; !ok {
					t.Errorf("results.json has no %q", key)
				}
			}
			if out.Results.Examples != 23 {
				t.Errorf("%d examples evaluated, want all 23", out.Results.Examples)
			}
			var ranks runs.Ranks
			readJSON(t, filepath.Join(cfg.Out, runs.RanksFile), &ranks)
			if ranks.K != 4 || len(ranks.Layers) != 4 || len(ranks.Layers[0].Alpha) != 4 || ranks.Layers[1].Name != "bert.encoder.layer.0.attention.self.value" {
				t.Errorf("ranks.json: %+v", ranks)
			}
			for _, name := range []string{"config.json", "metrics.jsonl", "adapter/adapter_config.json", "adapter/adapter_model.safetensors", "adapter/README.md"} {
				if info, err := os.Stat(filepath.Join(cfg.Out, name)); err != nil || info.Size() == 0 {
					t.Errorf("%s: %v", name, err)
				}
			}
			checkAgain(t, cfg, out)
		})
	}
}

// checkAgain evaluates and predicts from the files of a run.
func checkAgain(t *testing.T, cfg settings.Config, out *Outcome) {
	t.Helper()
	run(t, func(*torchbind.Scope) {
		again, err := Eval(context.Background(), quiet, cfg, cfg.Out, "dev")
		if err != nil {
			t.Fatal(err)
		}
		if again.Results.Scores["accuracy"] != out.Results.Scores["accuracy"] {
			t.Errorf("eval gives accuracy %v, the run %v", again.Results.Scores, out.Results.Scores)
		}
		input := filepath.Join(t.TempDir(), "in.jsonl")
		writeTest(t, input, `{"text": "film good"}`+"\n"+`{"text": "w9 bad w11"}`+"\n")
		var lines bytes.Buffer
		n, err := Predict(context.Background(), quiet, cfg, PredictConfig{Adapter: cfg.Out, Input: input}, &lines)
		if err != nil || n != 2 || strings.Count(lines.String(), "\n") != 2 || !strings.Contains(lines.String(), `{"logits":[`) || !strings.Contains(lines.String(), `"label":"`) || strings.Contains(lines.String(), "LABEL_") {
			t.Errorf("predict: %d, %v: %s", n, err, lines.String())
		}
	})
}

// The same seed gives the same bytes; another seed does not.
func TestSameSeedSameBytes(t *testing.T) {
	cfg := tinyConfig(t, "exact")
	files := []string{runs.RanksFile, "adapter/adapter_model.safetensors", "adapter/adapter_config.json"}
	made := make([][][]byte, 3)
	for i := range made {
		c := cfg
		c.Out = filepath.Join(t.TempDir(), "out")
		if i == 2 {
			c.Seed++
		}
		mustRun(t, Run, c)
		for _, name := range files {
			data, err := os.ReadFile(filepath.Join(c.Out, name))
			if err != nil {
				t.Fatal(err)
			}
			made[i] = append(made[i], data)
		}
	}
	for i, name := range files {
		if !bytes.Equal(made[0][i], made[1][i]) {
			t.Errorf("%s differs between two runs of one seed", name)
		}
	}
	if bytes.Equal(made[0][1], made[2][1]) {
		t.Error("another seed gives the same adapter")
	}
}

// Every method of train, from ranks alone too, and the exports.
func TestTrainMethodsAndExport(t *testing.T) {
	for _, method := range []string{runs.MethodFull, runs.MethodLoRA, runs.MethodAutoLoRA} {
		t.Run(method, func(t *testing.T) {
			cfg := tinyConfig(t, "exact")
			cfg.Method, cfg.Accumulate, cfg.Clip = method, 2, 0.5
			ranks := filepath.Join(t.TempDir(), "ranks.json")
			if NeedsRanks(method) {
				cfg.RanksFile = ranks
			}
			writeTest(t, ranks, `{"layers": [{"name": "bert.encoder.layer.0.attention.self.query", "rank": 0}, {"name": "bert.encoder.layer.1.output.dense", "rank": 3}]}`)
			out := mustRun(t, Train, cfg)
			if out.Results.Method != method || out.Results.Steps.Search != 0 || out.Results.Steps.Train != 6 {
				t.Errorf("results %+v", out.Results)
			}
			if method == runs.MethodFull {
				eval := cfg
				eval.Model = filepath.Join(cfg.Out, runs.ModelDir)
				run(t, func(*torchbind.Scope) {
					again, err := Eval(context.Background(), quiet, eval, "", "dev")
					if err != nil {
						t.Fatal(err)
					}
					if again.Results.Scores["accuracy"] != out.Results.Scores["accuracy"] {
						t.Errorf("the written model scores %v, want %v", again.Results.Scores, out.Results.Scores)
					}
				})
				return
			}
			checkAgain(t, cfg, out)
			run(t, func(*torchbind.Scope) {
				for _, format := range []string{FormatPEFT, FormatFolded, FormatMerged} {
					dir := filepath.Join(t.TempDir(), format)
					files, err := Export(context.Background(), quiet, cfg, cfg.Out, format, "", dir)
					if err != nil || len(files) < 2 {
						t.Errorf("export %s: %v %v", format, files, err)
					}
				}
			})
		})
	}
}

// Targets that are given beside ranks of other layers are refused.
func TestTargetsOfRanks(t *testing.T) {
	cfg := tinyConfig(t, "exact")
	cfg.Method, cfg.RanksFile = runs.MethodAutoLoRA, filepath.Join(t.TempDir(), "ranks.json")
	writeTest(t, cfg.RanksFile, `{"layers": [{"name": "bert.encoder.layer.0.attention.self.query", "rank": 0}, {"name": "bert.encoder.layer.1.attention.self.query", "rank": 3}]}`)
	for target, want := range map[string]string{
		"all-linear":    "has no rank of bert.encoder.layer.0.attention.self.key",
		"layer.0.query": `target "layer.0.query" names no linear layer`,
		"output.dense":  "target: got output.dense, but ",
		"bert.encoder.layer.0.attention.self.query": "has a rank of bert.encoder.layer.1.attention.self.query",
		"query": "",
	} {
		cfg.Targets, cfg.Out = []string{target}, filepath.Join(t.TempDir(), "out")
		run(t, func(*torchbind.Scope) {
			_, err := Train(context.Background(), quiet, cfg)
			if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
				t.Errorf("target %s: %v, want %q", target, err, want)
			}
		})
		if _, err := os.Stat(cfg.Out); want != "" && !errors.Is(err, os.ErrNotExist) {
			t.Errorf("target %s: the folder is left: %v", target, err)
		}
	}
}

// A regression trains, scores with Spearman and Pearson, and begins near the mean of its
// labels, however far that is from 0; all losses are in the labels' units, and those of
// the adapter that is written are the run's to the bit.
func TestRegression(t *testing.T) {
	cfg := tinyConfig(t, "exact")
	var rows strings.Builder
	rows.WriteString("a,b,score\n")
	for i := range 40 {
		fmt.Fprintf(&rows, "film w%d,good w%d,%.2f\n", 10+i, 10+(i*3)%60, float64(1000+100*(i%7)))
	}
	cfg.TrainFile = filepath.Join(t.TempDir(), "train.csv")
	writeTest(t, cfg.TrainFile, rows.String())
	cfg.DevFile, cfg.Kind, cfg.Text, cfg.Label = cfg.TrainFile, "regression", []string{"a", "b"}, "score"
	out := mustRun(t, Run, cfg)
	for _, name := range []string{"pearson", "spearman"} {
		if _, ok := out.Results.Scores[name]; !ok {
			t.Errorf("no %s in %v", name, out.Results.Scores)
		}
	}
	const variance = 4e4 // about
	if loss := out.Results.Scores[metrics.NameLoss]; loss > 2*variance || out.Results.TrainLoss[0] > 4*variance {
		t.Errorf("held-out loss %v, training's %v", loss, out.Results.TrainLoss[0])
	}
	run(t, func(*torchbind.Scope) {
		again, err := Eval(context.Background(), quiet, cfg, cfg.Out, "dev")
		if err != nil || again.Results.Scores[metrics.NameLoss] != out.Results.Scores[metrics.NameLoss] {
			t.Errorf("scores of the adapter %v, of the run %v: %v", again.Results.Scores, out.Results.Scores, err)
		}
	})
}

// A loss that is not finite stops the run, names the step, and leaves the last
// good state; so does an evaluation after a step that broke the weights.
func TestDivergence(t *testing.T) {
	once := func(method string, c *settings.Config) {
		c.Method, c.LR, c.Steps, c.Warmup, c.GridRanks = method, 1e30, 1, 0, []int64{1}
	}
	for _, c := range []struct {
		name, phase, saved string
		job                func(context.Context, Host, settings.Config) (*Outcome, error)
		task               settings.Config
		change             func(*settings.Config)
	}{
		{"search", "search", runs.RanksFile, Search, tinyConfig(t, "exact"), func(c *settings.Config) { c.SearchLR, c.SearchSteps = 1e30, 50 }},
		{"rule", "search", "", Search, tinyConfig(t, "exact"), func(c *settings.Config) { c.SearchLR, c.Rule = 1e30, autolora.AblationRule }},
		{"train", "train", "adapter/adapter_model.safetensors", Train, tinyConfig(t, "exact"), func(c *settings.Config) { c.Method, c.LR, c.Steps = runs.MethodLoRA, 1e30, 50 }},
		{"last step", "train", "adapter/adapter_model.safetensors", Train, tinyConfig(t, "exact"), func(c *settings.Config) { once(runs.MethodLoRA, c) }},
		{"last step of texts", "train", "adapter/adapter_model.safetensors", Train, tinyGeneration(t, "llama"), func(c *settings.Config) { once(runs.MethodLoRA, c) }},
		{"evaluated", "train", "adapter/adapter_model.safetensors", Train, tinyConfig(t, "exact"), func(c *settings.Config) {
			once(runs.MethodLoRA, c)
			c.Steps, c.EvalEvery = 3, 1
		}},
		{"grid", "train", runs.GridFile, Train, tinyConfig(t, "exact"), func(c *settings.Config) { once(runs.MethodLoRAGrid, c) }},
		{"grid of texts", "train", runs.GridFile, Train, tinyGeneration(t, "llama"), func(c *settings.Config) { once(runs.MethodLoRAGrid, c) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := c.task
			c.change(&cfg)
			run(t, func(*torchbind.Scope) {
				_, err := c.job(context.Background(), quiet, cfg)
				var diverged *DivergedError
				if !errors.As(err, &diverged) {
					t.Fatalf("error %v, want a DivergedError", err)
				}
				if diverged.Step < 1 || diverged.Good >= int64(diverged.Step) || !strings.Contains(err.Error(), c.phase+" step") || strings.Contains(err.Error(), "\n") {
					t.Errorf("error %q", err)
				}
				if kept := strings.Contains(err.Error(), "is in "+cfg.Out); kept != (c.saved != "") {
					t.Errorf("error %q, and the state is kept: %v", err, !kept)
				}
			})
			if _, err := os.Stat(filepath.Join(cfg.Out, c.saved)); (err == nil) != (c.saved != "") {
				t.Errorf("what is kept in %q: %v", c.saved, err)
			}
		})
	}
}

func TestCancelEndsWithinAStep(t *testing.T) {
	for _, steps := range []int{1, 3, 8} {
		cfg := tinyConfig(t, "exact")
		ctx, cancel := context.WithCancel(context.Background())
		rep := &stopper{left: steps, cancel: cancel}
		run(t, func(*torchbind.Scope) {
			if _, err := Run(ctx, Host{Reporter: rep}, cfg); !errors.Is(err, context.Canceled) {
				t.Errorf("error %v, want context.Canceled", err)
			}
		})
		if rep.left != 0 {
			t.Errorf("%d more steps after the cancel", -rep.left)
		}
		entries, err := os.ReadDir(cfg.Out)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if !slices.Contains(runs.Names, e.Name()) && e.Name() != runs.Own {
				t.Errorf("%s is left behind", e.Name())
			}
		}
	}
}

// beginner cancels a context as a phase begins.
type beginner struct {
	silent
	phase  string
	cancel context.CancelFunc
}

func (b beginner) Begin(phase string, _, _ int) {
	if phase == b.phase {
		b.cancel()
	}
}

// An interrupt while a model is loaded for the next phase is seen after a whole step,
// from which the run goes on.
func TestCancelBetweenPhases(t *testing.T) {
	cfg := tinyConfig(t, "exact")
	cfg.Accumulate = 2
	ctx, cancel := context.WithCancel(context.Background())
	run(t, func(*torchbind.Scope) {
		_, err := Run(ctx, Host{Reporter: beginner{phase: "train", cancel: cancel}}, cfg)
		if !errors.As(err, new(*ResumableError)) || !strings.Contains(err.Error(), "train stopped after step 1 of 6") {
			t.Errorf("error %v", err)
		}
	})
}

// Wrong settings and data end in one line before any training.
func TestRunErrors(t *testing.T) {
	full := func(name string) func(*settings.Config) {
		return func(c *settings.Config) {
			c.Out = filepath.Join(t.TempDir(), "full")
			if err := os.Mkdir(c.Out, 0o755); err != nil {
				t.Fatal(err)
			}
			writeTest(t, filepath.Join(c.Out, name), "mine")
		}
	}
	for _, c := range []struct {
		name   string
		change func(*settings.Config)
		want   string
	}{
		{"output exists", full("results.json"), "is not empty"},
		{"output below a file", func(c *settings.Config) { c.Out = filepath.Join(c.TrainFile, "out") }, "output folder"},
		{"no output", func(c *settings.Config) { c.Out = "" }, "no output folder"},
		{"no model", func(c *settings.Config) { c.Model = "" }, "model: "},
		{"missing model", func(c *settings.Config) { c.Model = "./no/such/folder" }, "no/such/folder"},
		{"bad mode", func(c *settings.Config) { c.Hypergradient = "third-order" }, "hypergradient: "},
		{"bad device", func(c *settings.Config) { c.Device = "tpu" }, "device: "},
		{"max length over the positions", func(c *settings.Config) { c.MaxLength = 64 }, "max-length: "},
		{"one class", func(c *settings.Config) {
			c.TrainFile = filepath.Join(t.TempDir(), "t.tsv")
			writeTest(t, c.TrainFile, "text\tlabel\na\tx\nb\tx\n")
		}, "want at least two classes"},
		{"unknown dev label", func(c *settings.Config) {
			c.DevFile = filepath.Join(t.TempDir(), "d.tsv")
			writeTest(t, c.DevFile, "text\tlabel\na\tgood\nb\tugly\n")
		}, "d.tsv: line 3"},
		{"missing column", func(c *settings.Config) { c.Text = []string{"sentence"} }, `sentence`},
		{"task and files", func(c *settings.Config) { c.Task = "sst2" }, "exclude each other"},
		{"head of another size", func(c *settings.Config) { c.NewHead = false }, "its head has 3 outputs, want 2"},
		{"unknown target", func(c *settings.Config) { c.Targets = []string{"proj"} }, "proj"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := tinyConfig(t, "exact")
			c.change(&cfg)
			run(t, func(*torchbind.Scope) {
				_, err := Run(context.Background(), quiet, cfg)
				switch {
				case err == nil:
					t.Error("no error")
				case !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n"):
					t.Errorf("error %q, want one line with %q", err, c.want)
				}
			})
		})
	}
}

// A model whose classes stand in another order than the task's is scored right.
func TestHeadOrder(t *testing.T) {
	cfg := tinyConfig(t, "exact")
	cfg.Method = runs.MethodFull
	mustRun(t, Train, cfg)
	dir := filepath.Join(cfg.Out, runs.ModelDir)
	run(t, func(s *torchbind.Scope) {
		m, err := nn.Load(dir, nn.LoadConfig{Labels: 2, Head: nn.HeadStored, DType: torchbind.Float32, Device: torchbind.CPU})
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		if got := m.LabelNames(); !slices.Equal(got, []string{"bad", "good"}) {
			t.Fatalf("labels %v", got)
		}
		if err := m.ReorderHead([]int{1, 0}); err != nil {
			t.Fatal(err)
		}
		turned := filepath.Join(t.TempDir(), "turned")
		if err := m.Write(turned, []string{"good", "bad"}, safetensors.F32); err != nil {
			t.Fatal(err)
		}
		scores := make([]float64, 2)
		for i, model := range []string{dir, turned} {
			c := cfg
			c.Model = model
			out, err := Eval(context.Background(), quiet, c, "", "dev")
			if err != nil {
				t.Fatal(err)
			}
			scores[i] = out.Results.Scores["accuracy"]
		}
		if scores[0] != scores[1] {
			t.Errorf("accuracies %v of one model with its classes in two orders", scores)
		}
	})
}

// A max-length that nobody chose is no more than the model has positions for.
func TestLengthFitsPositions(t *testing.T) {
	cfg := tinyConfig(t, "exact")
	cfg.Method, cfg.MaxLength, cfg.Steps = runs.MethodLoRA, settings.Default().MaxLength, 2
	arch, err := nn.ReadConfig(cfg.Model)
	if err != nil {
		t.Fatal(err)
	}
	most := int(arch.MaxTokens())
	if most >= cfg.MaxLength {
		t.Fatalf("the model has positions for %d tokens: not the case to test", most)
	}
	said := &notes{}
	run(t, func(*torchbind.Scope) {
		if _, err := Train(context.Background(), Host{Reporter: said}, cfg); err != nil {
			t.Fatal(err)
		}
	})
	note := fmt.Sprintf("max-length is %d: the model has positions for %[1]d tokens", most)
	if !slices.Contains(said.lines, note) {
		t.Errorf("notes %q, want %q", said.lines, note)
	}
	if saved, err := readSavedConfig(cfg.Out); err != nil || saved.Settings.MaxLength != most {
		t.Errorf("config.json: %+v, %v", saved, err)
	}
	cfg.Resume = true // as a comparison does with a run that is complete
	mustRun(t, Train, cfg)

	splits, _, err := ReadFile(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if lengths, _, err := Read(t.Context(), cfg, splits.Train); err != nil || lengths.Limit != most || !strings.Contains(lengths.String(), "0 of 61 longer") {
		t.Errorf("lengths %v, %v; want the limit %d", lengths, err, most)
	}
	tok, err := tokenizer.Load(cfg.Model)
	if err != nil {
		t.Fatal(err)
	}
	defer tok.Close()
	if lengths, err := tokenLengths(t.Context(), tok, nil, cfg, splits.Train, 40); err != nil || !strings.Contains(lengths.String(), "0 of the 40 drawn longer") {
		t.Errorf("lengths %v, %v; want those of 40", lengths, err)
	}
}
