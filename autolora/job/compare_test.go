package job

import (
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
	"autolora/nn"
	"autolora/torchbind"
)

// tinyComparison compares methods on the tiny task.
func tinyComparison(t *testing.T, methods ...string) settings.Config {
	t.Helper()
	cfg := tinyConfig(t, "exact")
	cfg.Methods, cfg.Seeds, cfg.Controls = methods, 2, true
	return cfg
}

func TestPlan(t *testing.T) {
	cfg := tinyComparison(t, "autolora", "full", "autolora")
	cfg.With = []string{"full:lr=0.5", `autolora:target=["query"]`}
	plan, err := Plan(cfg)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range plan {
		dir, err := filepath.Rel(cfg.Out, c.Out)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, dir)
		if c.Methods != nil || c.Seeds != 0 || !c.Resume {
			t.Errorf("%s: %+v", dir, c)
		}
	}
	want := []string{
		"full/seed-1", "autolora/seed-1", "lora-uniform/seed-1", "autolora-shuffled/seed-1", "autolora-random/seed-1",
		"full/seed-2", "autolora/seed-2", "lora-uniform/seed-2", "autolora-shuffled/seed-2", "autolora-random/seed-2",
	}
	if !slices.Equal(got, want) {
		t.Errorf("plan %v, want %v", got, want)
	}
	if plan[0].LR != 0.5 || plan[1].LR != cfg.LR || !slices.Equal(plan[1].Targets, []string{"query"}) || plan[5].Seed != 2 {
		t.Errorf("settings of the runs: %+v", plan)
	}
	if want := filepath.Join(cfg.Out, "autolora/seed-2/ranks.json"); plan[7].RanksFile != want {
		t.Errorf("the control is made of %q, want %q", plan[7].RanksFile, want)
	}
	// Lists as flags have them.
	cfg.Methods, cfg.With = []string{"lora", "lora-grid"}, []string{"lora:target=key,value", "lora-grid:grid-ranks=2,3"}
	if plan, err = Plan(cfg); err != nil || !slices.Equal(plan[0].Targets, []string{"key", "value"}) || !slices.Equal(plan[1].GridRanks, []int64{2, 3}) {
		t.Fatalf("%v, %+v", err, plan)
	}
	cfg.Methods, cfg.With, cfg.Seeds, cfg.AlphaScale = []string{"autolora-gora", "autolora-gates"}, nil, 1, 0 // as --preset scaled
	if plan, err = Plan(cfg); err != nil {
		t.Fatal(err)
	}
	got = nil
	for _, c := range plan {
		got = append(got, c.Method)
		if rule, control := strings.CutPrefix(filepath.Dir(filepath.Dir(c.RanksFile)), cfg.Out+"/"); control != strings.HasPrefix(c.Method, rule+"-") || !control && c.Method != "autolora-"+string(c.Rule) {
			t.Errorf("%s: rule %s, ranks %q", c.Method, c.Rule, c.RanksFile)
		}
	}
	if want := strings.Fields("autolora-gates autolora-gates-uniform autolora-gates-shuffled autolora-gates-random autolora-gora autolora-gora-uniform autolora-gora-shuffled autolora-gora-random"); !slices.Equal(got, want) {
		t.Errorf("plan of rules: %v, want %v", got, want)
	}
}

