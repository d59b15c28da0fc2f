package report

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"autolora/autolora/runs"
	"autolora/data/metrics"
)

// Module paths of layers that have LoRA, by their place.
func gpt2Layer(i int) string {
	return fmt.Sprintf("transformer.h.%d.attn.c_attn.%s", i/2, []string{"query", "value"}[i%2])
}

func llamaLayer(i int) string {
	return fmt.Sprintf("model.layers.%d.self_attn.%s_proj", i/2, []string{"q", "v"}[i%2])
}

// generated is the run of a decoder with about the scores that the paper has
// of its method, quality 1 making them its own.
func generated(task, method string, seed uint64, quality float64, layer func(int) string, blocks int) folder {
	f := scored(task, method, seed, 0)
	f.config["model"] = "models/gpt2-medium"
	if layer(0) == llamaLayer(0) {
		f.config["model"] = "models/SmolLM2-135M"
	}
	f.config["beams"], f.config["length-penalty"], f.config["no-repeat-ngram"], f.config["max-new-tokens"] = 10, 0.8, 4, 64
	r := &f.results
	r.Parameters, r.Paraphrases = runs.ParameterCount{Adapter: 196_608}, new(bool)
	r.Examples, r.Part, r.Seconds.Eval = 630, "test", 700
	r.Scores = metrics.Scores{}
	for _, name := range tableScores(task, metrics.NameBLEU) {
		p, _, v := paperScore(method, task, name)
		if p == nil { // a control
			_, _, v = paperScore(runs.MethodLoRA, task, name)
		}
		r.Scores[name] = v / scoreOf(name).Unit * quality
		if scoreOf(name).Lower {
			r.Scores[name] = v / quality
		}
		if task == "webnlg" {
			r.Scores[name+"_seen"], r.Scores[name+"_unseen"] = r.Scores[name]*1.1, r.Scores[name]*0.8
		}
	}
	f.simulate(rand.New(rand.NewPCG(seed, uint64(len(task+method)))), blocks)
	r.Parameters.Head = 0
	if f.ranks != nil {
		for i := range f.ranks.Layers {
			f.ranks.Layers[i].Name = layer(i)
		}
	}
	return f
}

// generations writes the runs of methods on E2E and WebNLG, on a model with
// these layers.
func generations(t *testing.T, dir string, layer func(int) string, blocks, seeds int) {
	t.Helper()
	for _, task := range []string{"e2e", "webnlg"} {
		for _, method := range []string{"full", "adapter", "lora", "adalora", "autolora", "lora-uniform", "autolora-shuffled"} {
			for seed := uint64(1); seed <= uint64(seeds); seed++ {
				quality := 1 + 0.006*rand.New(rand.NewPCG(seed, uint64(len(method)))).NormFloat64()
				generated(task, method, seed, quality, layer, blocks).write(t, filepath.Join(dir, task, method, fmt.Sprint(seed)))
			}
		}
	}
}

// plainSpaces makes spaces of those that break no line.
func plainSpaces(text string) string { return strings.ReplaceAll(text, "\u00a0", " ") }

