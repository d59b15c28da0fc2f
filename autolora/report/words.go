package report

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"autolora/autolora/runs"
	"autolora/data/metrics"
	"autolora/human"
)

// mostHeadlines is how many a page begins with; more are better read in tables.
const mostHeadlines = 8

// Headlines returns what a reader wants first, in sentences: over the tasks
// where there are several, else of the task; methods that search ranks against their
// controls and LoRA of one rank; where there are none of these, what the runs reached.
func (r *Report) Headlines() []string {
	var over, single, other, reached []string
	for _, o := range r.Overall {
		for _, c := range o.Comparisons {
			if wanted(c) {
				over = append(over, r.averaged(o, c))
			}
		}
	}
	for _, t := range r.Tasks {
		for _, c := range t.Comparisons {
			where := r.name(t)
			if c.named != "" {
				where += ", " + c.named
			}
			text := where + ": " + c.sentence()
			if wanted(c) {
				single = append(single, text)
			} else if c.Of == runs.MethodLoRA {
				other = append(other, text)
			}
		}
		for _, m := range t.Methods {
			reached = append(reached, fmt.Sprintf("%s: %s", r.name(t), m.sentence(t)))
		}
		for _, run := range t.runs() {
			if run.Tune != nil && len(r.runs) == 1 {
				reached = append(reached, sentences(Advice(run.Tune, &run.Results))...)
			}
			if run.Pruning != nil && len(r.runs) == 1 {
				reached = append(reached, PruningWords(run.Pruning, run.Ranks)...)
			}
		}
	}
	for _, lines := range [][]string{over, single, other} {
		if len(lines) > mostHeadlines {
			return nil
		}
		if lines != nil {
			return lines
		}
	}
	if len(reached) > 4 && len(r.runs) > 1 { // the table says it better
		return nil
	}
	return reached
}

// models returns the models of the runs.
func (r *Report) models() []string {
	var models []string
	for _, t := range r.Tasks { // in the order of their models
		models = append(models, t.Model)
	}
	return slices.Compact(models)
}

// onModel returns " on roberta-base" where there are several models.
func (r *Report) onModel(model string) string {
	if len(r.models()) > 1 {
		return " on " + model
	}
	return ""
}

// name returns the title of a task, with the model where there are several.
func (r *Report) name(t *Task) string {
	return t.Title + strings.Replace(r.onModel(t.Model), " on ", ", ", 1)
}

// names returns those of several, which a comma would not tell apart from their models.
func (r *Report) names(tasks []*Task) string {
	var names []string
	for _, t := range tasks {
		names = append(names, r.name(t))
	}
	if len(r.models()) > 1 {
		return strings.Join(names, "; ")
	}
	return strings.Join(names, ", ")
}

// named returns the name of the task's main score where others stand beside it
// in its table, or lower is better; else "".
func (t *Task) named() string {
	how := scoreOf(t.Primary)
	if how.Lower || len(tableScores(t.Name, t.Primary)) > 1 {
		return how.words()
	}
	return ""
}

// sentence says what a method reached: of runs that nothing can be compared
// with.
func (m *Method) sentence(t *Task) string {
	s, how, title := m.score(t.Primary), scoreOf(t.Primary), methodOf(m.Method).Title
	if s.N == 0 {
		return title + " has no score."
	}
	text := fmt.Sprintf("%s reaches %s %s", title, how.Title, how.spread(s))
	if s.N > 1 {
		text += fmt.Sprintf(" (mean and standard deviation of %d seeds)", s.N)
	}
	if least := t.baseline(t.Primary); least.Known() {
		text += fmt.Sprintf(", where always giving the commonest answer has %s", how.format(least))
	}
	if s.N == 1 {
		text += ". From one seed nothing can be said about what others would give"
	}
	return text + "."
}

