package autolora

// RankRule is what gives the ranks of the layers after a search. A new one is a
// file with a function of Evidence, and an entry of rankRules.
type RankRule string

// The rules.
const (
	AlphaRule RankRule = "alpha" // α at or above the form's threshold (paper)
	// RawRule counts the entries of a at or above their mean. That is what the
	// published GLUE search does, a/Σa ≥ 1/k, wherever Σa > 0; below, its rule
	// would count the low entries.
	RawRule RankRule = "raw"
)

// Evidence is what a rule decides by: the variables of all layers, a row of k
// numbers each.
type Evidence struct {
	Form  AlphaForm
	Alpha [][]float64 // α
	Raw   [][]float64 // a
}

var rankRules = map[RankRule]func(Evidence) []int{
	AlphaRule: func(e Evidence) []int { return e.Form.ranks(e.Alpha) },
	RawRule:   func(e Evidence) []int { return Free.ranks(e.Raw) },
}

// RankRules lists the rules.
var RankRules = []RankRule{AlphaRule, RawRule}

// ranks counts in every layer by the threshold of the form.
func (f AlphaForm) ranks(layers [][]float64) []int {
	ranks := make([]int, len(layers))
	for i, layer := range layers {
		ranks[i] = f.Rank(layer)
	}
	return ranks
}
