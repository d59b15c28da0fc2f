package job

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"autolora/autolora/runs"
	"autolora/autolora/settings"
	"autolora/data"
	"autolora/data/metrics"
	"autolora/torchbind"
)

// tinyTagging is a run on a made-up task: "good" is B-x, "film" behind it I-x.
// Some sentences are longer than the model takes, and one has no words.
func tinyTagging(t *testing.T) settings.Config {
	t.Helper()
	dir := t.TempDir()
	lines := func(n, seed int) string {
		var b strings.Builder
		for i := range n {
			sentence := struct {
				Tokens []string `json:"tokens"`
				Tags   []string `json:"tags"`
			}{[]string{}, []string{}}
			for k := range (i*5 + seed) % 31 {
				word, tag := fmt.Sprintf("w%d", 8+(i*13+k*29+seed)%112), "O"
				switch (i + k) % 5 {
				case 0:
					word, tag = "good", "B-x"
				case 1:
					word, tag = "film", "I-x"
				}
				sentence.Tokens, sentence.Tags = append(sentence.Tokens, word), append(sentence.Tags, tag)
			}
			if err := json.NewEncoder(&b).Encode(sentence); err != nil {
				t.Fatal(err)
			}
		}
		return b.String()
	}
	cfg := tinyConfig(t, "exact")
	cfg.TrainFile, cfg.DevFile = filepath.Join(dir, "train.jsonl"), filepath.Join(dir, "dev.jsonl")
	writeTest(t, cfg.TrainFile, lines(62, 0))
	writeTest(t, cfg.DevFile, lines(23, 7))
	cfg.Kind, cfg.Text, cfg.Label = "tagging", nil, ""
	return cfg
}

// The whole job on sentences: the scores cover every word, and eval, predict and
// the scores of predict's own files agree with it.
func TestTaggingRun(t *testing.T) {
	cfg := tinyTagging(t)
	var said notes
	var out *Outcome
	run(t, func(*torchbind.Scope) {
		var err error
		if out, err = Run(context.Background(), Host{Reporter: &said}, cfg); err != nil {
			t.Fatal(err)
		}
	})
	if out.Results.Examples != 23 || out.Results.Primary != metrics.NameF1 || len(out.Results.Scores) != 5 {
		t.Errorf("results %+v", out.Results)
	}
	if text := strings.Join(said.lines, "\n"); !strings.Contains(text, "sentences are longer than max-length 16 and cut between words") {
		t.Errorf("notes %q do not say that sentences were cut", text)
	}
	var config struct {
		TaskType string   `json:"task_type"`
		Saved    []string `json:"modules_to_save"`
	}
	readJSON(t, filepath.Join(cfg.Out, "adapter", "adapter_config.json"), &config)
	if config.TaskType != "TOKEN_CLS" || !slices.Contains(config.Saved, "classifier") {
		t.Errorf("adapter_config.json: %+v", config)
	}

	dev, err := os.ReadFile(cfg.DevFile)
	if err != nil {
		t.Fatal(err)
	}
	tagged := filepath.Join(t.TempDir(), "dev.conll")
	writeTest(t, tagged, toCoNLL(t, string(dev)))
	run(t, func(*torchbind.Scope) {
		again, err := Eval(context.Background(), quiet, cfg, cfg.Out, "dev")
		if err != nil {
			t.Fatal(err)
		}
		if fmt.Sprint(again.Results.Scores) != fmt.Sprint(out.Results.Scores) {
			t.Errorf("eval gives %v, the run %v", again.Results.Scores, out.Results.Scores)
		}

		predict := func(input string, conll bool) string {
			var b bytes.Buffer
			if _, err := Predict(context.Background(), quiet, cfg, PredictConfig{Adapter: cfg.Out, Input: input, Form: formOf(conll)}, &b); err != nil {
				t.Fatal(err)
			}
			return b.String()
		}
		var scores metrics.Scores
		columns, err := data.ReadCoNLL("predicted", []byte(predict(tagged, true)), 1, 2, 3)
		if err == nil {
			scores, err = metrics.Tagging([]string{"f1", "precision", "recall", "accuracy"}, columns[1], columns[2])
		}
		scores[metrics.NameLoss] = out.Results.Scores[metrics.NameLoss] // of probabilities, which a file of tags has not
		if err != nil || fmt.Sprint(scores) != fmt.Sprint(out.Results.Scores) {
			t.Errorf("the predictions score %v (%v), the run %v", scores, err, out.Results.Scores)
		}
		// The lines of JSON have the same tags; the sentence without words has a line too.
		at := 0
		for i, line := range strings.Split(strings.TrimSpace(predict(cfg.DevFile, false)), "\n") {
			var got struct{ Tags []string }
			if err := json.Unmarshal([]byte(line), &got); err != nil || !strings.HasPrefix(line, `{"tags":[`) {
				t.Fatalf("line %d: %v: %s", i, err, line)
			}
			if len(got.Tags) == 0 {
				continue
			}
			if !slices.Equal(got.Tags, columns[2][at]) {
				t.Errorf("line %d: tags %q, want %q", i, got.Tags, columns[2][at])
			}
			at++
		}
		if at != len(columns[2]) || at != 22 {
			t.Errorf("%d sentences with words, want %d", at, len(columns[2]))
		}
		untagged := filepath.Join(t.TempDir(), "in.txt")
		writeTest(t, untagged, "good\nw9\n\nw10\n")
		if got := predict(untagged, true); !strings.HasPrefix(got, "good\t") || strings.Count(got, "\t") != 3 {
			t.Errorf("got %q", got)
		}
	})
}

