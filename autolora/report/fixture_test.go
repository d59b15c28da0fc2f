package report

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"autolora/autolora/runs"
	"autolora/data/metrics"
)

// folder is the files of a run to write.
type folder struct {
	results runs.Results
	config  map[string]any // nil: no config.json
	ranks   *runs.Ranks
	grid    *runs.Grid
	metrics []runs.Record
	losses  *runs.Losses
	tune    *runs.Tune
}

// write makes the folder of a run.
func (f folder) write(t *testing.T, dir string) {
	t.Helper()
	file := func(name string, v any) {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(dir, name), string(text)+"\n")
	}
	file(runs.ResultsFile, f.results)
	if f.config != nil {
		file(runs.ConfigFile, f.config)
	}
	if f.ranks != nil {
		file(runs.RanksFile, f.ranks)
	}
	if f.grid != nil {
		file(runs.GridFile, f.grid)
	}
	if f.losses != nil {
		file(runs.LossesFile, f.losses)
	}
	if f.tune != nil {
		file(runs.TuneFile, f.tune)
	}
	var lines strings.Builder
	for _, r := range f.metrics {
		text, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		lines.Write(append(text, '\n'))
	}
	writeFile(t, filepath.Join(dir, runs.MetricsFile), lines.String())
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// scored is a run with known numbers and nothing else of interest.
func scored(task, method string, seed uint64, score float64) folder {
	primary := map[string]string{"cola": "matthews", "stsb": "spearman", "e2e": "bleu", "webnlg": "bleu", "jnlpba": "f1"}[task]
	if primary == "" {
		primary = metrics.NameAccuracy
	}
	return folder{
		results: runs.Results{
			Task: task, Method: method, Seed: seed, Primary: primary, Scores: metrics.Scores{primary: score}, Examples: 872,
			Parameters: runs.ParameterCount{Adapter: 29_952, Head: 770}, Seconds: runs.Seconds{Load: 1, Train: 100, Eval: 9},
			Steps: runs.StepCount{Train: 600}, PeakMemory: 800_000_000,
			Cost: runs.Cost{Train: runs.Work{Tokens: 240_000, Forward: 600, Backward: 600}},
		},
		config: map[string]any{"model": "models/roberta-base", "seed": seed, "about": map[string]any{"began": "2026-01-02T03:04:05Z"}},
	}
}

// ranksOf returns ranks of query and value in as many blocks as there are.
func ranksOf(k int, list ...int) *runs.Ranks {
	r := &runs.Ranks{Rule: runs.Rule{Name: "alpha", Form: "softmax", Counts: runs.CountsAlpha, Scale: 1, Threshold: runs.Mean}, K: k, Split: "500/500"}
	for i, rank := range list {
		name := fmt.Sprintf("roberta.encoder.layer.%d.attention.self.%s", i/2, []string{"query", "value"}[i%2])
		r.Layers = append(r.Layers, runs.LayerRank{Name: name, Rank: rank})
	}
	return r
}

// comparison writes a comparison as compare does, with numbers that look like those
// of real runs: tasks × methods × seeds, blocks Transformer blocks. skip
// leaves runs out.
func comparison(t *testing.T, dir string, tasks, methods []string, seeds, blocks int, skip func(task, method string, seed uint64) bool) {
	t.Helper()
	for ti, task := range tasks {
		for mi, method := range methods {
			for seed := uint64(1); seed <= uint64(seeds); seed++ {
				if skip != nil && skip(task, method, seed) {
					continue
				}
				rng := rand.New(rand.NewPCG(uint64(100*ti+mi), seed))
				f := scored(task, method, seed, 0.70+0.02*float64(ti)+0.004*float64(mi)+0.01*rng.NormFloat64())
				f.config["batch-size"], f.config["split"], f.config["limit-train"], f.config["steps"] = 16, 0.5, 1000, 600
				f.simulate(rng, blocks)
				f.write(t, filepath.Join(dir, task, method, fmt.Sprintf("seed-%d", seed)))
			}
		}
	}
}

