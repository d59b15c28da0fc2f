package runs

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"autolora/human"
)

// Method is one way of fine-tuning: an entry of Methods says what it trains and
// at which ranks, and how it is named and drawn.
type Method struct {
	Name   string // in results.json, flags and tables
	Trains Trained
	Ranks  RankSource
	LR     float64 // highest learning rate of its training, by default
	// Set has the settings that make it differ from its like, as "NAME=VALUE".
	Set []string

	// Of is the method of whose ranks a control's are made, Placed how: "spread evenly";
	// "" of all others.
	Of, Placed string

	Title  string    // in tables and pictures
	Words  string    // in a sentence
	Group  string    // title of a group of its own below the other methods
	Colour string    // in pictures
	Dash   []float64 // of its curves, in points: lengths of lines and gaps
}

// Trained is what a method trains beside the head.
type Trained int

const (
	TrainsLoRA        Trained = iota // a LoRA layer on every target
	TrainsSVD                        // AdaLoRA's form of it, folded into LoRA in the end
	TrainsBottlenecks                // bottleneck adapters in every block
	TrainsEverything                 // all weights of the model
)

// RankSource is where the ranks of a method's LoRA layers come from.
type RankSource int

const (
	OneRank    RankSource = iota // one rank everywhere, or no LoRA
	Searched                     // learnt before the training, by the search
	BestOfGrid                   // the best of a grid
	Allocated                    // learnt in training: AdaLoRA
	Spread                       // a control: those of another run, spread evenly
	Permuted                     // a control: those of another run, permuted over the layers
	Drawn                        // a control: layers and ranks at random, at the cost of another run's
)

// Derived reports whether the ranks are made of those of another run.
func (s RankSource) Derived() bool { return s == Spread || s == Permuted || s == Drawn }

// Budgets reports whether a budget of parameters decides the method's ranks.
func (m Method) Budgets() bool {
	return m.Trains == TrainsLoRA && m.Ranks != BestOfGrid
}

// The names of the methods.
const (
	MethodFull     = "full"      // full fine-tuning
	MethodAdapter  = "adapter"   // bottleneck adapters (Houlsby et al. 2019, Pfeiffer et al. 2021)
	MethodLoRA     = "lora"      // LoRA of one rank everywhere
	MethodAdaLoRA  = "adalora"   // Zhang et al. 2023
	MethodLoRAGrid = "lora-grid" // LoRA at the best of a grid of ranks
	MethodAutoLoRA = "autolora"  // ranks learned, then trained anew
	// The ablations of the paper's Table 4.
	MethodNone    = "autolora-none"    // without constraint on α
	MethodSigmoid = "autolora-sigmoid" // α = sigmoid
	MethodEta0    = "autolora-eta0"    // η = 0: no second order
	// The controls of AutoLoRA.
	MethodUniform  = "lora-uniform"      // LoRA spread evenly, at the parameters that AutoLoRA found
	MethodShuffled = "autolora-shuffled" // AutoLoRA's ranks, permuted over the layers
	MethodRandom   = "autolora-random"   // layers and ranks at random, at those parameters
)

// The groups of methods that have a title.
const (
	Ablations = "Ablations (Table 4)"
	Controls  = "Controls"
)

// Methods lists all: those of the paper's tables in their order, its ablations, their
// controls, then the other rules for ranks, each with its controls.
var Methods = slices.Concat(paperMethods, controlsOf(paperMethods), ruleMethods())

// An ablation of the form has that form's own start and rule: those of a preset are
// meant for softmax.
var paperMethods = []Method{
	{Name: MethodFull, LR: 5e-5, Trains: TrainsEverything, Title: "Full fine-tuning", Words: "full fine-tuning", Colour: "gray"},
	{Name: MethodAdapter, LR: 1e-3, Trains: TrainsBottlenecks, Title: "Adapter", Words: "adapters", Colour: "magenta", Dash: []float64{9, 3, 2, 3}},
	{Name: MethodLoRA, LR: 1e-3, Title: "LoRA", Words: "LoRA of one rank everywhere", Colour: "orange", Dash: []float64{7, 3}},
	{Name: MethodAdaLoRA, LR: 4e-3, Trains: TrainsSVD, Ranks: Allocated, Title: "AdaLoRA", Words: "AdaLoRA", Colour: "green", Dash: []float64{2, 2.5}},
	{Name: MethodLoRAGrid, LR: 1e-3, Ranks: BestOfGrid, Title: "LoRA, grid search", Words: "LoRA at the best of a grid of ranks", Colour: "yellow", Dash: []float64{4, 2}},
	{Name: MethodAutoLoRA, LR: 1e-3, Ranks: Searched, Title: "AutoLoRA", Words: "AutoLoRA", Colour: "blue"},
	{Name: MethodNone, LR: 1e-3, Ranks: Searched, Set: []string{"alpha-form=none", "alpha-scale=1", "alpha-init=-1", "rule=alpha"},
		Title: "AutoLoRA, no constraint", Words: "AutoLoRA without constraint on α", Group: Ablations, Colour: "red", Dash: []float64{7, 3}},
	{Name: MethodSigmoid, LR: 1e-3, Ranks: Searched, Set: []string{"alpha-form=sigmoid", "alpha-scale=1", "alpha-init=-1", "rule=alpha"},
		Title: "AutoLoRA, sigmoid", Words: "AutoLoRA with α = sigmoid", Group: Ablations, Colour: "red", Dash: []float64{2, 2.5}},
	{Name: MethodEta0, LR: 1e-3, Ranks: Searched, Set: []string{"hypergradient=first-order"},
		Title: "AutoLoRA, η = 0", Words: "AutoLoRA without second order (η = 0)", Group: Ablations, Colour: "red", Dash: []float64{9, 3, 2, 3}},
}

