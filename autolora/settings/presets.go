package settings

import (
	"reflect"
	"slices"
	"strings"

	"autolora/autolora"
)

// Preset is a named set of defaults.
type Preset struct {
	Name  string
	About string // one line
	set   func(*Config)
}

// The names of the presets.
const (
	DefaultPreset = "default"
	Paper         = "paper"
	Official      = "official"
	Scaled        = "scaled"
)

// Presets lists the presets. The first is the default.
var Presets = []Preset{
	{DefaultPreset, "the defaults above: the paper's settings, but for the learning rates, which go by the method", func(*Config) {}},
	{Paper, "the paper's settings", paper},
	{Official, "what the published code does on GLUE, where that is not what the paper says", official},
	{Scaled, "the paper's settings with softmax times k: the search starts as plain LoRA of rank k", scaled},
}

// FromPreset returns the settings of the preset of that name.
func FromPreset(name string) (Config, error) {
	c := Default()
	for _, p := range Presets {
		if p.Name == name {
			c.Preset = name
			p.set(&c)
			return c, nil
		}
	}
	return c, Errorf("preset", "got %q, want one of %s", name, strings.Join(presetNames(), ", "))
}

func presetNames() (names []string) {
	for _, p := range Presets {
		names = append(names, p.Name)
	}
	return names
}

// paper sets the rate of the paper's section 5.1, which is meant for tens of
// epochs of large data, and learns STS-B's labels as they are.
func paper(c *Config) { c.LR, c.SearchLR, c.StandardizeLabels = 1e-4, 1e-4, false }

// official sets what github.com/ruz048/AutoLoRA (commit 314c6f4) does: its
// run_glue_search.py on the engine Betty, then finetune/lora_glue.py. What that
// code does besides, and this program does not:
//
//   - it drops the short batch at the end of every epoch, and with it up to 15
//     examples of the dev set (drop_last); here every example is scored once;
//   - it pads every example of the search to 512 tokens; here nothing is padded;
//   - it merges B·A without α into the frozen weights at every validation of the
//     search and subtracts it again, which only adds rounding;
//   - it draws other dropout masks for each loss of the finite difference, which
//     drowns it in noise: --fd-masks independent;
//   - it retrains QQP and MNLI for 10 epochs, not 30: --epochs 10;
//   - on BioNLP it searches with the whole backbone trainable, at learning rate
//     1e-3, and retrains every bias.
func official(c *Config) {
	c.MaxLength, c.StandardizeLabels = 512, false
	c.Split = 0.7 // paper: 0.5
	c.SearchEpochs, c.SearchBatchSize = 20, 32
	c.SearchLR, c.SearchWeightDecay = 3e-4, 0 // plain Adam
	c.AlphaLR, c.AlphaBeta1 = 3e-4, 0.5
	c.AlphaInit = 1
	c.LookAhead = autolora.Adam // W' is an optimiser's step
	c.Hypergradient, c.ImplicitAt, c.ImplicitFactor = autolora.FiniteDifference, autolora.AtLookAhead, 1
	c.UpdateOrder = autolora.AlphaFirst
	c.Rule = autolora.RawRule
	c.LoRADropout, c.SearchLoRADropout = 0.1, 0
	c.Epochs, c.LR, c.BatchSize, c.WeightDecay, c.Warmup = 30, 1e-4, 16, 0.01, 0.06
}

// scaled makes ΔW at the start of the search as large as that of plain LoRA at
// rank k, where softmax alone makes it k times smaller.
func scaled(c *Config) {
	paper(c)
	c.AlphaScale = 0 // k
}

// Sets returns what the preset changes of the defaults.
func (p Preset) Sets() []Setting {
	c := Default()
	p.set(&c)
	return slices.DeleteFunc(c.Settings(), Setting.IsDefault)
}

// Apply sets what the preset of that name sets, but for the settings that are
// given otherwise.
func (c *Config) Apply(preset string, given func(name string) bool) error {
	from, err := FromPreset(preset)
	if err != nil {
		return err
	}
	settings := c.Settings()
	for i, s := range from.Settings() {
		if !s.IsDefault() && !given(s.Name) {
			reflect.ValueOf(settings[i].Value).Elem().Set(reflect.ValueOf(s.get()))
		}
	}
	return nil
}
