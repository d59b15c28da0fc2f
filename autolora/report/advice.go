package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"autolora/autolora/runs"
	"autolora/data/metrics"
	"autolora/human"
)

// Advice says in words what trials of settings have shown: what was chosen and why,
// what made a difference and what did not, what came to nothing, and whether the training
// that followed did. r is nil where none has.
func Advice(u *runs.Tune, r *runs.Results) []string {
	if u.Chosen == nil {
		return nil
	}
	all := []string{choice(u)}
	if doubt := u.Doubt(); doubt != "" {
		all = append(all, doubt)
	}
	for _, axis := range trialAxes {
		if text := axis.verdict(u); text != "" {
			all = append(all, text)
		}
	}
	all = append(all, failures(u)...)
	if text := broke(u, r); text != "" {
		return append(all, text)
	}
	if r != nil {
		if course, _, _ := r.LossCourse(); course != runs.Unremarkable { // of which a warning says what rate to try
			return all
		}
	}
	return append(all, edge(u)...)
}

// choice says what was chosen, and on what grounds.
func choice(u *runs.Tune) string {
	best := u.Trials[u.Best]
	text := "chosen: " + u.Words(u.Choice)
	switch {
	case len(u.Trials) == 1:
		return text + ", the only trial"
	case u.Choice == u.Best && standardError(best) > 0:
		return fmt.Sprintf("%s, with the lowest held-out loss, %s; %s", text, human.Significant(*best.Loss), noSmaller(u))
	case u.Choice == u.Best:
		return fmt.Sprintf("%s, with the lowest held-out loss, %s", text, human.Significant(*best.Loss))
	}
	what, instead := "smallest adapter", fmt.Sprintf(" with %s parameters in place of %s", human.Thousands(best.Parameters), human.Thousands(u.Chosen.Parameters))
	if u.Chosen.Parameters == best.Parameters { // a longer training bears less than a trial
		what, instead = "lowest rate", ""
	}
	if u.Edge(u.Best) && !u.Edge(u.Choice) {
		what += " of those at twice whose rate none that is no larger broke,"
	}
	return fmt.Sprintf("%s, the %s whose held-out loss (%s) is within one standard error (%s) of the lowest, %s, of %s%s",
		text, what, human.Significant(*u.Chosen.Loss), human.Significant(standardError(best)), human.Significant(*best.Loss), u.Words(u.Best), instead)
}

// broke says that the training with what trials chose lost more than half of what its trial
// had learnt; "" if it did not, or its trial had not clearly learnt anything, or that is not
// known, as of a search alone. Of the commonest answer's loss the trial's is the part that it
// has learnt; both are of other examples.
func broke(u *runs.Tune, r *runs.Results) string {
	if r == nil {
		return ""
	}
	if plain, ok := u.Chosen.Scores[metrics.NameLoss]; ok && plain != *u.Chosen.Loss {
		return "" // that of trials has the weights of classes
	}
	loss, known := r.Scores[metrics.NameLoss]
	least, alsoKnown := r.Baseline[metrics.NameLoss]
	if n := len(u.Chosen.Rungs); n > 0 {
		if learnt, told := u.Chosen.Rungs[n-1].Learnt(); told && !learnt {
			return ""
		}
	}
	if !known || !alsoKnown || 2*(loss-*u.Chosen.Loss) <= least-*u.Chosen.Loss {
		return ""
	}
	return fmt.Sprintf("the training came to a held-out loss of %s where its trial had %s: it broke on the way; train again at a lower rate, or with another seed", human.Significant(loss), human.Significant(*u.Chosen.Loss))
}

// noSmaller says why no other trial was chosen in place of the best.
func noSmaller(u *runs.Tune) string {
	best := u.Trials[u.Best]
	within := standardError(best)
	other := "lower rate"
	for n, t := range u.Trials {
		if t.Parameters > best.Parameters && other == "lower rate" {
			other = "" // larger ones of a lower rate may be
		}
		if t.Parameters >= best.Parameters {
			continue
		}
		other = "smaller adapter"
		if t.State == "" && t.Loss != nil && t.Steps == best.Steps && *t.Loss <= *best.Loss+within {
			return fmt.Sprintf("%s is smaller and within its standard error, %s, but at twice its rate or less another that is no larger learnt nothing", u.Words(n), human.Significant(within))
		}
	}
	if other == "" {
		return "no smaller adapter was tried"
	}
	return fmt.Sprintf("no %s is within its standard error, %s", other, human.Significant(within))
}

func standardError(t runs.Trial) float64 {
	if t.StandardError == nil {
		return 0
	}
	return *t.StandardError
}

