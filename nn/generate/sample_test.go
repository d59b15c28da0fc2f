package generate

import (
	"math"
	"slices"
	"testing"
)

// Tokens are drawn as often as their probabilities say, at the temperature and
// among the likeliest only.
func TestSampler(t *testing.T) {
	followers := []next{{7, float32(math.Log(0.5))}, {3, float32(math.Log(0.3))}, {9, float32(math.Log(0.15))}, {1, float32(math.Log(0.05))}}
	squares := 0.25 + 0.09 + 0.0225 + 0.0025
	for _, c := range []struct {
		name string
		cfg  Config
		want map[int64]float64
	}{
		{"plain", Config{}, map[int64]float64{7: 0.5, 3: 0.3, 9: 0.15, 1: 0.05}},
		{"temperature 1/2", Config{Temperature: 0.5}, map[int64]float64{7: 0.25 / squares, 3: 0.09 / squares, 9: 0.0225 / squares, 1: 0.0025 / squares}},
		{"top-p within the second", Config{TopP: 0.6}, map[int64]float64{7: 0.625, 3: 0.375}},
		{"top-p of the first", Config{TopP: 0.5}, map[int64]float64{7: 1}},
		{"top-p of all", Config{TopP: 1}, map[int64]float64{7: 0.5, 3: 0.3, 9: 0.15, 1: 0.05}},
	} {
		const draws = 40000
		counts := map[int64]int{}
		choose := c.cfg.sampler(0)
		for range draws {
			counts[choose(followers)]++
		}
		for _, f := range followers {
			want := c.want[f.token]
			sd := math.Sqrt(want * (1 - want) / draws)
			if got := float64(counts[f.token]) / draws; math.Abs(got-want) > 4*sd {
				t.Errorf("%s: token %d is drawn %v of the time, want %v", c.name, f.token, got, want)
			}
		}
	}
}

// The same seed draws the same, another seed or prompt does not.
func TestSamplerSeed(t *testing.T) {
	followers := []next{{0, -1}, {1, -1}, {2, -1}, {3, -1}}
	draw := func(seed uint64, prompt int) (tokens []int64) {
		choose := Config{Seed: seed}.sampler(prompt)
		for range 30 {
			tokens = append(tokens, choose(followers))
		}
		return tokens
	}
	first := draw(1, 0)
	if !slices.Equal(first, draw(1, 0)) {
		t.Error("one seed draws differently")
	}
	if slices.Equal(first, draw(2, 0)) || slices.Equal(first, draw(1, 1)) {
		t.Error("another seed or prompt draws the same")
	}
}

func TestConfigCheck(t *testing.T) {
	good := Config{Beams: 1, MaxNewTokens: 1}
	if err := good.Check(); err != nil {
		t.Error(err)
	}
	for want, change := range map[string]func(*Config){
		"beams":           func(c *Config) { c.Beams = 0 },
		"max-new-tokens":  func(c *Config) { c.MaxNewTokens = 0 },
		"no-repeat-ngram": func(c *Config) { c.NoRepeatNGram = -1 },
		"length-penalty":  func(c *Config) { c.LengthPenalty = math.NaN() },
		"beam-rules":      func(c *Config) { c.Rules = "mine" },
		"sampling":        func(c *Config) { c.Sample, c.Beams = true, 2 },
		"temperature":     func(c *Config) { c.Temperature = -1 },
		"top-k":           func(c *Config) { c.TopK = -1 },
		"top-p":           func(c *Config) { c.TopP = 2 },
		"early-stopping":  func(c *Config) { c.EarlyStopping = "soon" },
	} {
		c := good
		change(&c)
		if err := c.Check(); err == nil || len(err.Error()) < len(want) || err.Error()[:len(want)] != want {
			t.Errorf("got error %v, want one of %s", err, want)
		}
	}
}
