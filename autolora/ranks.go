package autolora

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
)

// AlphaForm is how the selection variables α come from the free variables a
// (paper, Eq. 3 and Table 4), which also gives the threshold of the ranks.
type AlphaForm string

// The three forms.
const (
	Softmax AlphaForm = "softmax" // α = softmax(a) per layer, threshold 1/k
	Free    AlphaForm = "none"    // α = a ("w/o constraint"), threshold mean(α) of the layer
	Sigmoid AlphaForm = "sigmoid" // α = sigmoid(a), threshold 0.5
)

// AlphaForms lists the forms.
var AlphaForms = []AlphaForm{Softmax, Free, Sigmoid}

// Rank returns the rank that one layer's α gives: the number of entries at or
// above the threshold. It is at least 1 with softmax and with the free form,
// and may be 0 with sigmoid.
func (f AlphaForm) Rank(alpha []float64) int {
	threshold := f.threshold(alpha)
	rank := 0
	for _, a := range alpha {
		if a >= threshold {
			rank++
		}
	}
	return rank
}

// slack absorbs rounding: equal α, as at the start, all count as being at the
// mean. α comes from float32 arithmetic, whose spacing below 1 is 6e-8.
const slack = 1e-6

func (f AlphaForm) threshold(alpha []float64) float64 {
	switch f {
	case Free:
		mean, scale := 0.0, 0.0
		for _, a := range alpha {
			mean += a / float64(len(alpha))
			scale = max(scale, math.Abs(a))
		}
		return mean - slack*scale
	case Sigmoid:
		return 0.5 - slack
	default:
		return (1 - slack) / float64(len(alpha))
	}
}

// LayerRank is one layer's entry of ranks.json.
type LayerRank struct {
	Name  string    `json:"name"` // Hugging Face module path
	Rank  int       `json:"rank"`
	Alpha []float64 `json:"alpha,omitempty"` // k numbers
}

// Ranks is what ranks.json holds: the ranks, and how they came about.
type Ranks struct {
	Rule      string      `json:"rule,omitempty"` // form of α and its threshold
	K         int         `json:"k,omitempty"`
	Layers    []LayerRank `json:"layers"`
	Model     string      `json:"model,omitempty"`
	Task      string      `json:"task,omitempty"`
	Seed      *uint64     `json:"seed,omitempty"`
	Steps     int         `json:"steps,omitempty"`
	Mode      string      `json:"mode,omitempty"` // hypergradient
	LookAhead string      `json:"look_ahead,omitempty"`
	Eta       *float64    `json:"eta,omitempty"`
	Split     string      `json:"split,omitempty"`
}

// rules are the texts of ranks.json's "rule".
var rules = map[AlphaForm]string{
	Softmax: "softmax: number of α ≥ 1/k",
	Free:    "none: number of α ≥ the layer's mean α",
	Sigmoid: "sigmoid: number of α ≥ 0.5",
}

// ByName returns the ranks by module path.
func (r Ranks) ByName() map[string]int64 {
	ranks := make(map[string]int64, len(r.Layers))
	for _, l := range r.Layers {
		ranks[l.Name] = int64(l.Rank)
	}
	return ranks
}

// list returns the ranks alone.
func (r Ranks) list() []int {
	ranks := make([]int, len(r.Layers))
	for i, l := range r.Layers {
		ranks[i] = l.Rank
	}
	return ranks
}

// Mean returns the mean rank.
func (r Ranks) Mean() float64 {
	sum := 0
	for _, l := range r.Layers {
		sum += l.Rank
	}
	return float64(sum) / float64(max(1, len(r.Layers)))
}

// ReadRanks reads a ranks.json; names and ranks alone are enough.
func ReadRanks(path string) (Ranks, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return Ranks{}, fmt.Errorf("read ranks: %w", err)
	}
	r, err := ParseRanks(data)
	if err != nil {
		return Ranks{}, fmt.Errorf("%s: %w", path, err)
	}
	return r, nil
}

// ParseRanks reads the text of a ranks.json.
func ParseRanks(data []byte) (Ranks, error) {
	var r Ranks
	if err := json.Unmarshal(data, &r); err != nil {
		return Ranks{}, fmt.Errorf("not a ranks file: %w", err)
	}
	if len(r.Layers) == 0 {
		return Ranks{}, errors.New(`not a ranks file: no "layers", want [{"name": …, "rank": …}, …]`)
	}
	seen := make(map[string]bool)
	for i, l := range r.Layers {
		switch {
		case l.Name == "":
			return Ranks{}, fmt.Errorf("layer %d has no name", i)
		case l.Rank < 0:
			return Ranks{}, fmt.Errorf("layer %q: rank %d, want at least 0", l.Name, l.Rank)
		case seen[l.Name]:
			return Ranks{}, fmt.Errorf("layer %q is there twice", l.Name)
		}
		seen[l.Name] = true
	}
	return r, nil
}
