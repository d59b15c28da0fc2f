package job

import (
	"context"
	"encoding/binary"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"autolora/autolora"
	"autolora/autolora/runs"
	"autolora/autolora/settings"
	"autolora/torchbind"
)

// measuring are the rules that need no search.
func measuring() []autolora.RankRule {
	return slices.DeleteFunc(slices.Clone(autolora.RankRules), autolora.RankRule.Searches)
}

// Every rule without a search: what it finds and says, that it meets a budget, that it
// counts its steps, and that it resumes to the same bytes.
func TestRulesWithoutSearch(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	for _, rule := range measuring() {
		t.Run(string(rule), func(t *testing.T) {
			cfg := tinyConfig(t, "exact")
			cfg.Rule, cfg.Targets, cfg.HeadSteps, cfg.RuleBatches, cfg.SearchSteps, cfg.SaveEvery = rule, []string{"query", "output.dense"}, 4, 5, 7, 3
			cfg.Parameters = 600
			found := mustRun(t, Search, cfg)
			ranks := found.Ranks
			if got, want := found.Results.Method, "autolora-"+string(rule); got != want {
				t.Errorf("method %q, want %q, as in comparisons", got, want)
			}
			if got := ranks.Rule; got.Name != string(rule) || got.Counts != runs.CountsWorth || got.Budget != 600 || got.Form != "" || !strings.Contains(got.String(), string(rule)) {
				t.Errorf("rule %+v", got)
			}
			trains, _ := rule.First()
			steps := map[autolora.TrainedFirst]int{autolora.TrainsNothing: 5, autolora.TrainsHead: 9, autolora.TrainsLoRA: 7}[trains]
			switch rule {
			case autolora.GradientRule:
				steps += 5
			case autolora.AblationRule:
				steps += 5
			}
			if found.Results.Steps.Search != steps || found.Results.Cost.Search.Forward < int64(steps) {
				t.Errorf("steps %+v, cost %+v, want %d steps", found.Results.Steps, found.Results.Cost, steps)
			}
			size := map[bool]int{true: 32 + 32, false: 64 + 32}
			total := 0
			for _, l := range ranks.Layers {
				if len(l.Worth) != 4 || l.Alpha != nil {
					t.Errorf("%s: %+v", l.Name, l)
				}
				total += l.Rank * size[!strings.HasSuffix(l.Name, ".output.dense") || strings.Contains(l.Name, "attention")]
			}
			if len(ranks.Layers) != 6 || total > 600 || total < 500 {
				t.Errorf("%d layers, %d parameters", len(ranks.Layers), total)
			}

			cfg.Parameters, cfg.Steps, cfg.Out = 0, 5, filepath.Join(t.TempDir(), "out")
			checkResume(t, perform, cfg, rng)
		})
	}
}

// A rule without a search says that its highest rank is too high, that its budget is too
// small, and that the model is broken.
func TestRulesWithoutSearchErrors(t *testing.T) {
	for _, rule := range measuring() {
		cfg := tinyConfig(t, "exact")
		cfg.Rule, cfg.K = rule, 33
		run(t, func(*torchbind.Scope) {
			if _, err := Search(context.Background(), quiet, cfg); err == nil || !strings.Contains(err.Error(), "got 33, want 0 to 32") {
				t.Errorf("%s with k = 33: %v", rule, err)
			}
		})
		cfg.K, cfg.Parameters, cfg.Out = 4, 10, filepath.Join(t.TempDir(), "out")
		run(t, func(*torchbind.Scope) {
			var setting *settings.Error
			if _, err := Search(context.Background(), quiet, cfg); !errors.As(err, &setting) || setting.Setting != "parameters" {
				t.Errorf("%s within 10 parameters: %v", rule, err)
			}
		})
	}

	cfg := tinyConfig(t, "exact")
	cfg.Rule = autolora.EVARule // which nothing is trained before, that would find it
	path := filepath.Join(cfg.Model, "model.safetensors")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	first := 8 + binary.LittleEndian.Uint64(data) // number, of the embeddings' norm
	binary.LittleEndian.PutUint32(data[first:], math.Float32bits(float32(math.NaN())))
	writeTest(t, path, string(data))
	run(t, func(*torchbind.Scope) {
		want := `rule eva: layer "bert.encoder.layer.0.attention.self.query": part 1 is worth NaN: the model's weights are broken`
		if _, err := Search(context.Background(), quiet, cfg); err == nil || err.Error() != want {
			t.Errorf("a broken model: error %v, want %s", err, want)
		}
	})
}
