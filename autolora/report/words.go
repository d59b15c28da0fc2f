package report

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"autolora/autolora/human"
	"autolora/autolora/runs"
)

// Headlines returns what a reader wants first, in sentences: over the tasks
// where there are several, else of the task; AutoLoRA against the controls and
// LoRA of one rank; where there are none of these, what the runs reached.
func (r *Report) Headlines() []string {
	var lines []string
	wanted := func(other string) bool { return isControl(other) || other == runs.MethodLoRA }
	for _, o := range r.Overall {
		for _, d := range o.Comparisons {
			if wanted(d.Other) {
				lines = append(lines, d.sentence(r.severalModels(), o.Model))
			}
		}
	}
	if lines != nil {
		return lines
	}
	for _, t := range r.Tasks {
		for _, c := range t.Comparisons {
			if wanted(c.Other) {
				lines = append(lines, r.onScore(t)+c.sentence())
			}
		}
	}
	if lines != nil {
		return lines
	}
	for _, t := range r.Tasks {
		for _, m := range t.Methods {
			lines = append(lines, m.sentence(r, t))
		}
	}
	const most = 4 // beyond, the table says it better
	if len(lines) > most {
		return nil
	}
	return lines
}

// name returns the title of a task, with the model where there are several.
func (r *Report) name(t *Task) string {
	if r.severalModels() {
		return t.Title + ", " + t.Model
	}
	return t.Title
}

// on returns the beginning of a sentence about a task: "SST-2: ".
func (r *Report) on(t *Task) string { return r.name(t) + ": " }

// onScore is on with the name of the task's main score, where it has to be
// said: "E2E, BLEU: ".
func (r *Report) onScore(t *Task) string {
	if named := t.named(); named != "" {
		return r.name(t) + ", " + named + ": "
	}
	return r.on(t)
}

// named returns the name of the task's main score where others stand beside it
// in its table, or lower is better; else "".
func (t *Task) named() string {
	how := scoreOf(t.Primary)
	if how.better == down || len(tableScores(t.Name, t.Primary)) > 1 {
		return how.words()
	}
	return ""
}

func (r *Report) severalModels() bool {
	return slices.ContainsFunc(r.Tasks, func(t *Task) bool { return t.Model != r.Tasks[0].Model })
}

// sentence says what a method reached: of runs that nothing can be compared
// with.
func (m *Method) sentence(r *Report, t *Task) string {
	s := m.Scores[t.Primary]
	switch {
	case s.N == 0 && m.TrainSteps.Mean == 0:
		return fmt.Sprintf("%s%s: ranks were searched, and nothing was trained or scored yet.", r.on(t), methodOf(m.Method).title)
	case s.N == 0:
		return fmt.Sprintf("%s%s has no score.", r.on(t), methodOf(m.Method).title)
	}
	how := scoreOf(t.Primary)
	text := fmt.Sprintf("%s%s reaches %s %s", r.on(t), methodOf(m.Method).title, how.title, how.spread(s))
	if s.N == 1 {
		return text + ". From one seed nothing can be said about what others would give."
	}
	return fmt.Sprintf("%s (mean and standard deviation of %d seeds).", text, s.N)
}

// sentence says what a comparison of one task comes to.
func (c *Comparison) sentence() string {
	other, how := methodOf(c.Other).words, scoreOf(c.Score)
	switch {
	case c.Differences.N == 0:
		return fmt.Sprintf("AutoLoRA and %s have no seed in common, so they are not compared.", other)
	case c.Differences.N == 1:
		return fmt.Sprintf("AutoLoRA is %s %s with the one seed that both have; from one seed nothing can be said about chance.",
			position(how, c.Differences.Mean), other)
	case !c.Interval.Low.Known():
		return fmt.Sprintf("AutoLoRA is %s %s with each of %d seeds; without any spread chance cannot be judged.",
			position(how, c.Differences.Mean), other, c.Differences.N)
	}
	return fmt.Sprintf("AutoLoRA is %s %s (%d seeds, %s): %s.", position(how, c.Differences.Mean), other, c.Differences.N,
		intervalWords(how, c.Interval), verdict(c.Interval))
}

