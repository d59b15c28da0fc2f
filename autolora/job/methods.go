package job

import (
	"fmt"
	"strings"

	"autolora/autolora"
	"autolora/autolora/runs"
)

// method is one way of fine-tuning, by its name in package runs.
type method struct {
	name string
	// ranks says where the ranks of its LoRA layers come from.
	ranks rankSource
	// adjust sets what makes it differ from its like; nil: nothing.
	adjust func(*Config)
}

// rankSource is where the ranks of a method's LoRA layers come from.
type rankSource int

const (
	noRanks      rankSource = iota // it has none, or one rank everywhere
	searched                       // learned: autolora.Search
	gridSearched                   // the best of a grid
	allocated                      // learned in training: AdaLoRA
	derived                        // made of another run's ranks: the controls
)

// methods lists all, in the order of the paper's tables, then its ablations and
// the controls.
var methods = []method{
	{name: runs.MethodFull},
	{name: runs.MethodAdapter},
	{name: runs.MethodLoRA},
	{name: runs.MethodAdaLoRA, ranks: allocated},
	{name: runs.MethodLoRAGrid, ranks: gridSearched},
	{name: runs.MethodAutoLoRA, ranks: searched},
	{name: runs.MethodNone, ranks: searched, adjust: func(c *Config) { c.ablate(autolora.Free) }},
	{name: runs.MethodSigmoid, ranks: searched, adjust: func(c *Config) { c.ablate(autolora.Sigmoid) }},
	{name: runs.MethodEta0, ranks: searched, adjust: func(c *Config) { c.Hypergradient = string(autolora.FirstOrder) }},
	{name: runs.MethodUniform, ranks: derived},
	{name: runs.MethodShuffled, ranks: derived},
}

// ablate sets the form of α of an ablation, with what belongs to it: neither
// the start nor the rule of a preset is meant for another form than softmax.
func (c *Config) ablate(form autolora.AlphaForm) {
	c.AlphaForm, c.AlphaScale, c.AlphaInit, c.RankRule = string(form), 1, -1, string(autolora.AlphaRule)
}

// methodOf returns the method of that name.
func methodOf(name string) (method, error) {
	for _, m := range methods {
		if m.name == name {
			return m, nil
		}
	}
	return method{}, fmt.Errorf("unknown method %q, want one of %s", name, strings.Join(Methods(), ", "))
}

// Methods returns the names of all methods.
func Methods() []string {
	names := make([]string, len(methods))
	for i, m := range methods {
		names[i] = m.name
	}
	return names
}

// Variant returns cfg with what the method of that name sets: an ablation of
// the search is the search with one setting changed.
func Variant(cfg Config, name string) (Config, error) {
	m, err := methodOf(name)
	if err != nil {
		return cfg, err
	}
	cfg.Method = name
	if m.adjust != nil {
		m.adjust(&cfg)
	}
	return cfg, nil
}

// NeedsRanks reports whether the method trains at the ranks of a file.
func NeedsRanks(name string) bool {
	m, _ := methodOf(name)
	return m.ranks == searched || m.ranks == derived
}