// simulate fills in what the method of f would leave.
func (f *folder) simulate(rng *rand.Rand, blocks int) {
	r := &f.results
	switch r.Method {
	case runs.MethodFull:
		r.Parameters.Adapter, r.Seconds.Train = 124_645_632, 180
	case runs.MethodLoRAGrid:
		f.grid = &runs.Grid{Configurations: make([]runs.Configuration, 4)}
		r.Seconds.Search, r.Cost.Search, r.Steps.Search = 400, runs.Work{Tokens: 960_000, Forward: 2400, Backward: 2400}, 2400
	case runs.MethodAdaLoRA:
		r.Seconds.Train = 118
		f.ranks = ranksOf(0)
		for i := range 2 * blocks {
			f.ranks.Layers = append(f.ranks.Layers, ranksOf(0, rng.IntN(9)).Layers...)
			f.ranks.Layers[i].Name = ranksOf(0, make([]int, 2*blocks)...).Layers[i].Name
		}
		f.ranks.Rule, f.ranks.K = runs.Rule{Name: runs.RuleAdaLoRA}, 8
	case runs.MethodAutoLoRA, runs.MethodNone, runs.MethodSigmoid, runs.MethodEta0:
		f.search(rng, blocks)
	}
	r.Seconds.Train *= 1 + 0.02*rng.NormFloat64()
	loss := 0.7
	for step := 10; step <= r.Steps.Train; step += 10 {
		loss += -0.01*loss + 0.03*rng.NormFloat64()
		record := runs.Record{Phase: "train", Step: step, Loss: new(max(0.01, loss)), Seconds: float64(step)}
		if r.Method == runs.MethodAdaLoRA {
			left := min(1, max(0, 1-float64(step-60)/360))
			record.Budget = int(float64(8*blocks) * (1 + left*left*left))
		}
		f.metrics = append(f.metrics, record)
	}
	f.metrics = append(f.metrics, runs.Record{Phase: "eval", Scores: r.Scores})
}

// search fills in a search whose free variables walk about at random.
func (f *folder) search(rng *rand.Rand, blocks int) {
	const k, steps = 8, 300
	layers := 2 * blocks
	free := make([][]float64, layers)
	for l := range free {
		free[l] = make([]float64, k)
	}
	f.ranks = ranksOf(k, make([]int, layers)...)
	switch f.results.Method {
	case runs.MethodSigmoid:
		f.ranks.Rule.Form, f.ranks.Rule.Threshold = "sigmoid", "0.5"
	case runs.MethodNone:
		f.ranks.Rule.Form = "none"
	}
	for step := 10; step <= steps; step += 10 {
		record := runs.Record{Phase: "search", Step: step, Loss: new(0.7 - 0.001*float64(step) + 0.05*rng.NormFloat64()),
			ValLoss: new(0.72 - 0.0009*float64(step) + 0.05*rng.NormFloat64()), Ratio: new(math.Exp(-5 + rng.NormFloat64()))}
		if f.results.Method == runs.MethodEta0 {
			record.Ratio = new(0.0)
		}
		for l := range free {
			alpha, total := make([]float64, k), 0.0
			for j := range alpha {
				free[l][j] += 0.05 * rng.NormFloat64()
				alpha[j] = math.Exp(free[l][j])
				total += alpha[j]
			}
			rank := 0
			for j := range alpha {
				if alpha[j] /= total; f.results.Method == runs.MethodSigmoid {
					alpha[j] = 1 / (1 + math.Exp(-free[l][j]))
				}
				if alpha[j] >= 0.125 && f.results.Method != runs.MethodSigmoid || alpha[j] >= 0.5 {
					rank++
				}
			}
			record.Ranks, record.Alpha = append(record.Ranks, rank), append(record.Alpha, alpha)
			f.ranks.Layers[l].Rank, f.ranks.Layers[l].Alpha = rank, alpha
		}
		f.metrics = append(f.metrics, record)
	}
	f.results.Steps.Search, f.results.Seconds.Search = steps, 90
	f.results.Cost.Search = runs.Work{Tokens: 240_000, Forward: 2 * steps, Backward: 3 * steps}
	f.results.Parameters.Adapter = int64(1536 * f.ranks.Mean() * float64(layers))
}

// allMethods is every method of the paper, and AutoLoRA's controls, in the order of the
// tables.
func allMethods() []string { return runs.MethodNames()[:12] }

func load(t *testing.T, dirs ...string) *Report {
	t.Helper()
	rs, err := Load(dirs...)
	if err != nil {
		t.Fatal(err)
	}
	return Summarise(rs)
}
