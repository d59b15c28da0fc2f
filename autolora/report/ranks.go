package report

import (
	"math"
	"slices"

	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"
)

// RankStudy is the ranks that a method learned on a task.
type RankStudy struct {
	Method string   `json:"method"`
	Rule   string   `json:"rule"` // form of α and its threshold, as ranks.json has it
	K      int      `json:"k"`    // 0 where there is none
	Seeds  []uint64 `json:"seeds"`
	Layers []string `json:"layers"` // Hugging Face module paths
	Ranks  [][]int  `json:"ranks"`  // [seeds][layers]
	Means  []Number `json:"means"`  // over seeds, of each layer

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
}

// studyRanks fills in the ranks of every method that learns some.
func (t *Task) studyRanks() {
	for _, m := range t.Methods {
		if !learnsRanks(m.Method) {
			continue
		}
		if s := study(m); s != nil {
			s.task = t.Title
			t.Ranks = append(t.Ranks, s)
		}
	}
	slices.SortStableFunc(t.Ranks, func(a, b *RankStudy) int { // AutoLoRA first
		return b2i(b.Method == reference) - b2i(a.Method == reference)
	})
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// study sums up the ranks of a method's runs; nil where none has ranks.
func study(m *Method) *RankStudy {
	var s *RankStudy
	var lists [][]float64
	var logs []float64 // variances of log α, of each layer
	for _, r := range m.runs {
		if r.Ranks == nil {
			continue
		}
		names := r.Ranks.Names()
		if s == nil {
			s = &RankStudy{Method: m.Method, Rule: r.Ranks.Rule, K: r.Ranks.K, Layers: names}
		}
		if !slices.Equal(names, s.Layers) {
			s.Unlike++
			continue
		}
		s.Seeds = append(s.Seeds, r.Results.Seed)
		s.Ranks = append(s.Ranks, r.Ranks.List())
		lists = append(lists, toFloats(r.Ranks.List()))
		for _, l := range r.Ranks.Layers {
			if v := stat.Variance(logsOf(l.Alpha), nil); !math.IsNaN(v) {
				logs = append(logs, v)
			}
		}
	}
	if s == nil {
		return nil
	}
	var variance float64
	for _, list := range lists {
		variance += stat.Variance(list, nil) / float64(len(lists))
	}
	s.SD = Number(math.Sqrt(variance))
	sum := 0.0
	for layer := range s.Layers {
		var values []float64
		for _, list := range lists {
			values = append(values, list[layer])
		}
		mean := stat.Mean(values, nil)
		s.Means = append(s.Means, Number(mean))
		sum += mean / float64(len(s.Layers))
	}
	s.Mean = Number(sum)
	s.Agreement = agreement(lists)
	s.Spread = unknown
	if len(logs) > 0 {
		s.Spread = Number(math.Sqrt(stat.Mean(logs, nil)))
	}
	s.ChanceMean, s.ChanceSD, s.MeanP, s.SDP = unknown, unknown, unknown, unknown
	if rule := parseRule(s.Rule); rule.form != noForm && s.K > 0 {
		s.against(rule.chance(s.K, float64(s.Spread)))
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

// patterns compares the ranks of tasks.
func (r *Report) patterns() {
	type group struct {
		*Pattern
		layers []string
		lists  [][]float64
	}
	var groups []*group
	for _, t := range r.Tasks {
		for _, s := range t.Ranks {
			i := slices.IndexFunc(groups, func(g *group) bool {
				return g.Model == t.Model && g.Method == s.Method && slices.Equal(g.layers, s.Layers)
			})
			if i < 0 {
				i = len(groups)
				groups = append(groups, &group{Pattern: &Pattern{Model: t.Model, Method: s.Method}, layers: s.Layers})
			}
			g := groups[i]
			g.Tasks = append(g.Tasks, t.Name)
			var means []float64
			for _, v := range s.Means {
				means = append(means, float64(v))
			}
			g.lists = append(g.lists, means)
		}
	}
	r.Patterns = []*Pattern{}
	for _, g := range groups {
		if len(g.Tasks) > 1 {
			g.Agreement = agreement(g.lists)
			r.Patterns = append(r.Patterns, g.Pattern)
		}
	}
}

func toFloats(values []int) []float64 {
	out := make([]float64, len(values))
	for i, v := range values {
		out[i] = float64(v)
	}
	return out
}

// logsOf returns the logarithms of α; nil unless all are above 0.
func logsOf(alpha []float64) []float64 {
	logs := make([]float64, len(alpha))
	for i, a := range alpha {
		if !(a > 0) {
			return nil
		}
		logs[i] = math.Log(a)
	}
	return logs
}
