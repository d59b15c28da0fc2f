package report

import (
	"bytes"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"autolora/autolora/runs"
)

func examplePruning() *runs.Pruning {
	return &runs.Pruning{
		By: runs.ByTrained, Tolerance: 0.028, Choosing: 436, Reporting: 435,
		Curve:    []runs.Cut{{Parameters: 331776, Loss: 0.386}, {Parameters: 82560, Loss: 0.401, Rise: 0.015, RiseError: 0.006}, {Parameters: 9984, Loss: 0.521, Rise: 0.135, RiseError: 0.02}},
		Chosen:   runs.Cut{Parameters: 82560, Loss: 0.401, Rise: 0.015, RiseError: 0.006},
		Reported: &runs.Cut{Parameters: 82560, Loss: 0.377, Rise: 0.0127, RiseError: 0.0063},
	}
}

func TestPruningWords(t *testing.T) {
	ranks := &runs.Ranks{Layers: []runs.LayerRank{
		{Name: "encoder.layer.0.query", Rank: 1}, {Name: "encoder.layer.0.output.dense", Rank: 0}, {Name: "encoder.layer.0.value", Rank: 2},
		{Name: "encoder.layer.1.query", Rank: 0}, {Name: "encoder.layer.1.output.dense", Rank: 0}, {Name: "encoder.layer.1.value", Rank: 3},
	}}
	const last = "Where there is no adapter yet, training a small one is as good as cutting a large one."
	none, trained := examplePruning(), examplePruning()
	none.Chosen, none.Reported = none.Whole(), &runs.Cut{Loss: 0.3643, Rise: -1.4e-9, RiseError: 3e-9}
	trained.Budget, trained.Steps = 90000, 50
	better := examplePruning() // of large numbers, on both halves
	better.Chosen.Rise, better.Tolerance, *better.Reported = -0.004, 7.9e8, runs.Cut{Loss: 2.45e9, Rise: -1.2e8, RiseError: 2.5e8}
	for _, c := range []struct {
		p     *runs.Pruning
		ranks *runs.Ranks
		want  []string
	}{
		{examplePruning(), ranks, []string{
			"Of 331,776 parameters 82,560 are left, chosen by singular values: the loss of the 436 examples that chose rose by 0.0150 (standard error 0.0060); 0.0280 was allowed.",
			"On the 435 other examples that had no say it is 0.3770, 0.0127 (standard error 0.0063) above the whole adapter's.",
			"What is left lies in value (5 parts), query (1 part).", last,
		}},
		{better, nil, []string{
			"Of 331,776 parameters 82,560 are left, chosen by singular values: the loss of the 436 examples that chose fell by 0.0040 (standard error 0.0060); 7.90e+08 was allowed.",
			"On the 435 other examples that had no say it is 2.45e+09, 1.20e+08 (standard error 2.50e+08) below the whole adapter's.", last,
		}},
		{none, nil, []string{"Nothing could be left out within the tolerance of 0.0280: every smaller adapter that was tried lost more.",
			"On the 435 other examples that had no say it is 0.3643.", last}},
		{trained, nil, []string{
			"Of 331,776 parameters 82,560 are left, chosen by singular values: the loss of the 436 examples that chose rose by 0.0150 (standard error 0.0060).",
			"On the 435 other examples that had no say it is 0.3770 after 50 more steps of training, 0.0127 (standard error 0.0063) above the whole adapter's.", last,
		}},
	} {
		if got, want := strings.Join(PruningWords(c.p, c.ranks), "\n"), strings.Join(c.want, "\n"); got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	}
}

// The picture has the sizes, and a damaged file gives none.
func TestPruningPicture(t *testing.T) {
	r := &Report{runs: []*Run{{Results: runs.Results{Task: "sst2"}, Pruning: examplePruning()}}}
	p := r.pruningPicture()
	var b bytes.Buffer
	if err := p.write(&b, ".svg"); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"SST-2, by singular values", "331,776", "20,736", "parameters"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the picture lacks %q", want)
		}
	}
	r.runs[0].Pruning.Curve[1].Parameters = 0
	if p := r.pruningPicture(); len(p.Panels) != 0 {
		t.Error("a curve with 0 parameters is drawn")
	}
}

// A pruning, which half of the dev set has no say in, is not compared with the training
// of the adapter, and does not differ from it in settings that it does not read.
func TestPruningBesideTraining(t *testing.T) {
	dir := t.TempDir()
	whole, cut := scored("sst2", "lora", 1, 0.8), scored("sst2", runs.MethodPrune, 1, 0.7)
	cut.results.Examples, cut.results.Steps.Train = 436, 0
	for _, f := range []folder{whole, cut} {
		f.config["beams"], f.config["rank"], f.config["lr"] = 10, 8, 1e-3
		f.write(t, filepath.Join(dir, f.results.Method))
	}
	writeFile(t, filepath.Join(dir, runs.MethodPrune, runs.PruneFile), `{"by": "trained", "curve": [{"parameters": 9}]}`)
	r := load(t, dir)
	if got, want := r.Headlines(), "SST-2: LoRA of one rank everywhere and prune were scored on other examples, so they are not compared."; len(got) != 1 || got[0] != want {
		t.Errorf("headlines %q, want %q", got, want)
	}
	if notes := strings.Join(r.Notes, "\n"); strings.Contains(notes, "beams") {
		t.Errorf("notes %s", notes)
	}
	if rows := r.settingsTable().Rows; len(rows) != 2 {
		t.Errorf("settings %v of a pruning that trained nothing", rows)
	}
	writeFile(t, filepath.Join(dir, runs.MethodPrune, runs.PruneFile), `{"by": "trained", "curve": [{"parameters": 9}], "chosen": {"parameters": 9}}`)
	alone := load(t, filepath.Join(dir, runs.MethodPrune)).Headlines()
	if !slices.ContainsFunc(alone, func(s string) bool { return strings.HasPrefix(s, "Nothing could be left out") }) {
		t.Errorf("headlines %q do not say what was cut", alone)
	}
}

// Prunings of different adapters are different runs: the later does not replace the earlier.
func TestPruningsOfAdapters(t *testing.T) {
	dir := t.TempDir()
	for seed := range uint64(2) {
		for _, adapter := range []string{"out/whole/adapter", "out/cut/adapter"} {
			f := scored("sst2", runs.MethodPrune, seed, 0.7)
			f.config["adapter"] = fmt.Sprintf("%s/%d", adapter, seed)
			f.write(t, filepath.Join(dir, adapter, fmt.Sprint(seed)))
			writeFile(t, filepath.Join(dir, adapter, fmt.Sprint(seed), runs.PruneFile), `{"by": "trained", "curve": [{"parameters": 9}]}`)
		}
	}
	if r := load(t, filepath.Join(dir, "out", "whole")); len(r.Replaced) > 0 || len(r.Tasks) != 1 {
		t.Errorf("of two seeds, each of its adapter: replaced %v, %d tasks", r.Replaced, len(r.Tasks))
	}
	if r := load(t, dir); len(r.Replaced) > 0 || len(r.Tasks) != 4 || r.Tasks[0].With != "adapter out/cut/adapter/0" {
		t.Errorf("of two adapters a seed: replaced %v, %d tasks", r.Replaced, len(r.Tasks))
	}
}