// toCoNLL writes JSON lines of sentences as a CoNLL file.
func toCoNLL(t *testing.T, lines string) string {
	t.Helper()
	var words, tags [][]string
	for line := range strings.Lines(lines) {
		var s struct{ Tokens, Tags []string }
		if err := json.Unmarshal([]byte(line), &s); err != nil {
			t.Fatal(err)
		}
		if len(s.Tokens) > 0 {
			words, tags = append(words, s.Tokens), append(tags, s.Tags)
		}
	}
	var b strings.Builder
	if err := data.WriteCoNLL(&b, words, tags); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// Tags go with their words: what hangs on the word alone is learnt.
func TestTaggingLearns(t *testing.T) {
	cfg := tinyTagging(t)
	cfg.Method, cfg.Steps, cfg.LR, cfg.Dropout = runs.MethodFull, 150, 3e-3, 0
	out := mustRun(t, Train, cfg)
	if f1 := out.Results.Scores[metrics.NameF1]; !(f1 > 0.99) {
		t.Errorf("f1 %v after training, want more than 0.99", f1)
	}
}

func TestTaggingErrors(t *testing.T) {
	cfg := tinyTagging(t)
	cfg.Method = runs.MethodLoRA
	mustRun(t, Train, cfg)
	texts := tinyConfig(t, "exact")
	texts.Method = runs.MethodLoRA
	mustRun(t, Train, texts)
	sentences := filepath.Join(t.TempDir(), "in.jsonl")
	writeTest(t, sentences, `{"tokens": ["good"]}`)
	official := t.TempDir()
	writeTest(t, filepath.Join(official, "Genia4ERtask1.iob2"), "IL-2\tB-DNA\ngene\tI-DNA\n")
	noDev := cfg
	noDev.TrainFile, noDev.DevFile, noDev.Kind, noDev.Task, noDev.Data, noDev.Out = "", "", "", "jnlpba", official, filepath.Join(t.TempDir(), "out")
	noWords := cfg
	noWords.DevFile, noWords.Out = filepath.Join(official, "dev.jsonl"), noDev.Out
	writeTest(t, noWords.DevFile, `{"tokens": [], "tags": []}`)
	predict := func(cfg settings.Config, adapter, task string, conll bool) error {
		cfg.Task = task
		_, err := Predict(context.Background(), quiet, cfg, PredictConfig{Adapter: adapter, Input: sentences, Form: formOf(conll)}, &bytes.Buffer{})
		return err
	}
	run(t, func(*torchbind.Scope) {
		_, noDevErr := Run(context.Background(), quiet, noDev)
		_, noWordsErr := Train(context.Background(), quiet, noWords)
		for _, c := range []struct {
			name string
			err  error
			want string
		}{
			{"a text for a model of words", predict(cfg, texts.Out, "", false), `no "text"`},
			{"CoNLL of labels", predict(texts, texts.Out, "", true), "this model does not label words: write JSON lines"},
			{"a task of texts", predict(cfg, cfg.Out, "mnli", false), "task: mnli labels whole texts, the head single tokens"},
			{"a task of other tags", predict(cfg, cfg.Out, "jnlpba", false), "task: jnlpba has 11 labels, the head 3"},
			{"no words", noWordsErr, "dev.jsonl: the sentences to score on have no words"},
			{"no dev set", noDevErr, "the data of jnlpba have no dev part: score on the test part"},
		} {
			if c.err == nil || !strings.Contains(c.err.Error(), c.want) {
				t.Errorf("%s: got %v, want %s", c.name, c.err, c.want)
			}
		}
	})
}

func formOf(conll bool) string {
	if conll {
		return FormCoNLL
	}
	return FormJSON
}