// sentence says what a comparison over several tasks comes to.
func (d *OverallDiff) sentence(withModel bool, model string) string {
	begin := fmt.Sprintf("Over %d tasks", len(d.Tasks))
	if withModel {
		begin += " on " + model
	}
	if d.named != "" {
		begin += ", by " + d.named + ","
	}
	text := fmt.Sprintf("%s AutoLoRA is on average %s %s", begin, position(d.how, d.Interval.Mean), methodOf(d.Other).words)
	if d.Interval.Low.Known() {
		text += fmt.Sprintf(" (%s for these tasks): %s", intervalWords(d.how, d.Interval), verdict(d.Interval))
	} else {
		text += "; with one seed of a task nothing can be said about other seeds"
	}
	return fmt.Sprintf("%s. It is better on %d and worse on %d of the tasks (sign test %s).", text, d.Above, d.Below, pEquals(d.SignP))
}

// position returns "0.4 points above", "0.02 below", or "equal to".
func position(how score, d Number) string {
	unit := ""
	if how.factor == 100 {
		unit = " points"
	}
	size := how.difference(Number(math.Abs(float64(d))))
	switch {
	case d > 0:
		return size + unit + " above"
	case d < 0:
		return size + unit + " below"
	}
	return "equal to"
}

func intervalWords(how score, i Interval) string {
	return fmt.Sprintf("95 %% interval %s to %s", how.difference(i.Low), how.difference(i.High))
}

func verdict(i Interval) string {
	if i.Beyond() {
		return "more than chance explains"
	}
	return "not more than chance"
}

// sentence says what the learned ranks are worth: whether seeds agree, and
// whether mean and spread differ from chance.
func (s *RankStudy) sentence() string {
	text := fmt.Sprintf("%s's ranks have a mean of %s", methodOf(s.Method).title, decimals(s.Mean))
	if s.SD.Known() {
		text += fmt.Sprintf(" and a standard deviation of %s over the layers", decimals(s.SD))
	}
	if s.ChanceMean.Known() {
		chance := fmt.Sprintf("%s and %s at k = %d", decimals(s.ChanceMean), decimals(s.ChanceSD), s.K)
		switch {
		case s.MeanP < 0.05 || s.SDP < 0.05:
			text += fmt.Sprintf("; if no selection variable were better than another, the threshold would give %s by itself (%s and %s)", chance, pEquals(s.MeanP), pEquals(s.SDP))
		case s.MeanP.Known():
			text += fmt.Sprintf(", no different from what the threshold gives by itself if no selection variable is better than another (%s)", chance)
		}
	}
	text += ". "
	a := s.Agreement
	switch {
	case a.Lists == 1:
		text += "From one seed nothing can be said about whether they would come out again."
	case a.Pairs == 0:
		text += "They are the same in all layers, so seeds cannot agree or disagree."
	default:
		text += fmt.Sprintf("Seeds %s.", a.words())
	}
	if s.Unlike > 0 {
		text += fmt.Sprintf(" Left out: %s with other layers.", plural(s.Unlike, "seed", "seeds"))
	}
	return text
}

// words says whether lists of ranks agree.
func (a Agreement) words() string {
	verb := "do not agree more than chance"
	if a.P < 0.05 {
		verb = "agree more than chance"
	}
	return fmt.Sprintf("%s about the layers: mean correlation %s, where permuted layers give 0 ± %s (%s)", verb, decimals(a.Pearson), decimals(a.ChanceSD), pEquals(a.P))
}

// sentence says how far tasks agree; "" where that is not defined.
func (p *Pattern) sentence() string {
	if p.Agreement.Pairs == 0 {
		return ""
	}
	return fmt.Sprintf("The ranks of %d tasks on %s %s.", len(p.Tasks), p.Model, p.Agreement.words())
}

