package report

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"autolora/autolora/runs"
	"autolora/human"
)

// size fills in the numbers of examples and what was limited.
func (t *Task) size() {
	s := &t.Sizes
	s.Limits, s.Parts = []string{}, []string{}
	for _, r := range t.runs() {
		s.Evaluated, s.Train = max(s.Evaluated, r.Results.Examples), max(s.Train, r.Results.TrainExamples)
		if part := r.Results.Part; part != "" && !slices.Contains(s.Parts, part) {
			s.Parts = append(s.Parts, part)
		}
	}
	for _, r := range t.runs() {
		limit := func(setting, text string, share float64) {
			n, times := r.number(setting), ""
			if seen := n * r.number("batch-size"); seen > 0 && share > 0 && s.Train > 0 { // through a share of the examples
				times = fmt.Sprintf(", %.2g times the examples", seen/(share*float64(s.Train)))
			}
			if text = fmt.Sprintf(text, thousands(Number(n)), setting, times); n > 0 && !slices.Contains(s.Limits, text) {
				s.Limits = append(s.Limits, text)
			}
		}
		limit("limit-train", "training on %s examples (--%s%s)", 0)
		if r.Results.Steps.Search > 0 {
			limit("search-steps", "search of %s steps (--%s%s)", r.number("split"))
		}
		if r.Results.Steps.Train > 0 {
			limit("steps", "training of %s steps (--%s%s)", 1/max(1, r.number("accumulate")))
		}
	}
}

// note says what a reader should know about how the numbers came about. What
// is so of several tasks is said once.
func (r *Report) note() {
	r.Notes = []string{}
	if n := len(r.Missing); n > 0 {
		r.Notes = append(r.Notes, fmt.Sprintf("Not complete, and not counted: %d of %s: %s.", n, human.Count(n+len(r.runs), "run"), strings.Join(r.Missing, ", ")))
	}
	for _, d := range r.Replaced {
		r.Notes = append(r.Notes, fmt.Sprintf("%s is not counted: %s has the same model, task, method, seed and settings, and is newer, with %s results.", d.Dir, d.Newer, d.Results))
	}
	var texts []string
	of := make(map[string][]*Task) // by what is said about them
	for _, t := range r.Tasks {
		for _, text := range t.remarks() {
			if of[text] == nil {
				texts = append(texts, text)
			}
			of[text] = append(of[text], t)
		}
	}
	for _, text := range texts {
		r.Notes = append(r.Notes, fmt.Sprintf("%s: %s.", r.names(of[text]), text))
	}
}

// remarks says what is special about the runs of a task.
func (t *Task) remarks() []string {
	var remarks []string
	if len(t.Sizes.Limits) > 0 {
		text := strings.Join(t.Sizes.Limits, "; ")
		if t.Family != familyOwn {
			text += ". The paper's numbers are from training without such limits"
		}
		remarks = append(remarks, text)
	}
	if text := t.decoding(); text != "" {
		remarks = append(remarks, "texts were generated with "+text)
	}
	if names := t.names(true, func(r *Run) bool { return r.Results.Steps.Tune > 0 }); names != nil {
		remarks = append(remarks, fmt.Sprintf("trials chose the learning rate of %s; their cost counts as search", strings.Join(names, ", ")))
	}
	for _, m := range t.Methods {
		for _, text := range m.remarks(t) {
			remarks = append(remarks, methodOf(m.Method).Title+": "+text)
		}
	}
	if slices.ContainsFunc(t.runs(), func(r *Run) bool { return runs.OneAnswer(r.Results.Baseline) }) {
		remarks = append(remarks, oneAnswer)
	}
	remarks = append(remarks, t.symptoms()...)
	for _, name := range unequal(t.runs(), isShared) {
		remarks = append(remarks, fmt.Sprintf("runs of different methods differ in --%s (%s): their scores are not for the same conditions", name, strings.Join(values(t.runs(), name), ", ")))
	}
	if slices.ContainsFunc(t.Comparisons, func(c *Comparison) bool { return c.Differences.N > 0 && c.Loss == nil }) {
		remarks = append(remarks, "not all runs have held-out losses of the same examples, as those of earlier versions have none: without them scores alone are compared")
	}
	control := func(c *Comparison) bool { return methodOf(c.Other).Of == reference }
	if ours := t.method(reference); ours != nil && ours.Scores[t.Primary].N > 0 && !slices.ContainsFunc(t.Comparisons, control) {
		remarks = append(remarks, fmt.Sprintf("no control was run (%s, %s, %s), so whether it matters in which layers the ranks are high cannot be said", runs.MethodUniform, runs.MethodShuffled, runs.MethodRandom))
	}
	return remarks
}