func TestPlanErrors(t *testing.T) {
	for _, c := range []struct {
		name, want string
		change     func(*settings.Config)
	}{
		{"no seeds", "seeds: got 0", func(c *settings.Config) { c.Seeds = 0 }},
		{"no methods", "methods: none", func(c *settings.Config) { c.Methods = nil }},
		{"unknown method", `got "lorra", want one of full, adapter`, func(c *settings.Config) { c.Methods = []string{"lorra"} }},
		{"control without its ranks", "lora-uniform is made of the ranks of autolora, which is not among them", func(c *settings.Config) { c.Methods = []string{"lora-uniform"} }},
		{"control of another rule", "autolora-eva-random is made of the ranks of autolora-eva, which", func(c *settings.Config) { c.Methods = []string{"autolora", "autolora-eva-random"} }},
		{"with no setting", "want METHOD:SETTING=VALUE", func(c *settings.Config) { c.With = []string{"full"} }},
		{"with unknown setting", `unknown setting "rate"`, func(c *settings.Config) { c.With = []string{"full:rate=1"} }},
		{"with wrong type", `got "high"`, func(c *settings.Config) { c.With = []string{"full:lr=high"} }},
		{"with bad list", `grid-ranks: got "[a]"`, func(c *settings.Config) {
			c.Methods, c.With = []string{"lora-grid"}, []string{"lora-grid:grid-ranks=a"}
		}},
		{"with bad value", "lr: got -1", func(c *settings.Config) { c.With = []string{"full:lr=-1"} }},
		{"with method that is not compared", "adalora is not compared", func(c *settings.Config) { c.With = []string{"adalora:lr=1"} }},
		{"with what compare sets", "the comparison itself sets out", func(c *settings.Config) { c.With = []string{"full:out=x"} }},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := tinyComparison(t, "full", "autolora")
			c.change(&cfg)
			if _, err := Plan(cfg); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}

// A whole comparison: every run is there with its method's name, the controls
// have AutoLoRA's parameters, ablations their own setting, and a second call
// makes nothing again.
func TestCompare(t *testing.T) {
	cfg := tinyComparison(t, "full", "adapter", "lora", "adalora", "lora-grid", "autolora", "autolora-none", "autolora-sigmoid", "autolora-eta0", "autolora-eva")
	cfg.GridRanks, cfg.Seeds, cfg.AlphaLR, cfg.RuleBatches = []int64{1, 3}, 1, 0.5, 2
	plan, err := Plan(cfg)
	if err != nil {
		t.Fatal(err)
	}
	rep := &notes{}
	compare := func() {
		run(t, func(*torchbind.Scope) {
			if err := Compare(context.Background(), Host{Reporter: rep}, cfg, plan); err != nil {
				t.Fatal(err)
			}
		})
	}
	compare()
	results := map[string]runs.Results{}
	for _, c := range plan {
		var r runs.Results
		readJSON(t, filepath.Join(c.Out, runs.ResultsFile), &r)
		if r.Method != c.Method || r.Cost.Train.Backward == 0 || r.Cost.Eval.Tokens == 0 || r.PeakMemory == 0 {
			t.Errorf("%s: results %+v", c.Method, r)
		}
		results[c.Method] = r
	}
	controls := 0
	for _, m := range runs.Methods {
		if r, made := results[m.Name]; made && m.Of != "" {
			if controls++; r.Parameters != results[m.Of].Parameters {
				t.Errorf("%s has %+v parameters, want those of %s, %+v", m.Name, r.Parameters, m.Of, results[m.Of].Parameters)
			}
		}
	}
	if controls != 5*3 {
		t.Errorf("%d controls, want three of each method that searches ranks", controls)
	}
	var eva runs.Ranks
	readJSON(t, filepath.Join(cfg.Out, "autolora-eva/seed-1", runs.RanksFile), &eva)
	if eva.Rule.Name != "eva" {
		t.Errorf("autolora-eva has ranks by %+v", eva.Rule)
	}
	if r := results[runs.MethodEta0].Cost.Search; r.Backward >= results[runs.MethodAutoLoRA].Cost.Search.Backward {
		t.Errorf("η = 0 takes %d backward passes, the exact search %d", r.Backward, results[runs.MethodAutoLoRA].Cost.Search.Backward)
	}
	if r := results[runs.MethodLoRAGrid]; r.Steps.Search != 4*6 || r.Cost.Search.Backward != 4*6 {
		t.Errorf("the grid's cost: %+v, %+v", r.Steps, r.Cost)
	}
	var grid runs.Grid
	readJSON(t, filepath.Join(cfg.Out, "lora-grid/seed-1", runs.GridFile), &grid)
	if len(grid.Configurations) != 4 || grid.Configurations[3].Ranks["value"] != 3 {
		t.Errorf("grid %+v", grid)
	}
	if want := grid.Configurations[grid.Best].Adapter; results[runs.MethodLoRAGrid].Parameters.Adapter != want {
		t.Errorf("trained %d parameters, the best of the grid has %d", results[runs.MethodLoRAGrid].Parameters.Adapter, want)
	}
	adalora, err := runs.ReadRanks(filepath.Join(cfg.Out, "adalora/seed-1", runs.RanksFile))
	if err != nil || adalora.Mean() != 4 {
		t.Errorf("AdaLoRA's ranks %v, %v; want a mean of 4", adalora.List(), err)
	}

	rep.lines = nil
	compare()
	for _, line := range rep.lines {
		if !strings.HasSuffix(line, ": complete") {
			t.Errorf("a second call says %q", line)
		}
	}
	// Other data, and another learning rate, are of another comparison.
	text, err := os.ReadFile(cfg.TrainFile)
	if err != nil {
		t.Fatal(err)
	}
	writeTest(t, cfg.TrainFile, string(text)+"film good\tgood\n")
	run(t, func(*torchbind.Scope) {
		for _, want := range []string{"the data have changed", "lr: got"} {
			if err := Compare(context.Background(), Host{Reporter: rep}, cfg, plan); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("error %v, want %q", err, want)
			}
			plan[0].LR *= 2
		}
	})
}

