package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"autolora/autolora/job"
	"autolora/autolora/runs"
)

func TestOutcome(t *testing.T) {
	ranks := ranksOf(8, []int{4, 5}, []int{8, 0})
	for _, tc := range []struct {
		name    string
		outcome job.Outcome
		want    string
	}{
		{"run", job.Outcome{
			Ranks: &ranks,
			Results: &runs.Results{
				Task: "mnli", Method: "autolora", Primary: "accuracy", Examples: 19647,
				Scores:     map[string]float64{"accuracy_mismatched": 0.8125, "accuracy": 0.83264},
				Parameters: runs.ParameterCount{Adapter: 13056, Head: 1155},
				Seconds:    runs.Seconds{Load: 1, Search: 60, Train: 30, Eval: 9},
				Steps:      runs.StepCount{Search: 1200, Train: 100},
				PeakMemory: 683_000_000,
			},
			Files: []string{"config.json", "metrics.jsonl", "ranks.json", "adapter", "results.json"},
		}, `ranks       0 to 8, at most 8; mean 4.25, sum 17, in 4 layers
            block   0  1
            query   4  5
            value   8  0

accuracy    0.8326   on all 19,647 examples of mnli's dev set
mismatched  0.8125
trained     13,056 parameters of the adapter, 1,155 of the head

Whether other ranks of the same size would do as well one run cannot say: autolora compare can.

time        load        1.0 s    1 %
            search     60.0 s   60 %   1,200 steps of 50.0 ms
            train      30.0 s   30 %   100 steps of 300 ms
            eval        9.0 s    9 %
            total     100.0 s          peak memory 683 MB

files       out/adapter        adapter in PEFT's form, with a model card
            out/ranks.json     rank and selection variables of every layer
            out/results.json   scores, parameters, times
            out/metrics.jsonl  a line per logged step
            out/config.json    every setting; --config takes it
`},
		{"full fine-tuning", job.Outcome{
			Results: &runs.Results{
				Task: "stsb", Method: "full", Primary: "spearman", Examples: 1500,
				Scores:     map[string]float64{"pearson": 0.9, "spearman": -0.125},
				Parameters: runs.ParameterCount{Adapter: 22_713_216, Head: 385},
				Seconds:    runs.Seconds{Train: 3600, Eval: 400},
				Steps:      runs.StepCount{Train: 3600},
				PeakMemory: 1_500_000_000,
			},
			Files: []string{"model", "results.json"},
		}, `spearman    -0.1250   on all 1,500 examples of stsb's dev set
pearson     0.9000
trained     22,713,216 parameters of the model, 385 of the head

time        train    3600.0 s   90 %   3,600 steps of 1000 ms
            eval      400.0 s   10 %
            total    4000.0 s          peak memory 1.50 GB

files       out/model          the trained model
            out/results.json   scores, parameters, times
`},
		{"nothing learnt", job.Outcome{Results: &runs.Results{Task: "topics", Method: "lora", Primary: "accuracy", Examples: 200, LR: 1e-4, Steps: runs.StepCount{Train: 64},
			Scores: map[string]float64{"accuracy": 0.5}, Baseline: map[string]float64{"accuracy": 0.5, "loss": 0.693}, TrainLoss: []float64{0.694, 0.692}, Seconds: runs.Seconds{Train: 1}}},
			`accuracy    0.5000   on all 200 examples of topics's dev set
trained     0 parameters of the adapter, 0 of the head
baseline    0.5000   accuracy of always giving the commonest answer; loss 0.6930

Warning: it has learnt nothing that its score shows: accuracy 50.0 is not above the 50.0 of always giving the commonest answer
Warning: the loss hardly moved (0.694 → 0.692 in 64 steps): the learning rate 1e-4 is low for 64 steps: try 1e-3 (--lr, or --lr auto)

time        train       1.0 s  100 %   64 steps of 15.6 ms
            total       1.0 s          peak memory 0 B

`},
		{"a pruning", job.Outcome{Results: &runs.Results{Task: "topics", Method: "prune", Primary: "accuracy", Examples: 100, Scores: map[string]float64{"accuracy": 0.5}, Seconds: runs.Seconds{Search: 1}}},
			`accuracy    0.5000   on the 100 examples of topics's dev set that had no say
trained     0 parameters of the adapter, 0 of the head

time        search      1.0 s  100 %
            total       1.0 s          peak memory 0 B

`},
		{"own data", job.Outcome{Results: &runs.Results{Task: "topics", Method: "lora", Seconds: runs.Seconds{Train: 1}}, Files: []string{"report.html"}},
			`time        train       1.0 s  100 %
            total       1.0 s          peak memory 0 B

files       out/report.html    heat map, curves, scores
`},
		{"a task of the paper", job.Outcome{Results: &runs.Results{Task: "sst2", Method: "lora", Seconds: runs.Seconds{Train: 1}}, Files: []string{"report.html"}},
			`time        train       1.0 s  100 %
            total       1.0 s          peak memory 0 B

files       out/report.html    heat map, curves, scores beside the paper's
`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := text(80, false, func(w *writer) { printOutcome(w, "out", &tc.outcome) }); got != tc.want {
				t.Errorf("got\n%s\nwant\n%s", got, tc.want)
			}
		})
	}
}

// The last lines of a run say how to load what it trained, and how a language
// model is asked.
func TestPython(t *testing.T) {
	model, table := tinyModel(t), tinyTable(t, 12)
	pairs := filepath.Join(t.TempDir(), "pairs.csv")
	writeFile(t, pairs, "source,target\na,b\nb,c\nc,d\nd,e\n")
	few := []string{"--threads", "1", "--steps", "1", "--batch-size", "2"}
	for _, tc := range []struct {
		name string
		args []string
		want string // OUT is the results folder
	}{
		{"an adapter", append(ownFiles(model, table), "--method", "lora"), `
Load it in Python:
  from peft import AutoPeftModelForSequenceClassification as AutoPeft
  model = AutoPeft.from_pretrained("OUT/adapter", num_labels=3)
OUT/adapter/README.md has a whole example.
`},
		{"a whole model", append(ownFiles(model, table), "--method", "full"), `
Load it in Python:
  from transformers import BertForSequenceClassification
  model = BertForSequenceClassification.from_pretrained("OUT/model")
OUT/model/README.md has a whole example.
`},
		{"a language model", []string{"--method", "lora", "--model", tinyDecoder(t), "--train", pairs, "--dev", pairs, "--kind", "generation", "--text", "source",
			"--label", "target", "--max-length", "16", "--max-new-tokens", "2", "--beams", "1"}, `
Load it in Python:
  from peft import AutoPeftModelForCausalLM as AutoPeft
  model = AutoPeft.from_pretrained("OUT/adapter")
A prompt is the source and the end-of-text token: tokenizer(source + tokenizer.eos_token).
OUT/adapter/README.md has a whole example.
`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "out")
			got := succeed(t, slices.Concat([]string{"train", "--out", out}, tc.args, few)...)
			if want := strings.ReplaceAll(tc.want, "OUT", out); !strings.HasSuffix(got, want) {
				t.Errorf("got\n%s\nwant at its end\n%s", got, want)
			}
			for line := range strings.Lines(tc.want) {
				if name, ok := strings.CutSuffix(line, " has a whole example.\n"); ok {
					if _, err := os.Stat(strings.Replace(name, "OUT", out, 1)); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
}
