package report

import (
	"fmt"
	"math"
	"slices"

	"autolora/autolora/runs"

	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"
)

// RankStudy is the ranks that a method learned on a task.
type RankStudy struct {
	Method string    `json:"method"`
	Rule   runs.Rule `json:"rule"`
	K      int       `json:"k"` // 0 where there is none
	Seeds  []uint64  `json:"seeds"`
	Layers []string  `json:"layers"` // Hugging Face module paths
	Ranks  [][]int   `json:"ranks"`  // [seeds][layers]
	Means  []float64 `json:"means"`  // over seeds, of each layer

	Mean Number `json:"mean"` // over layers and seeds
	SD   Number `json:"sd"`   // over the layers, pooled over seeds
	// What chance gives: see rankRule.chance.
	ChanceMean Number    `json:"chance_mean"`
	ChanceSD   Number    `json:"chance_sd"`
	Spread     Number    `json:"spread"` // standard deviation of log α within a layer
	MeanP      Number    `json:"mean_p"` // of the mean against chance, two-sided
	SDP        Number    `json:"sd_p"`   // likewise of the spread
	Agreement  Agreement `json:"agreement"`
	Unlike     int       `json:"unlike"` // seeds left out, for they have other layers

	task string // title
}

// Pattern is how far the ranks that a method learned agree between tasks.
type Pattern struct {
	Model     string    `json:"model"`
	Method    string    `json:"method"`
	Tasks     []string  `json:"tasks"`
	Agreement Agreement `json:"agreement"` // of the means over seeds

	means [][]float64 // of the tasks
}

// studyRanks fills in the ranks of every method that learns some, AutoLoRA's
// first.
func (t *Task) studyRanks() {
	for _, m := range t.Methods {
		if !learns(methodOf(m.Method)) {
			continue
		}
		if s := study(m); s != nil {
			s.task = t.Title
			t.Ranks = append(t.Ranks, s)
		}
	}
	slices.SortStableFunc(t.Ranks, func(a, b *RankStudy) int { return b2i(b.Method == reference) - b2i(a.Method == reference) })
}

// study sums up the ranks of a method's runs; nil where none has ranks.
func study(m *Method) *RankStudy {
	var s *RankStudy
	var lists [][]float64
	var variances, logs []float64 // over the layers, of each seed; of log α, of each layer
	for _, r := range m.runs {
		if r.Ranks == nil {
			continue
		}
		names, list := r.Ranks.Names(), r.Ranks.List()
		if s == nil {
			s = &RankStudy{Method: m.Method, Rule: r.Ranks.Rule, K: r.Ranks.K, Layers: names}
		}
		if !slices.Equal(names, s.Layers) {
			s.Unlike++
			continue
		}
		s.Seeds, s.Ranks = append(s.Seeds, r.Results.Seed), append(s.Ranks, list)
		lists = append(lists, toFloats(list))
		variances = append(variances, stat.Variance(toFloats(list), nil))
		for _, l := range r.Ranks.Layers {
			var log []float64
			for _, a := range l.Alpha {
				log = append(log, math.Log(a))
			}
			if v := stat.Variance(log, nil); !math.IsNaN(v) { // NaN unless all α are above 0
				logs = append(logs, v)
			}
		}
	}
	if s == nil {
		return nil
	}
	for layer := range s.Layers {
		var values []float64
		for _, list := range lists {
			values = append(values, list[layer])
		}
		s.Means = append(s.Means, mean(values))
	}
	s.Mean, s.SD, s.Spread = Number(mean(slices.Concat(lists...))), Number(math.Sqrt(mean(variances))), Number(math.Sqrt(mean(logs)))
	s.Agreement = agreement(lists)
	s.ChanceMean, s.ChanceSD, s.MeanP, s.SDP = unknown, unknown, unknown, unknown
	if rankRule(s.Rule).counts() && s.K > 0 {
		s.against(rankRule(s.Rule).chance(s.K, float64(s.Spread)))
	}
	return s
}

// against tests the mean and the spread of the ranks against those that
// chance gives, as of normal numbers.
func (s *RankStudy) against(mean, sd float64) {
	s.ChanceMean, s.ChanceSD = Number(mean), Number(sd)
	if !(sd > 0) || !s.SD.Known() {
		return
	}
	lists, layers := float64(len(s.Ranks)), float64(len(s.Layers))
	z := (float64(s.Mean) - mean) / (sd / math.Sqrt(layers*lists))
	s.MeanP = Number(2 * distuv.UnitNormal.CDF(-math.Abs(z)))
	df := lists * (layers - 1)
	q := distuv.ChiSquared{K: df}
	x := df * float64(s.SD) * float64(s.SD) / (sd * sd)
	s.SDP = Number(2 * min(q.CDF(x), q.Survival(x)))
}

// patterns compares the ranks that a method learned on several tasks.
func (r *Report) patterns() {
	of := make(map[string]*Pattern)
	r.Patterns = []*Pattern{}
	for _, t := range r.Tasks {
		for _, s := range t.Ranks {
			key := fmt.Sprint(t.Model, t.With, s.Method, s.Layers)
			if of[key] == nil {
				of[key] = &Pattern{Model: t.Model, Method: s.Method}
				r.Patterns = append(r.Patterns, of[key])
			}
			of[key].Tasks, of[key].means = append(of[key].Tasks, t.Name), append(of[key].means, s.Means)
		}
	}
	r.Patterns = slices.DeleteFunc(r.Patterns, func(p *Pattern) bool { return len(p.Tasks) < 2 })
	for _, p := range r.Patterns {
		p.Agreement = agreement(p.means)
	}
}

func toFloats(values []int) []float64 {
	out := make([]float64, len(values))
	for i, v := range values {
		out[i] = float64(v)
	}
	return out
}
