package settings

import (
	"encoding/json"
	"testing"

	"autolora/data"
	"autolora/nn"
)

// TestKept holds what is kept beside a model to what says how it is used.
func TestKept(t *testing.T) {
	for _, c := range []struct {
		change func(*Config)
		want   string
	}{
		{func(c *Config) {}, `{"max-length":128}`},
		{func(c *Config) { c.Quantize = nn.NF4 }, `{"max-length":128,"quantize":"nf4"}`},
		{func(c *Config) {
			c.Kind, c.Text, c.Label, c.Model, c.LR = data.Classification, []string{"a", "b"}, "y", "/home/me/model", 1
		}, `{"kind":"classification","text":["a","b"],"label":"y","max-length":128}`},
		{func(c *Config) {
			c.Kind, c.Task, c.Metrics, c.Decoding.Beams = data.Generation, "e2e", []string{"bleu"}, 3
		},
			`{"task":"e2e","kind":"generation","max-length":128,"beams":3,"beam-rules":"lora","length-penalty":0.8,"no-repeat-ngram":4,` +
				`"early-stopping":"false","max-new-tokens":64,"sample":false,"temperature":1,"top-k":0,"top-p":1,"metric":["bleu"]}`},
	} {
		cfg := Default()
		c.change(&cfg)
		if got := string(cfg.Kept()); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
		var back Config
		if err := json.Unmarshal(cfg.Kept(), &back); err != nil || back.MaxLength != 128 || back.Kind != cfg.Kind {
			t.Errorf("read back: %+v, %v", back, err)
		}
	}
}