// averaged says what a comparison over the tasks of o comes to.
func (r *Report) averaged(o *Overall, c *Comparison) string {
	how, with, by, loss := scoreOf(c.Score), "", "", ""
	if o.With != "" {
		with = " (" + o.With + ")"
	}
	if c.named != "" {
		by = ", by " + c.named + ","
	}
	judged := "; with one seed of a task nothing can be said about other seeds"
	if c.Interval.Low.Known() {
		judged = fmt.Sprintf(" (95 %% interval %s for these tasks): %s", how.interval(c.Interval), againstSeeds(c.Interval.Beyond()))
	}
	if c.byLoss {
		loss = fmt.Sprintf(", by held-out loss and more than chance explains on %d and %d", len(c.ByLoss[0]), len(c.ByLoss[1]))
	}
	return fmt.Sprintf("Over %d tasks%s%s%s %s is on average %s %s%s. It is better on %d and worse on %d of the tasks (sign test %s)%s.",
		c.Differences.N, with, r.onModel(o.Model), by, upper(methodOf(c.Of).Words), apart(how, c.Differences.Mean, "above", "below", "equal to"), methodOf(c.Other).Words, judged, c.Above, c.Below, pEquals(c.SignP), loss)
}

// againstSeeds is of scores, whose differences are tested on these very examples.
func againstSeeds(more bool) string {
	if more {
		return "more than the chance of seeds explains"
	}
	return "not more than the chance of seeds"
}

// sentence says what a comparison on one task comes to.
func (c *Comparison) sentence() string {
	n, how, of, other := c.Differences.N, scoreOf(c.Score), upper(methodOf(c.Of).Words), methodOf(c.Other).Words
	text := fmt.Sprintf("%s is %s %s", of, apart(how, c.Differences.Mean, "above", "below", "equal to"), other)
	loss := ""
	if c.Loss != nil {
		loss = fmt.Sprintf("its held-out loss is %s (%s)", apart(heldOut, c.Loss.Mean, "higher", "lower", "the same"), c.Loss.grounds())
	}
	switch {
	case c.Unlearnt != nil:
		var names []string
		for _, name := range c.Unlearnt {
			names = append(names, methodOf(name).Words)
		}
		why := "gave one answer to everything"
		if least := c.task.baseline(c.Score); least.Known() {
			why = fmt.Sprintf("scored no better than always giving the commonest answer (%s %s)", how.Title, how.format(least))
		} else if least := c.task.baseline(metrics.NameLoss); least.Known() { // as of regressions, whose correlation is not defined
			why = fmt.Sprintf("came to no lower loss than always giving the mean (%s)", heldOut.format(least))
		}
		return fmt.Sprintf("no verdict on %s and %s: %s %s.", methodOf(c.Of).Words, other, strings.Join(names, " and "), why)
	case n == 0 && c.others:
		return fmt.Sprintf("%s and %s were scored on other examples, so they are not compared.", of, other)
	case n == 0:
		return fmt.Sprintf("%s and %s have no seed in common, so they are not compared.", of, other)
	case n == 1 && loss != "":
		return fmt.Sprintf("%s with the one seed that both have, and %s; from one seed nothing can be said about others.", text, loss)
	case n == 1:
		return text + " with the one seed that both have; from one seed nothing can be said about chance."
	case c.byLoss:
		verdict := "not more than chance"
		switch {
		case c.verdict() != 0:
			verdict = "more than chance explains"
		case c.level < level && (c.Interval.Beyond() || c.Loss.Interval.Beyond()):
			verdict += ", for of two scores that may differ one has to have p < 0.025"
		}
		return fmt.Sprintf("%s (%d seeds), and %s: by the loss, %s.", text, n, loss, verdict)
	case !c.Interval.Low.Known():
		return fmt.Sprintf("%s with each of %d seeds; without any spread chance cannot be judged.", text, n)
	case loss != "":
		loss = ". " + upper(loss)
	}
	return fmt.Sprintf("%s (%d seeds, 95 %% interval %s): %s%s.", text, n, how.interval(c.Interval), againstSeeds(c.verdict() != 0), loss)
}

// grounds says what the difference rests on.
func (d *LossDifference) grounds() string {
	text := fmt.Sprintf("paired over %s and %s", human.Count(d.Examples, "example"), human.Count(len(d.Seeds), "seed"))
	if d.Interval.Low.Known() {
		text += fmt.Sprintf(": 95 %% interval %s, %s", heldOut.interval(d.Interval), pEquals(d.Interval.P))
		if len(d.Seeds) == 1 {
			text += ", for other examples alone"
		}
	}
	return text
}

