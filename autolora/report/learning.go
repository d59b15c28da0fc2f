package report

import (
	"fmt"

	"autolora/autolora/runs"
	"autolora/data/metrics"
	"autolora/human"
)

// Warnings says in words what is wrong with a run that has learnt nothing, or
// looks as if it had not: first what its score shows, then why that may be.
func Warnings(r *runs.Results) []string {
	var all []string
	if runs.OneAnswer(r.Baseline) {
		all = append(all, oneAnswer)
	} else if r.NoBetter() {
		all = append(all, noBetter(r.Primary, Number(r.Scores[r.Primary]), Number(r.Baseline[r.Primary])))
	}
	for _, s := range symptoms(r) {
		all = append(all, s.String())
	}
	return all
}

const oneAnswer = "all examples that were scored have the same right answer: the scores do not say what was learnt"

// noBetter says that a score is no better than that of the commonest answer.
func noBetter(primary string, got, least Number) string {
	how := scoreOf(primary)
	if !got.Known() || !least.Known() { // the loss decided, as of regressions, whose correlation is not defined
		return "it has learnt nothing that its loss shows, which is not below that of always giving the mean"
	}
	than := "above"
	if how.Lower {
		than = "below"
	}
	return fmt.Sprintf("it has learnt nothing that its score shows: %s %s is not %s the %s of always giving the commonest answer", how.Title, how.format(got), than, how.format(least))
}

// symptom is what a run's answers or its loss look like, with figures of this run alone,
// and what to try.
type symptom struct{ what, figures, try string }

func (s symptom) String() string {
	if s.figures != "" {
		return fmt.Sprintf("%s (%s)%s", s.what, s.figures, s.try)
	}
	return s.what + s.try
}

// symptoms says what a run's answers and its loss look like.
func symptoms(r *runs.Results) (all []symptom) {
	if name, only := r.OnlyClass(); only && r.Threshold != nil {
		all = append(all, symptom{what: fmt.Sprintf("it gives no example a label: no probability is above the threshold %s", human.Significant(*r.Threshold))})
	} else if only && name == "" {
		all = append(all, symptom{what: "it finds no entity: all words are given the tag O"})
	} else if only {
		n := 0
		for _, c := range r.Classes {
			n += c.Predicted
		}
		all = append(all, symptom{what: fmt.Sprintf("it predicts one class only (%s, all %s examples)", human.Line(name), human.Thousands(n))})
	}
	course, from, to := r.LossCourse()
	if course == runs.Unremarkable {
		return all
	}
	loss := symptom{what: "the loss hardly moved", figures: fmt.Sprintf("%s → %s in %s steps", human.Significant(from), human.Significant(to), human.Thousands(r.Steps.Train))}
	if course == runs.Rose {
		loss.what = "the loss rose"
	}
	if usual := methodOf(r.Method).LR; r.LR > 0 && usual > 0 { // a pruning has none
		loss.try = ": " + advice(course, r.LR, usual, r.Steps.Train)
	}
	return append(all, loss)
}

// far is how far a rate is from the method's usual one that is to blame.
const far = 3

// advice says what to try where training came to nothing at a learning rate.
func advice(course runs.Course, rate, usual float64, steps int) string {
	try := usual
	high := course == runs.Rose
	switch {
	case rate > far*usual:
		high = true
	case high && rate > usual/far:
		try = usual / 4
	case high: // or low, and its rise the noise of few batches
		return fmt.Sprintf("try another learning rate than %s: %s or %s", human.Rate(rate), human.Rate(rate/4), human.Rate(usual))
	case rate > usual/far: // neither high nor low for most
		return fmt.Sprintf("try more steps than %s, or another learning rate than %s: %s or %s", human.Thousands(steps), human.Rate(rate), human.Rate(rate/4), human.Rate(rate*4))
	}
	if high {
		return fmt.Sprintf("the learning rate %s is high: try %s", human.Rate(rate), human.Rate(try))
	}
	return fmt.Sprintf("the learning rate %s is low for %s steps: try %s", human.Rate(rate), human.Thousands(steps), human.Rate(try))
}

// detailTables returns what stands behind the scores of a single run.
func (r *Report) detailTables() []*Table {
	if len(r.runs) != 1 {
		return nil
	}
	d := r.runs[0].Results.Details
	classes := &Table{Title: "Scores of each class", Heads: []string{"class", "precision", "recall", "F1", "examples", "predicted"}}
	percent := scoreOf(metrics.NameF1)
	row := func(name string, s metrics.EntityScores, cells ...string) {
		classes.add(append([]string{name, percent.format(Number(s.Precision)), percent.format(Number(s.Recall)), percent.format(Number(s.F1))}, cells...)...)
	}
	for _, c := range d.Classes {
		row(c.Name, c.EntityScores, human.Thousands(c.Support), human.Thousands(c.Predicted))
	}
	switch {
	case d.Threshold != nil:
		classes.Caption = fmt.Sprintf("An example may have any number of labels: it is given those with a probability above %s.", human.Significant(*d.Threshold))
	case d.Classes != nil && d.Confusion == nil:
		classes.Caption = "Of entities: one counts as found if type, first and last word are right."
	}
	if d.F1Class != "" {
		classes.Caption = fmt.Sprintf("The score F1 is that of the class %s.", d.F1Class)
	}
	confusion := &Table{Title: "Confusion matrix", Heads: []string{"right answer"}, Caption: "How many examples of the class of a row were given that of a column."}
	for i, counts := range d.Confusion {
		cells := []string{d.Classes[i].Name}
		confusion.Heads = append(confusion.Heads, d.Classes[i].Name)
		for _, n := range counts {
			cells = append(cells, human.Thousands(n))
		}
		confusion.add(cells...)
	}
	mistakes := &Table{Title: "Worst mistakes", Heads: []string{"text", "right answer", "predicted", "probability", "loss", "where"}}
	for _, m := range d.Mistakes {
		text, probability := m.Text, ""
		if m.Word != "" {
			text = m.Word + ": " + text
		}
		if m.Probability != nil {
			probability = fixed(*m.Probability, 3)
		}
		mistakes.add(text, answer(m.Gold), answer(m.Predicted), probability, fixed(m.Loss, 3), m.Where)
	}
	return []*Table{classes, confusion, mistakes}
}

// answer returns a class's name, or a number.
func answer(v any) string {
	if number, ok := v.(float64); ok {
		return human.Significant(number)
	}
	return fmt.Sprint(v)
}
