package job

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"autolora/autolora/runs"
	"autolora/autolora/settings"
	"autolora/data"
	"autolora/data/metrics"
	"autolora/torchbind"
)

// tinyChat is a run on made-up conversations: what a place has to eat, asked twice.
func tinyChat(t *testing.T) settings.Config {
	t.Helper()
	cfg := tinyGeneration(t, "llama")
	const template = "{% for m in messages %}{{ m.role[0] }} : {{ m.content }}{% if m.role == 'assistant' %}<|endoftext|>{% else %} {% endif %}{% endfor %}{% if add_generation_prompt %}a : {% endif %}"
	writeTest(t, filepath.Join(cfg.Model, "chat_template.jinja"), template)
	rows := func(n, seed int) string {
		var b strings.Builder
		for i := range n {
			place, food := string(rune('a'+(i*7+seed)%26)), string(rune('a'+(i*3+seed)%26))
			fmt.Fprintf(&b, `{"messages": [{"role": "user", "content": "what has %s"}, {"role": "assistant", "content": "%s"}, {"role": "user", "content": "again"}, {"role": "assistant", "content": "%s"}]}`+"\n", place, food, food)
		}
		return b.String()
	}
	cfg.TrainFile, cfg.DevFile = filepath.Join(filepath.Dir(cfg.TrainFile), "train.jsonl"), filepath.Join(filepath.Dir(cfg.DevFile), "dev.jsonl")
	writeTest(t, cfg.TrainFile, rows(41, 0))
	writeTest(t, cfg.DevFile, rows(7, 1))
	cfg.Kind, cfg.Text, cfg.Label, cfg.MaxLength = "", nil, "", 56
	return cfg
}

// forgetfulChat is tinyChat with a template that leaves out what the assistant said in earlier turns, as Qwen3's does
// with thoughts: each turn is an example.
func forgetfulChat(t *testing.T) settings.Config {
	t.Helper()
	cfg := tinyChat(t)
	writeTest(t, filepath.Join(cfg.Model, "chat_template.jinja"), "{% for m in messages %}{{ m.role[0] }} : {% if m.role == 'user' or loop.last %}{{ m.content }}{% endif %}{% if m.role == 'assistant' %}<|endoftext|>{% else %} {% endif %}{% endfor %}{% if add_generation_prompt %}a : {% endif %}")
	return cfg
}

