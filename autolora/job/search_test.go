package job

import (
	"context"
	"math/rand/v2"
	"strings"
	"testing"

	"autolora/autolora"
	"autolora/autolora/runs"
	"autolora/torchbind"
)

// What ranks.json says of a search's rule is what gave the ranks.
func TestRuleOf(t *testing.T) {
	for _, c := range []struct {
		cfg  autolora.SearchConfig
		want runs.Rule
	}{
		{autolora.SearchConfig{Rule: "alpha", Form: "softmax", Scale: 4}, runs.Rule{Name: "alpha", Form: "softmax", Counts: "α", Scale: 4, Threshold: "mean"}},
		{autolora.SearchConfig{Rule: "alpha", Form: "sigmoid", Scale: 1}, runs.Rule{Name: "alpha", Form: "sigmoid", Counts: "α", Threshold: "0.5"}},
		{autolora.SearchConfig{Rule: "alpha", Form: "none", Scale: 1}, runs.Rule{Name: "alpha", Form: "none", Counts: "α", Threshold: "mean"}},
		{autolora.SearchConfig{Rule: "raw", Form: "sigmoid", Scale: 1}, runs.Rule{Name: "raw", Form: "sigmoid", Counts: "raw a", Threshold: "mean"}},
		{autolora.SearchConfig{Rule: "alpha", Form: "sigmoid", Scale: 1, Budget: 5000}, runs.Rule{Name: "alpha", Form: "sigmoid", Counts: "α", Budget: 5000}},
		{autolora.SearchConfig{Rule: "raw", Form: "softmax", Scale: 1, Budget: 7}, runs.Rule{Name: "raw", Form: "softmax", Counts: "raw a", Scale: 1, Budget: 7}},
		{autolora.SearchConfig{Rule: "gates", Form: "gates", Scale: 1}, runs.Rule{Name: "gates", Form: "gates", Counts: "gates", Threshold: "0.5"}},
		{autolora.SearchConfig{Rule: "gates", Form: "gates", Scale: 1, Budget: 9}, runs.Rule{Name: "gates", Form: "gates", Counts: "gates", Budget: 9}},
	} {
		if got := ruleOf(c.cfg); got != c.want {
			t.Errorf("%+v: got %+v, want %+v", c.cfg, got, c.want)
		}
	}
}

// What a search is said to take is without the training that could follow.
func TestTimeOfSearch(t *testing.T) {
	cfg := tinyConfig(t, "exact")
	cfg.SearchSteps, cfg.Steps = 1, 1e8
	var said notes
	run(t, func(*torchbind.Scope) {
		if _, err := Search(context.Background(), Host{Reporter: &said}, cfg); err != nil {
			t.Fatal(err)
		}
	})
	if text := strings.Join(said.lines, "\n"); strings.Contains(text, "in all") {
		t.Errorf("a search of one step is said to take long: %s", text)
	}
}

// A search of gates resumes to the same bytes as any other.
func TestResumeGates(t *testing.T) {
	cfg := tinyConfig(t, "exact")
	cfg.Rule, cfg.Targets, cfg.SearchSteps, cfg.Unroll, cfg.Steps = autolora.GatesRule, []string{"all-linear"}, 9, 2, 5
	checkResume(t, perform, cfg, rand.New(rand.NewPCG(9, 9)))
}