// A run that diverges does not keep the others from being made.
func TestCompareGoesOnAfterDivergence(t *testing.T) {
	cfg := tinyComparison(t, "full", "lora")
	cfg.Seeds, cfg.Controls = 4, false
	for _, c := range []struct {
		with  string
		wants []string
	}{
		{"full:lr=1e30", []string{"4 of 8 runs failed: full, seed 1: train step ", "full, seed 3: train step ", "and 1 more"}},
		{"full:lr=0.5", []string{" lr: got 0.5, but the run in ", "seed-1 was begun with 1e+30"}}, // not search-lr, which follows it
	} {
		cfg.With = []string{c.with}
		plan, err := Plan(cfg)
		if err != nil {
			t.Fatal(err)
		}
		run(t, func(*torchbind.Scope) {
			err := Compare(context.Background(), quiet, cfg, plan)
			for _, want := range c.wants {
				if !strings.Contains(fmt.Sprint(" ", err), want) {
					t.Errorf("error %v, want %q", err, want)
				}
			}
		})
	}
	if _, err := os.Stat(filepath.Join(cfg.Out, "lora/seed-1", runs.ResultsFile)); err != nil {
		t.Error(err)
	}
}

// What is guessed of own files, or said by another name, is the same another time, and said
// where it was guessed.
func TestCompareOwnFilesAgain(t *testing.T) {
	cfg, complete := tinyChat(t), "[1/1] lora, seed 1: complete"
	cfg.Methods, cfg.Seeds, cfg.Steps = []string{runs.MethodLoRA}, 1, 1
	for i, kind := range []data.Kind{"", "", "Chat", "chat", "", data.Generation} {
		cfg.Kind = kind
		plan, err := Plan(cfg)
		if err != nil {
			t.Fatal(err)
		}
		run(t, func(*torchbind.Scope) {
			rep := &notes{}
			err := Compare(t.Context(), Host{Reporter: rep}, cfg, plan)
			if (err != nil) != (kind == data.Generation) || slices.Contains(rep.lines, complete) != (i > 0 && err == nil) {
				t.Errorf("kind %q: %v, %q", kind, err, rep.lines)
			}
		})
	}
}

// A comparison goes on in a folder that was moved, controls too.
func TestCompareMoved(t *testing.T) {
	cfg, rep := tinyComparison(t, "autolora"), &notes{}
	cfg.Seeds = 1
	for range 2 {
		plan, err := Plan(cfg)
		if err != nil {
			t.Fatal(err)
		}
		run(t, func(*torchbind.Scope) {
			if err := Compare(t.Context(), Host{Reporter: rep}, cfg, plan); err != nil {
				t.Fatal(err)
			}
		})
		moved := filepath.Join(t.TempDir(), "moved")
		if err := os.Rename(cfg.Out, moved); err != nil {
			t.Fatal(err)
		}
		cfg.Out = moved
	}
	if want := "[4/4] autolora-random, seed 1: complete"; !slices.Contains(rep.lines, want) {
		t.Errorf("%q does not say %q", rep.lines, want)
	}
}

// Seeds are scored on the same tenth of the training data, so that losses can be paired
// over all of them.
func TestCompareHeldOut(t *testing.T) {
	cfg := tinyComparison(t, "lora")
	cfg.DevFile, cfg.Steps = "", 1
	plan, err := Plan(cfg)
	if err != nil {
		t.Fatal(err)
	}
	run(t, func(*torchbind.Scope) {
		if err := Compare(t.Context(), quiet, cfg, plan); err != nil {
			t.Fatal(err)
		}
	})
	var of [2]runs.Losses
	for i := range of {
		readJSON(t, filepath.Join(plan[i].Out, runs.LossesFile), &of[i])
	}
	if of[0].Data == "" || of[0].Data != of[1].Data {
		t.Errorf("scored on the examples %q and %q", of[0].Data, of[1].Data)
	}
}

