package job

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"

	"autolora/autolora/runs"
	"autolora/autolora/settings"
	"autolora/data"
	"autolora/data/metrics"
	"autolora/human"
	"autolora/nn"
)

// scored is what a model's answers about a data set are worth.
type scored struct {
	scores, baseline metrics.Scores // baseline: of the commonest answer
	details          runs.Details
	losses           runs.Losses
}

// scoreClasses scores one class an example.
func scoreClasses(task data.Task, d *data.Dataset, a answers) (out scored, err error) {
	gold := make([]int, d.Len())
	for i, ex := range d.Examples {
		gold[i] = ex.Label
	}
	best := a.best(0, len(gold))
	if out.scores, err = metrics.Classification(task.Metrics, gold, best); err != nil {
		return out, err
	}
	always := slices.Repeat([]int{metrics.Commonest(gold)}, len(gold))
	if out.baseline, err = metrics.Classification(task.Metrics, gold, always); err != nil {
		return out, err
	}
	if _, ok := out.scores[metrics.NameF1]; ok {
		out.details.F1Class = task.Labels[1]
	}
	out.perClass(task, gold, best)
	out.mistakes(task, d, gold, a, func(i int) runs.Mistake { return mistake(d.Examples[i]) })
	return out, nil
}

// scoreSets scores any number of labels an example.
func (s *session) scoreSets(_ context.Context, _ *nn.Model, d *data.Dataset, a answers, _ computing) (out scored, err error) {
	task, gold, pred := s.task, make([][]int, d.Len()), make([][]int, d.Len())
	each := make([][]float64, d.Len())
	for i, ex := range d.Examples {
		gold[i], each[i] = ex.Classes, a.rows[i].Each
	}
	if s.cfg.Threshold == settings.Auto {
		a.threshold = metrics.Threshold(gold, each)
	}
	for i := range pred {
		pred[i] = a.given(i)
	}
	k := len(task.Labels)
	if out.scores, err = metrics.MultiLabel(task.Metrics, k, gold, pred); err != nil {
		return out, err
	}
	if out.baseline, err = metrics.MultiLabel(task.Metrics, k, gold, slices.Repeat([][]int{metrics.CommonestSet(gold)}, len(gold))); err != nil {
		return out, err
	}
	if k <= runs.MaxClasses {
		out.details.Classes = metrics.PerLabel(task.Labels, gold, pred)
	}
	out.details.Threshold = &a.threshold
	for i, ex := range d.Examples {
		if loss := a.rows[i].Loss; !slices.Equal(gold[i], pred[i]) && out.worse(loss) {
			m := mistake(ex)
			m.Gold, m.Predicted, m.Loss = inWords(task.Names(gold[i])), inWords(task.Names(pred[i])), loss
			out.keep(m)
		}
	}
	out.losses, out.baseline[metrics.NameLoss] = a.losses(d), metrics.BinaryEntropy(k, gold)
	return out, nil
}

// inWords names labels.
func inWords(labels []string) string {
	if len(labels) == 0 {
		return "(none)"
	}
	return strings.Join(labels, ", ")
}

// scoreTags scores one tag a word.
func scoreTags(task data.Task, d *data.Dataset, a answers) (out scored, err error) {
	var gold []int
	for _, ex := range d.Examples {
		gold = append(gold, ex.Tags...)
	}
	always := slices.Index(task.Labels, "O")
	if always < 0 {
		always = metrics.Commonest(gold)
	}
	at := d.Rows()
	names := func(tags []int) [][]string {
		all := make([][]string, d.Len())
		for i := range all {
			all[i] = task.Names(tags[at[i]:at[i+1]])
		}
		return all
	}
	best := a.best(0, len(gold))
	right, given := names(gold), names(best)
	if out.scores, err = metrics.Tagging(task.Metrics, right, given); err != nil {
		return out, err
	}
	if out.baseline, err = metrics.Tagging(task.Metrics, right, names(slices.Repeat([]int{always}, len(gold)))); err != nil {
		return out, err
	}
	if _, ok := out.scores[metrics.NameF1]; ok {
		report, err := metrics.ScoreEntities(right, given, metrics.Lenient)
		if err != nil {
			return out, err
		}
		for _, kind := range slices.Sorted(maps.Keys(report.PerType)) {
			out.details.Classes = append(out.details.Classes, metrics.ClassScores{Name: kind, EntityScores: report.PerType[kind], Predicted: report.Predicted[kind]})
		}
	} else {
		out.perClass(task, gold, best)
	}
	out.mistakes(task, d, gold, a, func(row int) runs.Mistake {
		i, _ := slices.BinarySearch(at, row+1) // at[i-1] ≤ row < at[i]
		ex, k := d.Examples[i-1], row-at[i-1]
		ex.Text = strings.Join(ex.Words[max(0, k-wordsBefore):], " ")
		m := mistake(ex)
		m.Word = line(ex.Words[k])
		return m
	})
	return out, nil
}