// multiplicity says how many of the intervals would exclude 0 by chance.
func (r *Report) multiplicity() string {
	judged, beyond := 0, 0
	for _, t := range r.Tasks {
		for _, c := range t.Comparisons {
			judged += b2i(c.Interval.Low.Known())
			beyond += b2i(c.Interval.Beyond())
		}
	}
	if judged < 2 {
		return ""
	}
	return fmt.Sprintf("Of %d intervals of single tasks %d exclude 0; by chance alone one in twenty would, here about %.1f.", judged, beyond, 0.05*float64(judged))
}

// costSentences says what AutoLoRA costs, by time, relative to AdaLoRA.
func (r *Report) costSentences() []string {
	var lines []string
	say := func(where string, relative Number) {
		lines = append(lines, fmt.Sprintf("%sAutoLoRA's search and training take %s times the training time of AdaLoRA with the same seeds (the paper: 1.91, mean of SST-2, MNLI and QQP).",
			where, human.Significant(float64(relative))))
	}
	for _, o := range r.Overall {
		for _, c := range o.Costs {
			if c.Method == reference {
				where := fmt.Sprintf("Over %s", plural(len(c.Tasks), "task", "tasks"))
				if r.severalModels() {
					where += " on " + o.Model
				}
				say(where+" ", c.Relative)
			}
		}
	}
	if lines != nil {
		return lines
	}
	for _, t := range r.Tasks {
		m := t.method(reference)
		switch {
		case m == nil:
		case m.RelativeCost.Known():
			say(r.on(t), m.RelativeCost)
		case len(t.Methods) == 1:
		case t.method(runs.MethodAdaLoRA) == nil:
			lines = append(lines, r.on(t)+"the cost relative to AdaLoRA is not known: AdaLoRA was not run.")
		default:
			lines = append(lines, r.on(t)+"the cost relative to AdaLoRA is not known: AutoLoRA and AdaLoRA have no seed in common.")
		}
	}
	return lines
}

// pValue returns "0.38", "0.012", or "< 0.0001".
func pValue(p Number) string {
	switch {
	case !p.Known():
		return "unknown"
	case p < 0.0001:
		return "< 0.0001"
	case p >= 0.995:
		return "1"
	}
	return strconv.FormatFloat(float64(p), 'g', 2, 64)
}

// pEquals returns "p = 0.38", or "p < 0.0001".
func pEquals(p Number) string {
	if text := pValue(p); strings.HasPrefix(text, "<") {
		return "p " + text
	}
	return "p = " + pValue(p)
}

// decimals returns a number to two decimals.
func decimals(n Number) string {
	if !n.Known() {
		return "unknown"
	}
	return fixed(float64(n), 2)
}

// plural returns "1 seed", "3 seeds".
func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return human.Thousands(n) + " " + many
}

// count returns a number of things as tables show it: 29,952 or 22.7M.
func count(n float64) string {
	switch {
	case n >= 999.95e6:
		return fmt.Sprintf("%.1fG", n/1e9)
	case n >= 9.995e6:
		return fmt.Sprintf("%.1fM", n/1e6)
	}
	return human.Thousands(int64(math.Round(n)))
}

// seconds returns a time as tables show it, in seconds.
func seconds(v Number) string {
	switch {
	case !v.Known():
		return "–"
	case v == 0:
		return "0"
	case v < 100 || v >= 1e7:
		return fixed(float64(v), 1)
	}
	return human.Thousands(int64(math.Round(float64(v))))
}

// times returns "1.91×", "–" where it is not known.
func times(v Number) string {
	if !v.Known() {
		return "–"
	}
	return human.Significant(float64(v)) + "×"
}

// seedList returns "1–3, 7".
func seedList(seeds []uint64) string {
	var texts []string
	for i := 0; i < len(seeds); {
		j := i + 1
		for j < len(seeds) && seeds[j] == seeds[j-1]+1 {
			j++
		}
		switch text := strconv.FormatUint(seeds[i], 10); {
		case j > i+2:
			texts = append(texts, text+"–"+strconv.FormatUint(seeds[j-1], 10))
		default:
			for _, s := range seeds[i:j] {
				texts = append(texts, strconv.FormatUint(s, 10))
			}
		}
		i = j
	}
	return strings.Join(texts, ", ")
}