// A folder of something else is not touched.
func TestCompareFolder(t *testing.T) {
	cfg := tinyComparison(t, "lora")
	if err := os.MkdirAll(cfg.Out, 0o755); err != nil {
		t.Fatal(err)
	}
	writeTest(t, filepath.Join(cfg.Out, "thesis.txt"), "")
	if err := Compare(context.Background(), quiet, cfg, nil); err == nil || !strings.Contains(err.Error(), "is not of a comparison") {
		t.Errorf("error %v", err)
	}
}

// evalOwn scores the adapter that a run left, on its dev set.
func evalOwn(ctx context.Context, host Host, cfg settings.Config) (*Outcome, error) {
	return Eval(ctx, host, cfg, cfg.Out, "dev")
}

// AdaLoRA's adapter, and the model that was trained, give the same predictions:
// what is exported is plain LoRA at the ranks it came to.
func TestAdaLoRAIsExportedAsLoRA(t *testing.T) {
	cfg := tinyConfig(t, "exact")
	cfg.Method, cfg.Steps, cfg.AdaLoRADeltaT = runs.MethodAdaLoRA, 20, 2
	out := mustRun(t, Train, cfg)
	eval := mustRun(t, evalOwn, cfg)
	if got, want := eval.Results.Scores["accuracy"], out.Results.Scores["accuracy"]; got != want {
		t.Errorf("accuracy of the exported adapter: %v, want %v", got, want)
	}
	adapter, err := ReadAdapter(cfg.Out)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := adapter.Ranks.Mean(), out.Ranks.Mean(); adapter.Size != out.Results.Parameters.Adapter || got < want {
		t.Errorf("adapter of %d parameters and mean rank %v, want %d and %v", adapter.Size, got, out.Results.Parameters.Adapter, want)
	}
	var raw map[string]json.RawMessage
	readJSON(t, filepath.Join(cfg.Out, runs.AdapterDir, "adapter_config.json"), &raw)
	if string(raw["peft_type"]) != `"LORA"` {
		t.Errorf("peft_type %s, want LORA", raw["peft_type"])
	}
}

// Bottleneck adapters go the whole way: trained, scored, written, read again.
func TestBottleneckAdapters(t *testing.T) {
	for _, style := range []string{"houlsby", "pfeiffer"} {
		t.Run(style, func(t *testing.T) {
			cfg := tinyConfig(t, "exact")
			cfg.Method, cfg.AdapterStyle, cfg.AdapterSize = runs.MethodAdapter, style, 3
			out := mustRun(t, Train, cfg)
			eval := mustRun(t, evalOwn, cfg)
			if got, want := eval.Results.Scores["accuracy"], out.Results.Scores["accuracy"]; got != want || eval.Results.Parameters != out.Results.Parameters {
				t.Errorf("eval %+v, want the run's %+v", eval.Results, out.Results)
			}
			run(t, func(*torchbind.Scope) {
				_, err := Export(context.Background(), quiet, cfg, cfg.Out, FormatMerged, "", filepath.Join(t.TempDir(), "merged"))
				if err == nil || !strings.Contains(err.Error(), "only LoRA") {
					t.Errorf("error %v of the merged export", err)
				}
			})
		})
	}
}

// The estimates need neither weights nor data for the paper's models and tasks.
func TestEstimates(t *testing.T) {
	cfg := settings.Default()
	cfg.Model, cfg.Task, cfg.Out = "roberta-base", "mrpc", "out"
	cfg.Methods, cfg.Seeds, cfg.Controls = runs.MethodNames()[:6], 1, true
	plan, err := Plan(cfg)
	if err != nil {
		t.Fatal(err)
	}
	run(t, func(*torchbind.Scope) {
		all, basis, err := Estimates(context.Background(), plan)
		if err != nil {
			t.Fatal(err)
		}
		byMethod := map[string]Estimate{}
		for _, e := range all {
			byMethod[e.Run.Method] = e
		}
		lora, auto, grid := byMethod[runs.MethodLoRA], byMethod[runs.MethodAutoLoRA], byMethod[runs.MethodLoRAGrid]
		if lora.Steps.Train != 3*230 || auto.Steps.Search != 3*115 || grid.Steps.Search != 16*3*115 {
			t.Errorf("steps %+v, %+v, %+v", lora.Steps, auto.Steps, grid.Steps)
		}
		if !(lora.Seconds > 0 && auto.Seconds > lora.Seconds && grid.Seconds > auto.Seconds) || basis == "" {
			t.Errorf("seconds %v, %v, %v", lora.Seconds, auto.Seconds, grid.Seconds)
		}
	})
	seconds := func(c settings.Config) float64 {
		return estimate(c, shapes["roberta-base"], sizes["mrpc"], 1e11).Seconds
	}
	whole := seconds(cfg)
	cfg.GradientCheckpointing = true
	if again := seconds(cfg); !(again > 1.4*whole && again < 2*whole) {
		t.Errorf("%v seconds with gradient checkpointing, %v without", again, whole)
	}
}

