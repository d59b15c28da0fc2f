package job

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"autolora/autolora/runs"
	"autolora/autolora/settings"
	"autolora/torchbind"
)

// A search, LoRA and both controls have no more parameters than the budget, and
// ranks that were searched without it are cut to it by their α.
func TestBudget(t *testing.T) {
	cfg := tinyConfig(t, "first-order")
	free, freeOut := mustRun(t, Search, cfg), cfg.Out
	const budget = 400 // of 4 · 64 for each rank of all layers: bert-tiny is 32 wide, with two blocks
	cfg.Parameters = budget
	adapter := func(method, ranks string) (*Outcome, string) {
		t.Helper()
		cfg := cfg
		cfg.Method, cfg.RanksFile, cfg.Out = method, ranks, filepath.Join(t.TempDir(), "out")
		out := mustRun(t, Train, cfg)
		if n := out.Results.Parameters.Adapter; n > budget || n <= budget-64 {
			t.Errorf("%s has %d parameters, with a budget of %d", method, n, budget)
		}
		return out, cfg.Out
	}
	cfg.Out = filepath.Join(t.TempDir(), "out")
	searched := mustRun(t, Run, cfg)
	if n := searched.Results.Parameters.Adapter; n > budget || n <= budget-64 || searched.Ranks.Rule.Budget != budget || searched.Ranks.Rule.Threshold != "" {
		t.Errorf("searched within %d: %d parameters by %+v", budget, n, searched.Ranks.Rule)
	}
	lora, loraOut := adapter(runs.MethodLoRA, "")
	if ranks := lora.Ranks.List(); slices.Max(ranks)-slices.Min(ranks) > 1 {
		t.Errorf("LoRA within a budget has ranks %v", ranks)
	}
	file := filepath.Join(freeOut, runs.RanksFile)
	cut, _ := adapter(runs.MethodAutoLoRA, file)
	for i, l := range cut.Ranks.Layers {
		if l.Rank > 4 || !slices.Equal(l.Alpha, free.Ranks.Layers[i].Alpha) {
			t.Errorf("%s: %+v", l.Name, l)
		}
	}
	adapter(runs.MethodShuffled, file)

	for _, tc := range []struct {
		method, ranks string
		budget        settings.Amount
		want          string
	}{
		{runs.MethodLoRA, "", 63, "parameters: got 63, want at least 64: the smallest adapter of these targets is one rank of bert.encoder.layer.0.attention.self.query"},
		{runs.MethodFull, "", 500, "parameters: method full has no ranks that a budget could be spent on: choose lora, or a method that searches ranks"},
		{runs.MethodAutoLoRA, filepath.Join(loraOut, runs.RanksFile), 300, "does not say what the parts of bert.encoder.layer.0.attention.self.query are worth"},
	} {
		cfg := cfg
		cfg.Method, cfg.RanksFile, cfg.Parameters, cfg.Out = tc.method, tc.ranks, tc.budget, filepath.Join(t.TempDir(), "out")
		run(t, func(*torchbind.Scope) {
			_, err := Train(context.Background(), quiet, cfg)
			if err == nil || !strings.Contains(err.Error(), tc.want) || !errors.As(err, new(*settings.Error)) {
				t.Errorf("%s within %d: %v, want %q", tc.method, tc.budget, err, tc.want)
			}
		})
	}
}