// upper makes the first letter of a sentence a large one.
func upper(text string) string {
	first, size := utf8.DecodeRuneInString(text)
	return string(unicode.ToUpper(first)) + text[size:]
}

// sentences ends texts as sentences do.
func sentences(texts []string) []string {
	for i, text := range texts {
		texts[i] = upper(text) + "."
	}
	return texts
}

// apart says how far from each other two scores are: "0.4 points above", "0.02 below", or
// "equal to", in these words.
func apart(how score, d Number, above, below, equal string) string {
	size := how.difference(Number(math.Abs(float64(d))))
	if how.Unit == 100 {
		size += " points"
	}
	switch {
	case d > 0:
		return size + " " + above
	case d < 0:
		return size + " " + below
	}
	return equal
}

// inWords says what AutoLoRA's ranks are worth.
func (r *Report) inWords() []string {
	var lines []string
	for _, t := range r.Tasks {
		for _, s := range t.Ranks {
			if s.Method == reference {
				lines = append(lines, r.name(t)+": "+s.sentence())
			}
		}
	}
	for _, p := range r.Patterns {
		if p.Method == reference && p.Agreement.Pairs > 0 {
			lines = append(lines, fmt.Sprintf("The ranks of %d tasks on %s %s.", len(p.Tasks), p.Model, p.Agreement.words()))
		}
	}
	return lines
}

// sentence says what the learned ranks are worth: whether mean and spread
// differ from chance, and whether seeds agree.
func (s *RankStudy) sentence() string {
	text := fmt.Sprintf("%s's ranks have a mean of %s", methodOf(s.Method).Title, decimals(s.Mean))
	if s.SD.Known() {
		text += fmt.Sprintf(" and a standard deviation of %s over the layers", decimals(s.SD))
	}
	if s.MeanP.Known() {
		differ := "no different from"
		if min(s.MeanP, s.SDP) < level/2 { // two tests
			differ = "other than"
		}
		text += fmt.Sprintf(", %s what the threshold gives by itself, %s and %s at k = %d (%s and %s)",
			differ, decimals(s.ChanceMean), decimals(s.ChanceSD), s.K, pEquals(s.MeanP), pEquals(s.SDP))
	}
	switch a := s.Agreement; {
	case a.Lists == 1:
		text += ". From one seed nothing can be said about whether they would come out again."
	case a.Pairs == 0:
		text += ". No two seeds have ranks that differ between layers, so seeds cannot agree or disagree."
	default:
		text += fmt.Sprintf(". Seeds %s.", a.words())
	}
	if s.Unlike > 0 {
		text += fmt.Sprintf(" Left out: %s with other layers.", human.Count(s.Unlike, "seed"))
	}
	return text
}

// words says whether lists of ranks agree.
func (a Agreement) words() string {
	verb := "do not agree more than chance"
	if a.P < level {
		verb = "agree more than chance"
	}
	return fmt.Sprintf("%s about the layers: mean correlation %s, where permuted layers give 0 ± %s (%s)", verb, decimals(a.Pearson), decimals(a.ChanceSD), pEquals(a.P))
}

// multiplicity says how many of the intervals would exclude 0 by chance.
func (r *Report) multiplicity(interval func(*Comparison) Interval) string {
	judged, beyond := 0, 0
	var all []*Comparison
	for _, t := range r.Tasks {
		all = append(all, t.Comparisons...)
	}
	for _, o := range r.Overall {
		all = append(all, o.Comparisons...)
	}
	for _, c := range all {
		i := interval(c)
		judged, beyond = judged+b2i(i.Low.Known()), beyond+b2i(i.Beyond())
	}
	if judged < 2 {
		return ""
	}
	return fmt.Sprintf("Of %d intervals %d exclude 0; where nothing differs one in twenty may, here about %.1f.", judged, beyond, level*float64(judged))
}