// What is said of conversations, and trained on, are the texts that are read of them.
func TestChatsInPieces(t *testing.T) {
	cfg, said := forgetfulChat(t), notes{}
	cfg.Method, cfg.Steps, cfg.MaxLength = runs.MethodLoRA, 2, 20
	run(t, func(*torchbind.Scope) {
		out, err := Train(t.Context(), Host{Reporter: &said}, cfg)
		if err != nil {
			t.Fatal(err)
		}
		if out.Results.TrainExamples != 82 {
			t.Errorf("trained on %d examples", out.Results.TrainExamples)
		}
	})
	for _, want := range []string{": 41 examples; tokens: median ", " of 82 longer than max-length 20", "train: 41 conversations are read as several examples each, 82 in all"} {
		if !strings.Contains(strings.Join(said.lines, "\n"), want) {
			t.Errorf("%q does not say %q", said.lines, want)
		}
	}
	splits, _, err := ReadFile(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	lengths, readings, err := Read(t.Context(), cfg, splits.Train)
	if err != nil || lengths.Examples != 82 || len(readings) != 3 || readings[0].Where != readings[1].Where || readings[1].Where == readings[2].Where {
		t.Errorf("lengths %v, read %v, %v", lengths, readings, err)
	}
}

// furthest keeps where a phase was seen last.
type furthest struct {
	silent
	done int
}

func (f *furthest) Advance(done int, _ string) { f.done = done }

// What a training is watched by is the loss, also where texts are asked for in the end.
func TestChatsAreWatchedByLoss(t *testing.T) {
	cfg := tinyChat(t)
	cfg.Method, cfg.Steps, cfg.EvalEvery, cfg.Metrics = runs.MethodLoRA, 2, 1, []string{metrics.NameBLEU}
	r := mustRun(t, Train, cfg).Results
	if _, ok := r.Scores[metrics.NameBLEU]; !ok || len(r.Evaluations) != 2 || len(r.Evaluations[0].Scores) > 0 || r.Evaluations[1].Loss != r.Scores[metrics.NameLoss] {
		t.Errorf("scores %v after evaluations %+v", r.Scores, r.Evaluations)
	}
}

// What targets stand for is said where layers are chosen by them.
func TestTargetsAreNotedWhereTheyCount(t *testing.T) {
	for method, want := range map[string]int{runs.MethodLoRA: 1, runs.MethodAdaLoRA: 1, runs.MethodAutoLoRA: 1, runs.MethodFull: 0, runs.MethodAdapter: 0} {
		cfg, rep := tinyChat(t), &notes{}
		cfg.Method, cfg.Steps, cfg.SearchSteps, cfg.Targets = method, 1, 1, []string{"attention.self.query"}
		do := Train
		if method == runs.MethodAutoLoRA {
			do = Run
		}
		run(t, func(*torchbind.Scope) {
			if _, err := do(t.Context(), Host{Reporter: rep}, cfg); err != nil {
				t.Fatal(err)
			}
			if method == runs.MethodLoRA {
				cfg.DevFile = cfg.TrainFile
				if _, err := Eval(t.Context(), Host{Reporter: rep}, cfg, cfg.Out, "dev"); err != nil {
					t.Fatal(err)
				}
			}
		})
		if got := strings.Count(strings.Join(rep.lines, "\n"), "target attention.self.query is "); got != want {
			t.Errorf("%s: said %d times, want %d", method, got, want)
		}
	}
}

// TestRunChats searches and trains on conversations, of which only what the assistant says is scored, and asks the adapter.
func TestRunChats(t *testing.T) {
	cfg := tinyChat(t)
	out, adapter := mustRun(t, Run, cfg), filepath.Join(cfg.Out, runs.AdapterDir)
	scores := out.Results.Scores
	if loss := scores[metrics.NameLoss]; len(scores) != 2 || scores[metrics.NamePerplexity] != math.Exp(loss) || loss <= 0 {
		t.Errorf("scores %v: want the loss and e to it", scores)
	}
	if _, err := os.Stat(filepath.Join(cfg.Out, runs.HypothesesFile)); err == nil {
		t.Error("texts were written that nobody asked for")
	}
	for _, file := range []string{"chat_template.jinja", "autolora.json"} {
		if _, err := os.Stat(filepath.Join(adapter, file)); err != nil {
			t.Error(err)
		}
	}
	card, err := os.ReadFile(filepath.Join(adapter, "README.md"))
	if err != nil || !bytes.Contains(card, []byte("apply_chat_template(messages, add_generation_prompt=True")) {
		t.Errorf("the card does not say how to ask: %s, %v", card, err)
	}
	asking := settings.Default()
	asking.DevFile = cfg.DevFile
	if _, err := Recall(&asking, adapter, func(string) bool { return false }); err != nil {
		t.Fatal(err)
	}
	asking.Model = cfg.Model
	if asking.Kind != data.Chat {
		t.Errorf("the adapter keeps the kind %s", asking.Kind)
	}
	run(t, func(*torchbind.Scope) {
		told := furthest{}
		again, err := Eval(t.Context(), Host{Reporter: &told}, asking, adapter, "dev")
		if err != nil {
			t.Fatal(err)
		}
		if got := again.Results.Scores[metrics.NameLoss]; math.Abs(got-scores[metrics.NameLoss]) > 1e-6 {
			t.Errorf("eval has the loss %v, the run %v", got, scores[metrics.NameLoss])
		}
		if told.done != 7 {
			t.Errorf("eval was seen at %d of 7 examples", told.done)
		}
		asking.Metrics = []string{metrics.NameBLEU}
		again, err = Eval(t.Context(), quiet, asking, adapter, "dev")
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := again.Results.Scores[metrics.NameBLEU]; !ok || again.Results.Primary != metrics.NamePerplexity {
			t.Errorf("asked for BLEU: scores %v, primary %s", again.Results.Scores, again.Results.Primary)
		}
		input := filepath.Join(t.TempDir(), "in.jsonl")
		writeTest(t, input, `{"messages": [{"role": "user", "content": "what has a"}], "id": 7}`+"\n")
		var lines bytes.Buffer
		if n, err := Predict(t.Context(), quiet, asking, PredictConfig{Adapter: adapter, Input: input}, &lines); err != nil || n != 1 {
			t.Fatalf("%d, %v", n, err)
		}
		var line struct {
			Text *string
			ID   int
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil || line.Text == nil || line.ID != 7 {
			t.Errorf("predicted %s, %v", lines.Bytes(), err)
		}
	})
}

func TestChatErrors(t *testing.T) {
	broken := tinyChat(t)
	writeTest(t, filepath.Join(broken.Model, "chat_template.jinja"), "{% if %}")
	refuses := tinyChat(t)
	writeTest(t, filepath.Join(refuses.Model, "chat_template.jinja"), "{{ raise_exception('roles must alternate') }}")
	encoder := tinyChat(t)
	encoder.Model, encoder.MaxLength = tinyModel(t), 32
	for want, cfg := range map[string]settings.Config{
		"train.jsonl: line 1: " + filepath.Join(broken.Model, "chat_template.jinja") + ": the chat template: line 1: unexpected end of block": broken,
		"train.jsonl: line 1: the chat template refuses the conversation: roles must alternate":                                               refuses,
		"has no head that generates text, and train is a task of chat":                                                                        encoder,
	} {
		run(t, func(*torchbind.Scope) {
			if _, err := Run(t.Context(), quiet, cfg); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v\nwant %s", err, want)
			}
		})
	}
}
