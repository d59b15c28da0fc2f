package nn

import (
	"encoding/json"
	"math"
	"os"
	"strings"
	"testing"

	"autolora/torchbind"
)

// Every form of rotary embeddings, at lengths within and beyond pre-training, as
// transformers has them: to two roundings of float32, of a power and what is made
// of it.
func TestRopesAgainstTransformers(t *testing.T) {
	data, err := os.ReadFile(testdata("ropes.json"))
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Config  json.RawMessage
		Lengths []struct {
			Length      int64
			Frequencies []float64
			Scale       float64
		}
	}
	if err := json.Unmarshal(data, &cases); err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		cfg, err := ParseConfig(c.Config)
		if err != nil {
			t.Errorf("%s: %v", c.Config, err)
			continue
		}
		for _, want := range c.Lengths {
			r := cfg.LayerTypes[0].Rope
			got := r.frequencies(r.turned(cfg.HeadDim), want.Length)
			if len(got) != len(want.Frequencies) || math.Abs(r.scale()-want.Scale) > 1e-15 {
				t.Errorf("%s, %d tokens: %d frequencies and scale %v, want %d and %v", c.Config, want.Length, len(got), r.scale(), len(want.Frequencies), want.Scale)
				continue
			}
			for i, f := range want.Frequencies {
				if math.Abs(float64(got[i])-f) > f*2/(1<<23) {
					t.Errorf("%s, %d tokens: frequency %d is %v, want %v", c.Config, want.Length, i, got[i], float32(f))
				}
			}
			if most := cfg.MaxTokens(); want.Length > most {
				t.Errorf("%s: at most %d tokens, want %d", c.Config, most, want.Length)
			}
		}
	}
}

// A text is turned as its own length says, whatever else is in the batch.
func TestRopesOfMixedLengths(t *testing.T) {
	for _, name := range []string{"phi3-tiny", "llama-dynamic"} {
		t.Run(name, func(t *testing.T) {
			run(t, func(s *torchbind.Scope) {
				m := loadDecoder(t, name, LoadConfig{DType: torchbind.Float64})
				defer m.Close()
				seqs, _ := openFixture(t, "expected-llama-yarn").sequences("batch") // of 8, 20 and 3 tokens
				logits := logitsOf(t, s, &seqs)
				all := logits(m)
				var each []float64
				whole, first := seqs, 0
				for i, n := range whole.Lengths {
					seqs.IDs, seqs.Segments, seqs.Lengths, seqs.WantPer, seqs.Want = whole.IDs[first:first+n], whole.Segments[:n], []int{n}, whole.WantPer[i:i+1], nil
					for _, row := range whole.Want {
						if row >= int64(first) && row < int64(first+n) {
							seqs.Want = append(seqs.Want, row-int64(first))
						}
					}
					each = append(each, logits(m)...)
					first += n
				}
				near(t, "logits", all, each, tolerance64)
			})
		})
	}
}

func TestRopeErrors(t *testing.T) {
	for _, c := range []struct{ modelType, more, want string }{
		{"llama", `, "rope_scaling": {"rope_type": "magic"}`, `rope_scaling: got type "magic", want default, linear, dynamic, yarn, longrope or llama3`},
		{"llama", `, "rope_scaling": {"rope_type": "linear"}`, "rope_scaling: got factor 0, want more than 0"},
		{"llama", `, "rope_scaling": {"rope_type": "dynamic", "factor": -1}`, "rope_scaling: got factor -1, want more than 0"},
		{"llama", `, "head_dim": 2, "rope_scaling": {"rope_type": "dynamic", "factor": 2}`, "dynamic turns 2 columns of a head, want more than 2"},
		{"llama", `, "rope_theta": 0.5`, "rope_theta: got 0.5, want a number of at least 1"},
		{"llama", `, "rope_scaling": {"rope_type": "yarn", "factor": 4, "beta_slow": -1}`, "beta_slow -1 and attention_factor 0, want positive numbers"},
		{"llama", `, "rope_scaling": {"rope_type": "llama3", "factor": 4}`, "want rising factors and a length"},
		{"llama", `, "partial_rotary_factor": 0.5`, "partial_rotary_factor: got 0.5, want 1"},
		{"phi3", `, "partial_rotary_factor": 0.4`, "partial_rotary_factor: got 0.4, want an even part of head_dim 8"},
		{"phi3", `, "rope_scaling": {"type": "longrope", "short_factor": [1, 1, 1, 1], "long_factor": [1, 2, 3]}`,
			"rope_scaling: got 4 numbers in short_factor and 3 in long_factor, want 4 positive ones"},
		{"phi3", `, "rope_scaling": {"type": "su", "short_factor": [1, 1, 1, 1], "long_factor": [1, 2, 0, 4]}`, "want 4 positive ones"},
		{"phi3", `, "rope_scaling": {"type": "yarn", "short_factor": [1, 1, 1, 1], "long_factor": [1, 2, 3, 4], "attention_factor": -1}`,
			"and attention_factor -1, want positive numbers and a length"},
	} {
		t.Run(c.modelType+c.more, func(t *testing.T) {
			_, err := ParseConfig(configOf(c.modelType, c.more))
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v, want %q in one line", err, c.want)
			}
		})
	}
}
