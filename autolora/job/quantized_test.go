package job

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"autolora/autolora/runs"
	"autolora/autolora/settings"
	"autolora/data/metrics"
	"autolora/nn"
	"autolora/nn/peft"
	"autolora/nn/safetensors"
	"autolora/torchbind"
)

// A run on a base in 4 bits, by a rule that reads the frozen weights: eval and the
// exports take the same base again, what is merged has its numbers, and the adapter
// names the model and no form of it.
func TestQuantizedRun(t *testing.T) {
	cfg := tinyGeneration(t, "llama")
	cfg.Quantize, cfg.Rule = nn.NF4, "gora"
	out := mustRun(t, Run, cfg)
	adapter, err := peft.Read(filepath.Join(cfg.Out, runs.AdapterDir))
	if err != nil || adapter.Config.BaseModel != cfg.Model {
		t.Errorf("base %q, %v", adapter.Config.BaseModel, err)
	}
	again := settings.Default()
	again.DevFile, again.Out = cfg.DevFile, cfg.Out
	if _, err := Recall(&again, cfg.Out, func(string) bool { return false }); err != nil || again.Quantize != nn.NF4 {
		t.Fatalf("recalled %q, %v", again.Quantize, err)
	}
	checkWritten(t, again, out, cfg.Model, cfg.Out)
	merged := filepath.Join(t.TempDir(), "merged")
	inFull := filepath.Join(t.TempDir(), "in-full")
	run(t, func(*torchbind.Scope) {
		var said notes
		if _, err := Export(context.Background(), Host{Reporter: &said}, again, cfg.Out, FormatMerged, "", merged); err != nil {
			t.Fatal(err)
		}
		if want := "the adapter is added to the base's numbers as nf4 holds them, and the model is written in full, in float32; with quantize none"; !strings.Contains(strings.Join(said.lines, "\n"), want) {
			t.Errorf("notes %q, want one with %q", said.lines, want)
		}
		full := again
		full.Quantize = nn.AsStored
		result, err := Eval(context.Background(), quiet, full, cfg.Out, "dev")
		if err != nil || result.Results.Scores[metrics.NameLoss] == out.Results.Scores[metrics.NameLoss] {
			t.Errorf("the base in full gives the same loss, %v", err)
		}
		if _, err := Export(context.Background(), quiet, full, cfg.Out, FormatMerged, "", inFull); err != nil {
			t.Fatal(err)
		}
	})
	for _, again.Model = range []string{inFull, merged} {
		again.Quantize = nn.AsStored
		if _, err := Recall(&again, "", func(string) bool { return false }); err != nil || again.Quantize != nn.AsStored {
			t.Fatalf("of the merged model %q is recalled, %v", again.Quantize, err)
		}
	}
	checkWritten(t, again, out, merged, "")
	const want = "the adapter is added to the base's numbers as fp4 holds them, and the model is written in full, in bfloat16"
	if got := mergedNote(nn.AsStored, "fp4", safetensors.BF16); got != want {
		t.Errorf("of bitsandbytes' files %q, want %q", got, want)
	}
	if got := mergedNote(nn.AsStored, "", safetensors.F32); got != "" {
		t.Errorf("of a model in full %q", got)
	}
}

func TestQuantizedMethods(t *testing.T) {
	cfg := settings.Default()
	cfg.Methods, cfg.Seeds, cfg.Quantize = []string{runs.MethodFull, runs.MethodLoRA}, 1, nn.Int8
	if _, err := Plan(cfg); err == nil || !strings.HasPrefix(err.Error(), "quantize: got int8, and method full trains every weight") {
		t.Errorf("got %v", err)
	}
	cfg.With = []string{"full:quantize=none"}
	plan, err := Plan(cfg)
	if err != nil || len(plan) != 2 || plan[0].Quantize != nn.AsStored || plan[1].Quantize != nn.Int8 {
		t.Errorf("plan %+v, %v", plan, err)
	}
}