// ruleMethods returns a method autolora-RULE for every rule that is not among the
// paper's, followed by its controls. In a comparison plain autolora has the rule that
// is set, by default the paper's.
func ruleMethods() (all []Method) {
	for _, r := range []struct {
		rule, colour string
		set          []string
	}{
		{"raw", "blue", nil},
		{"gates", "violet", []string{"alpha-scale=1", "alpha-init=-1"}}, // as an ablation of the form
		{"ablation", "red", nil}, {"trained", "green", nil}, {"gradient", "orange", nil}, {"gora", "magenta", nil}, {"eva", "yellow", nil},
	} {
		one := []Method{{
			Name: MethodAutoLoRA + "-" + r.rule, LR: 1e-3, Ranks: Searched, Set: append([]string{"rule=" + r.rule}, r.set...),
			Title: "Rule " + r.rule, Words: "the rule " + r.rule, Group: "Rule " + r.rule, Colour: r.colour,
		}}
		all = slices.Concat(all, one, controlsOf(one))
	}
	return all
}

// controlsOf returns the controls of those methods that search ranks: the same
// parameters over the same layers, placed in other ways. A control of BASE is called
// BASE-uniform, BASE-shuffled or BASE-random, but for one that had a name before there
// were other rules.
func controlsOf(methods []Method) (all []Method) {
	for _, base := range methods {
		if base.Ranks != Searched {
			continue
		}
		for _, placed := range []struct {
			ranks              RankSource
			name, title, words string
			dash               []float64
		}{
			{Spread, "uniform", "spread evenly", "LoRA of the same size, spread evenly", []float64{1.5, 3}},
			{Permuted, "shuffled", "shuffled", "the same ranks shuffled over the layers", []float64{5, 2, 1.5, 2}},
			{Drawn, "random", "at random", "LoRA of the same size, placed at random", []float64{1.5, 1.5, 6, 1.5}},
		} {
			m := Method{
				Name: base.Name + "-" + placed.name, LR: base.LR, Ranks: placed.ranks, Of: base.Name, Placed: placed.title,
				Title: base.Title + ", " + placed.title, Words: placed.words, Group: cmp.Or(base.Group, Controls), Colour: base.Colour, Dash: placed.dash,
			}
			if m.Name == "autolora-uniform" {
				m.Name = MethodUniform
			}
			if m.Group == Ablations {
				m.Group = Controls
			}
			all = append(all, m)
		}
	}
	return all
}

// Rates says in words which learning rate each method has by default.
func Rates() string {
	var rates []float64
	of := make(map[float64][]string)
	for _, m := range Methods {
		if of[m.LR] == nil {
			rates = append(rates, m.LR)
		}
		if m.Of == "" {
			of[m.LR] = append(of[m.LR], m.Name)
		}
	}
	slices.SortStableFunc(rates, func(a, b float64) int { return cmp.Compare(len(of[b]), len(of[a])) })
	words := human.Rate(rates[0])
	for _, rate := range rates[1:] {
		words += fmt.Sprintf(", of method %s %s", strings.Join(of[rate], ", "), human.Rate(rate))
	}
	return words
}

// FindMethod returns the method of that name.
func FindMethod(name string) (Method, bool) {
	i := slices.IndexFunc(Methods, func(m Method) bool { return m.Name == name })
	if i < 0 {
		return Method{}, false
	}
	return Methods[i], true
}

// MethodWords lists the methods in words, for help.
func MethodWords() string {
	var names []string
	for _, m := range Methods {
		if m.Of == "" {
			names = append(names, m.Name)
		}
	}
	return strings.Join(names, ", ") + "; and as controls of those that search ranks, with the same parameters, " +
		MethodUniform + ", " + MethodShuffled + ", " + MethodRandom + ", and likewise autolora-RULE-uniform, -shuffled and -random"
}

// MethodNames returns the names of all methods.
func MethodNames() []string {
	names := make([]string, len(Methods))
	for i, m := range Methods {
		names[i] = m.Name
	}
	return names
}

// WithControls returns the methods that a comparison of methods makes with
// controls: those, and the controls of every one that has some.
func WithControls(methods []string) []string {
	all := slices.Clone(methods)
	for _, m := range Methods {
		if m.Of != "" && slices.Contains(methods, m.Of) {
			all = append(all, m.Name)
		}
	}
	return all
}

// SeedFolder is the folder of one run in that of a comparison.
func SeedFolder(method string, seed uint64) string {
	return filepath.Join(method, fmt.Sprintf("seed-%d", seed))
}