// Packed are the matrices that are multiplied with: the vocabulary where it is scored,
// and none where a base is held in fewer bits.
func TestWeightBytes(t *testing.T) {
	smol := shapes["SmolLM2-135M"]
	blocks, words := smol.layers*smol.layer(), smol.vocab*smol.hidden
	for _, tc := range []struct {
		pack     string
		form     nn.Quantization
		language bool
		want     int64
	}{
		{"off", nn.AsStored, true, 4*blocks + 4*words},
		{"auto", nn.AsStored, true, 12*blocks + 12*words},
		{"auto", nn.AsStored, false, 12*blocks + 4*words},
		{"auto", nn.Int8, true, blocks + 4*words},
		{"on", nn.Int8, true, blocks + 12*words},
	} {
		c := settings.Default()
		c.Pack, c.Quantize = tc.pack, tc.form
		if got := smol.weightBytes(c, tc.language); got != tc.want {
			t.Errorf("pack %s, %q, language %v: %d bytes, want %d", tc.pack, tc.form, tc.language, got, tc.want)
		}
	}
	own := smol // of which the embedding is only read, and the head packed
	own.head = true
	c := settings.Default()
	if got, want := own.weightBytes(c, true), 12*blocks+16*words; got != want {
		t.Errorf("a head of its own: %d bytes, want %d", got, want)
	}
}

// Each method chooses its learning rate once; the other seeds and the controls take it,
// as they are complete and when they are made again.
func TestCompareChoosesRates(t *testing.T) {
	cfg := tinyComparison(t, "lora", "autolora")
	cfg.LR, cfg.SearchLR, cfg.Steps, cfg.SearchSteps, cfg.Cost, cfg.TuneLR = settings.Auto, 0, 6, 3, 2, []float64{1e-3, 1e-2}
	plan, err := Plan(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		run(t, func(*torchbind.Scope) {
			if err := Compare(context.Background(), quiet, cfg, plan); err != nil {
				t.Fatal(err)
			}
		})
	}
	choices := 0
	for _, c := range plan {
		if estimate(counted(plan, c), shapes["roberta-base"], sizes["mrpc"], 1e11).Steps.Tune > 0 {
			choices++
		}
	}
	if choices != 2 {
		t.Errorf("trials are counted of %d runs, want of one of each method", choices)
	}
	rates, chosen := map[string]float64{}, 0
	for _, c := range plan {
		var r runs.Results
		readJSON(t, filepath.Join(c.Out, runs.ResultsFile), &r)
		of := strings.TrimPrefix(c.Method, "autolora-")
		if of != c.Method || c.Method == "lora-uniform" {
			of = "autolora"
		}
		if rates[of] == 0 {
			rates[of] = r.LR
		}
		if r.LR == 0 || r.LR != rates[of] {
			t.Errorf("%s, seed %d: rate %v, want %v", c.Method, c.Seed, r.LR, rates[of])
		}
		if _, err := os.Stat(filepath.Join(c.Out, runs.TuneFile)); err == nil {
			chosen++
		}
	}
	if chosen != 2 {
		t.Errorf("%d runs have chosen, want one of each method", chosen)
	}
	for i := 1; i <= 2; i++ {
		methods := map[string]bool{}
		for _, c := range (Shard{i, 2}).Share(plan) {
			methods[c.Method] = true
		}
		if methods["lora"] == methods["autolora"] {
			t.Errorf("shard %d has %v: want all runs of a method, and its controls, on one", i, methods)
		}
	}
}