// names returns the methods of those runs, and perhaps with which seeds.
func (t *Task) names(withSeeds bool, is func(r *Run) bool) (names []string) {
	for _, m := range t.Methods {
		var seeds []uint64
		for _, r := range m.runs {
			if is(r) {
				seeds = append(seeds, r.Results.Seed)
			}
		}
		switch title := methodOf(m.Method).Title; {
		case seeds != nil && withSeeds:
			names = append(names, fmt.Sprintf("%s (seed %s)", title, seedList(seeds)))
		case seeds != nil:
			names = append(names, title)
		}
	}
	return names
}

// decoding returns the settings by which texts were generated, where all runs
// did it alike; "" for other tasks.
func (t *Task) decoding() string {
	if !scoreOf(t.Primary).Texts || unequal(t.runs(), isDecoding) != nil {
		return ""
	}
	var used []string
	for name, v := range t.runs()[0].Settings {
		if isDecoding(name) && v != false && v != 0.0 {
			used = append(used, fmt.Sprintf("--%s %v", name, v))
		}
	}
	slices.Sort(used)
	return strings.Join(used, ", ")
}

// remarks says what is special about the runs of a method.
func (m *Method) remarks(t *Task) []string {
	var remarks []string
	seeds := func(text string, of func(r *Run) bool) {
		var list []string
		for _, r := range m.runs {
			if of(r) {
				list = append(list, fmt.Sprint(r.Results.Seed))
			}
		}
		if list != nil {
			remarks = append(remarks, fmt.Sprintf(text, strings.Join(list, ", ")))
		}
	}
	scored := func(r *Run) bool { _, ok := r.Results.Scores[r.Results.Primary]; return ok }
	seeds("no scores with seed %s", func(r *Run) bool { return !scored(r) })
	seeds("the score is undefined with seed %s and left out of the mean", func(r *Run) bool { return scored(r) && math.IsNaN(r.score(r.Results.Primary)) })
	seeds("the ranks of seed %s were read from a file, so its cost is without their search", func(r *Run) bool { return methodOf(m.Method).Ranks == runs.Searched && r.Results.Steps.Search == 0 })
	if m.Grid > 0 {
		text := fmt.Sprintf("the grid has %s", human.Count(m.Grid, "configuration"))
		if t.Family != familyOwn {
			text += " (the paper's: 16)"
		}
		remarks = append(remarks, text)
	}
	if !m.Unlearnt {
		seeds("no better than the commonest answer with seed %s, which its means have in them", func(r *Run) bool { return r.Results.NoBetter() })
	} else {
		remarks = append(remarks, "it is not judged: "+noBetter(t.Primary, m.score(t.Primary).Mean, t.baseline(t.Primary)))
	}
	return remarks
}

// symptoms says what runs look like that may have learnt nothing: what several of them
// share once, with the figures of the first.
func (t *Task) symptoms() (remarks []string) {
	type shown struct {
		run *Run
		symptom
	}
	var all []shown
	for _, r := range t.runs() {
		for _, s := range symptoms(&r.Results) {
			all = append(all, shown{r, s})
		}
	}
	several := slices.ContainsFunc(t.Methods, func(m *Method) bool { return len(m.runs) > 1 })
	for _, of := range groups(all, func(a, b shown) bool { return a.what == b.what && a.try == b.try }) {
		if of[0].figures != "" && len(of) > 1 {
			of[0].figures = "the first: " + of[0].figures
		}
		names := t.names(several, func(r *Run) bool { return slices.ContainsFunc(of, func(s shown) bool { return s.run == r }) })
		remarks = append(remarks, strings.Join(names, ", ")+": "+of[0].String())
	}
	return remarks
}