// trialAxis is one thing in which trials differ.
type trialAxis struct {
	name string // in front of a value; "" where it says itself what it is
	of   func(runs.TrialSettings) string
}

var trialAxes = []trialAxis{
	{"", func(s runs.TrialSettings) string { return s.Method }},
	{"", func(s runs.TrialSettings) string { return strings.Join(s.Targets, "+") }},
	{"rank ", func(s runs.TrialSettings) string { return fmt.Sprint(s.Rank) }},
}

// verdict says of the values of an axis how good the best trial of each was, by one
// standard error of the best one's loss, at the last rung that several of them reached and where something was learnt; "" if there is
// one value only.
func (a trialAxis) verdict(u *runs.Tune) string {
	type value struct {
		name string
		loss float64
	}
	for rung := len(u.Rungs) - 1; rung >= 0; rung-- {
		if learnt, known := u.Learnt(rung); known && !learnt {
			continue
		}
		var values []value
		within := 0.0
		_, at := u.AtRung(rung)
		for _, n := range at {
			r := u.Trials[n].Rungs[rung]
			s, err := u.Trials[n].Read()
			if err != nil || r.Loss == nil || r.State != "" {
				continue
			}
			name := a.of(s)
			i := slices.IndexFunc(values, func(v value) bool { return v.name == name })
			if i < 0 {
				values, i = append(values, value{name, *r.Loss}), len(values)
			}
			values[i].loss = min(values[i].loss, *r.Loss)
			if r.StandardError != nil && !slices.ContainsFunc(values, func(v value) bool { return v.loss < *r.Loss }) {
				within = *r.StandardError // of the best so far
			}
		}
		if len(values) < 2 {
			continue
		}
		slices.SortStableFunc(values, func(a, b value) int { return cmp.Compare(a.loss, b.loss) })
		best := values[0]
		var same, worse []string
		for _, v := range values[1:] {
			text := fmt.Sprintf("%s%s (%s)", a.name, v.name, human.Significant(v.loss))
			if v.loss <= best.loss+within {
				same = append(same, text)
			} else {
				worse = append(worse, text)
			}
		}
		var parts []string
		if same != nil {
			parts = append(parts, fmt.Sprintf("%s %s as good as %s%s", strings.Join(same, " and "), isOrAre(len(same)), a.name, best.name))
		}
		if worse != nil {
			parts = append(parts, fmt.Sprintf("%s %s behind %s%s", strings.Join(worse, " and "), isOrAre(len(worse)), a.name, best.name))
		}
		return fmt.Sprintf("%s (%s), each at its best of the trials of %s steps; standard error %s, of examples and not of trainings", strings.Join(parts, ", "), human.Significant(best.loss), human.Thousands(u.Rungs[rung].Steps), human.Significant(within))
	}
	return ""
}

func isOrAre(n int) string {
	if n == 1 {
		return "is"
	}
	return "are"
}

// failures says which trials came to nothing.
func failures(u *runs.Tune) (all []string) {
	of := map[runs.State][]float64{}
	for _, t := range u.Trials {
		s, err := t.Read()
		if err != nil {
			return nil
		}
		of[t.State] = append(of[t.State], s.LR)
	}
	for _, state := range []runs.State{runs.Diverged, runs.LearntNothing} {
		if failed := of[state]; failed != nil {
			low, high := slices.Min(failed), slices.Max(failed)
			at := "at learning rate " + human.Rate(low)
			if low < high {
				at = fmt.Sprintf("at learning rates of %s to %s", human.Rate(low), human.Rate(high))
			}
			all = append(all, fmt.Sprintf("%s %s, %s", human.Count(len(failed), "trial"), state, at))
		}
	}
	return all
}

// edge says whether the chosen rate is at the edge of those that were tried.
func edge(u *runs.Tune) []string {
	var rates []float64
	for _, t := range u.Trials {
		s, err := t.Read()
		if err != nil {
			return nil
		}
		rates = append(rates, s.LR)
	}
	chosen, best := rates[u.Choice], rates[u.Best]
	switch low, high := slices.Min(rates), slices.Max(rates); {
	case low == high, chosen == low && best > low: // which was chosen for being low, and not better for it
	case chosen == low:
		return []string{fmt.Sprintf("the learning rate chosen, %s, is the lowest that was tried: a lower one may be better", human.Rate(low))}
	case chosen == high:
		return []string{fmt.Sprintf("the learning rate chosen, %s, is the highest that was tried: a higher one may be better", human.Rate(high))}
	}
	return nil
}