// Generation has the paper's Table 2, whose rows stand below ours, no head
// anywhere, and says that METEOR lacks its table of paraphrases, and how the
// texts came about.
func TestGeneration(t *testing.T) {
	dir := t.TempDir()
	for _, task := range []string{"e2e", "webnlg"} {
		for seed, quality := range []float64{0.99, 1, 1.01} {
			generated(task, "lora", uint64(seed), quality, gpt2Layer, 2).write(t, filepath.Join(dir, task, "lora", fmt.Sprint(seed)))
			generated(task, "autolora", uint64(seed), quality, gpt2Layer, 2).write(t, filepath.Join(dir, task, "autolora", fmt.Sprint(seed)))
		}
	}
	r := load(t, dir)
	var b bytes.Buffer
	if err := r.Text(&b, 200); err != nil {
		t.Fatal(err)
	}
	if err := r.TextTables(&b, 200); err != nil {
		t.Fatal(err)
	}
	text := plainSpaces(b.String())
	for _, want := range []string{
		"Scores, generation on gpt2-medium\n\n" +
			"method    parameters  E2E BLEU ↑   E2E NIST ↑  E2E METEOR† ↑  E2E ROUGE-L ↑  E2E CIDEr ↑  WebNLG BLEU ↑  WebNLG METEOR† ↑  WebNLG TER ↓\n" +
			"LoRA         196,608  67.1 ± 0.7  8.54 ± 0.09     45.7 ± 0.5     68.0 ± 0.7  2.33 ± 0.02     50.7 ± 0.5        39.5 ± 0.4  0.46 ± 0.005\n" +
			"  paper         0.3M        67.1         8.54           45.7           68.0         2.33           50.7              39.5          0.46\n",
		"Mean ± standard deviation over 3 seeds. Scores: of the test set. Parameters: of the adapter; the mean where runs differ. † Without METEOR's table of paraphrases",
		"Over 2 tasks, by BLEU, AutoLoRA is on average ",
		"E2E, WebNLG: texts were generated with --beams 10, --length-penalty 0.8, --max-new-tokens 64, --no-repeat-ngram 4.\n",
		"method               parameters  search s  train s  total s   cost  passes\n",
		"BLEU seen ↑", "METEOR unseen† ↑", "TER unseen ↓",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	if strings.Contains(text, " head") {
		t.Errorf("a language model has no head:\n%s", text)
	}
}

// METEOR with its table is plain METEOR; runs with and without are not alike.
func TestParaphrases(t *testing.T) {
	dir := t.TempDir()
	write := func(method, table string) {
		f := generated("e2e", method, 1, 1, gpt2Layer, 1)
		*f.results.Paraphrases, f.config["paraphrases"] = table != "", table
		f.write(t, filepath.Join(dir, method))
	}
	write("lora", "paraphrase-en.gz")
	if table := load(t, dir).scoreTables()[0]; !slices.Contains(table.Heads, "E2E METEOR\u00a0↑") || strings.Contains(table.Caption, dagger) {
		t.Errorf("with the table: %q, %s", table.Heads, table.Caption)
	}
	write("full", "")
	r := load(t, dir)
	if table := r.scoreTables()[0]; !slices.Contains(table.Heads, "E2E METEOR†\u00a0↑") || !strings.Contains(table.Caption, dagger) {
		t.Errorf("one without: %q, %s", table.Heads, table.Caption)
	}
	if notes := strings.Join(r.Notes, "\n"); !strings.Contains(notes, "differ in --paraphrases (, paraphrase-en.gz): their scores are not for the same conditions") {
		t.Errorf("notes %s", notes)
	}
}

// A score of which less is better, and one that is no fraction.
func TestDirections(t *testing.T) {
	write := func(dir, task, primary, method string, values ...float64) {
		for seed, v := range values {
			f := scored(task, method, uint64(seed), 0)
			f.results.Primary, f.results.Scores = primary, metrics.Scores{primary: v}
			f.write(t, filepath.Join(dir, task, method, fmt.Sprint(seed)))
		}
	}
	dir := t.TempDir()
	write(dir, "mine", metrics.NameTER, "autolora", 0.44, 0.45, 0.46)
	write(dir, "mine", metrics.NameTER, "lora", 0.54, 0.56, 0.55)
	r := load(t, dir)
	want := []string{"mine, TER (lower is better): AutoLoRA is 0.10 below LoRA of one rank everywhere (3 seeds, 95 % interval −0.12 to −0.08): more than the chance of seeds explains."}
	if got := r.Headlines(); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if p := r.differencePicture().Panels[0]; p.title != "mine, TER\u00a0↓" {
		t.Errorf("the differences are titled %q", p.title)
	}

	write(dir, "yours", metrics.NameTER, "autolora", 0.60, 0.60)
	write(dir, "yours", metrics.NameTER, "lora", 0.50, 0.50)
	write(dir, "theirs", metrics.NameNIST, "autolora", 8.5, 8.6) // whose unit is another: no part of the average
	write(dir, "theirs", metrics.NameNIST, "lora", 8.4, 8.5)
	if d := load(t, dir).Overall[0].Comparisons[0]; len(d.Tasks) != 2 || d.Above != 1 || d.Below != 1 || d.named != "TER (lower is better)" {
		t.Errorf("over tasks %+v", d)
	}
}

// Heat maps have a column for every block of a decoder, and a row for each of
// its projections.
func TestDecoderLayers(t *testing.T) {
	for _, tc := range []struct {
		layer  func(int) string
		blocks int
		kinds  []string
	}{
		{gpt2Layer, 24, []string{"query", "value"}},
		{llamaLayer, 30, []string{"q_proj", "v_proj"}},
	} {
		f := generated("e2e", "autolora", 1, 1, tc.layer, tc.blocks)
		var values []float64
		for i := range f.ranks.Layers {
			values = append(values, float64(i))
		}
		rows := heatRows("E2E", f.ranks.Names(), values)
		if len(rows) != len(tc.kinds) {
			t.Fatalf("%s: %d rows", tc.layer(0), len(rows))
		}
		for kind, row := range rows {
			if !strings.HasSuffix(row.label, tc.kinds[kind]) || strings.HasPrefix(row.label, "E2E ") != (kind == 0) || len(row.values) != tc.blocks {
				t.Errorf("%s: row %s of %d blocks", tc.layer(0), row.label, len(row.values))
			}
			for block, v := range row.values {
				if int(v) != 2*block+kind {
					t.Errorf("%s: block %d of %s is layer %v", tc.layer(0), block, row.label, v)
				}
			}
		}
	}
}