// scoreNumbers scores one number an example.
func scoreNumbers(task data.Task, d *data.Dataset, a answers) (out scored, err error) {
	gold, pred, mean := make([]float64, d.Len()), make([]float64, d.Len()), 0.0
	for i, ex := range d.Examples {
		gold[i], pred[i] = ex.Value, a.rows[i].Value
		mean += ex.Value / float64(d.Len())
	}
	if out.scores, err = metrics.Regression(task.Metrics, gold, pred); err != nil {
		return out, err
	}
	if out.baseline, err = metrics.Regression(task.Metrics, gold, slices.Repeat([]float64{mean}, len(gold))); err != nil {
		return out, err
	}
	least := 0.0
	for i, v := range gold {
		least += (mean - v) * (mean - v)
		if loss := a.rows[i].Loss; loss > 0 && out.worse(loss) {
			m := mistake(d.Examples[i])
			m.Gold, m.Predicted, m.Loss = v, pred[i], loss
			out.keep(m)
		}
	}
	out.losses, out.baseline[metrics.NameLoss] = a.losses(d), least/float64(len(gold))
	return out, nil
}

// perClass fills in the scores of every class.
func (out *scored) perClass(task data.Task, gold, pred []int) {
	if len(task.Labels) > runs.MaxClasses {
		return
	}
	out.details.Classes, out.details.Confusion = metrics.PerClass(task.Labels, gold, pred)
	if len(task.Labels) > runs.MaxConfusion {
		out.details.Confusion = nil
	}
}

// mistakes fills in the losses, and the worst of the wrong answers.
func (out *scored) mistakes(task data.Task, d *data.Dataset, gold []int, a answers, of func(row int) runs.Mistake) {
	for row, class := range gold {
		said := a.rows[row]
		if class == said.Best || !out.worse(said.Loss) {
			continue
		}
		m := of(row)
		m.Gold, m.Predicted, m.Probability, m.Loss = task.Labels[class], task.Labels[said.Best], &said.Probability, said.Loss
		out.keep(m)
	}
	out.losses, out.baseline[metrics.NameLoss] = a.losses(d), metrics.Entropy(gold)
}

// worse reports whether a mistake with that loss is among the worst so far.
func (out *scored) worse(loss float64) bool {
	m := out.details.Mistakes
	return len(m) < runs.MaxMistakes || loss > m[len(m)-1].Loss
}

// keep puts a mistake among the worst.
func (out *scored) keep(m runs.Mistake) {
	all := append(out.details.Mistakes, m)
	slices.SortStableFunc(all, func(a, b runs.Mistake) int { return cmp.Compare(b.Loss, a.Loss) })
	out.details.Mistakes = all[:min(len(all), runs.MaxMistakes)]
}

// How much of a text is shown, in letters, and how many words of a sentence
// before the one that is meant.
const (
	shownText   = 160
	wordsBefore = 8
)

// mistake returns one of an example, whose answers are still to be filled in.
func mistake(ex data.Example) runs.Mistake {
	text := line(ex.Text)
	if ex.HasPair {
		text += " | " + line(ex.Pair)
	}
	return runs.Mistake{Where: ex.Where(), Text: text}
}

// line returns a text on one line, cut where it is long.
func line(text string) string {
	letters := []rune(strings.Join(strings.Fields(text), " "))
	if len(letters) > shownText {
		letters = append(letters[:shownText-1], '…')
	}
	return human.Line(string(letters))
}
