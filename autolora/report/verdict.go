package report

import (
	"fmt"
	"slices"
	"strings"

	"autolora/autolora/runs"
)

// verdict says in a sentence or two what the comparisons come to: whether learned ranks
// are better than the same parameters placed in other ways, and whether plain LoRA would
// do; nothing where neither was compared.
func (r *Report) verdict() []string {
	var ranks, plain []finding
	var loras []*Run
	for _, t := range r.Tasks {
		for _, m := range t.Methods {
			var controls []*Comparison
			for _, c := range t.Comparisons {
				switch {
				case c.Of != m.Method || methodOf(c.Of).Ranks != runs.Searched:
				case methodOf(c.Other).Of == c.Of:
					controls = append(controls, c)
				case c.Other == runs.MethodLoRA:
					plain = append(plain, r.finding(t, c))
					loras = append(loras, t.method(c.Other).runs...)
				}
			}
			if controls != nil {
				ranks = append(ranks, r.finding(t, controls...))
			}
		}
	}
	lora := "plain LoRA"
	budgets := values(loras, "parameters")
	if rank := values(loras, "rank"); len(rank) == 1 && slices.Equal(budgets, []string{"0"}) {
		lora += " of rank " + rank[0]
	} else if budgets != nil && !slices.Contains(budgets, "0") {
		lora += " within the same budget"
	}
	said := []string{
		say(ranks, "better than the same parameters placed in other ways, by more than chance explains: the ranks of %s",
			"not better than the same parameters placed in other ways, by more than chance explains: the ranks of %s", "worse than the same parameters placed in another way, by more than chance explains: the ranks of %s"),
		say(plain, "better than "+lora+", by more than chance explains: %s", lora+" is as good, as far as these runs show, as %s", lora+" is better, by more than chance explains, than %s"),
	}
	judged, apart := 0, 0
	for _, f := range slices.Concat(ranks, plain) {
		judged, apart = judged+b2i(f.judged), apart+b2i(f.judged && f.verdict != 0)
	}
	if judged > 1 && apart > 0 {
		said = append(said, fmt.Sprintf("Of these %d verdicts %d say%s that there is a difference; where there is none, one in twenty may say so.", judged, apart, strings.Repeat("s", b2i(apart == 1))))
	}
	// Of one seed both say the same: that there is no verdict.
	return slices.Compact(slices.DeleteFunc(said, func(text string) bool { return text == "" }))
}

// finding is what the comparisons of one method on one task come to.
type finding struct {
	method, task string
	verdict      int // as of a comparison; of several, 1 where that is so of all, −1 where it is of any
	judged       bool
	grounds      string
}

func (r *Report) finding(t *Task, of ...*Comparison) finding {
	f := finding{method: methodOf(of[0].Of).Words, task: r.name(t), verdict: 1}
	var by []string // what judged
	var ps []string
	for _, c := range of {
		p, how := c.Interval.P, scoreOf(c.Score).Title+" over seeds"
		if c.byLoss {
			p, how = c.Loss.Interval.P, "held-out loss"
		}
		verdict := c.verdict()
		if verdict < 0 && !(p < level/Number(len(of))) { // one of them is enough
			verdict = 0
		}
		f.judged, f.verdict = f.judged || c.Judged != "", min(f.verdict, verdict)
		if c.Judged == "" {
			continue
		}
		if !slices.Contains(by, how) {
			by = append(by, how)
		}
		text := pEquals(p)
		if c.byLoss && c.Loss.same() {
			text = "the same"
		}
		if m := methodOf(c.Other); m.Of != "" {
			text = m.Placed + " " + text
		}
		ps = append(ps, text)
	}
	f.grounds = fmt.Sprintf("by %s: %s", strings.Join(by, " and "), strings.Join(ps, ", "))
	return f
}

// Of how many findings of one kind the grounds are said, and the names.
const (
	mostGrounds = 2
	mostNames   = 4
)

// say puts findings into sentences, by what they come to.
func say(all []finding, better, same, worse string) string {
	var texts []string
	for _, kind := range []struct {
		form string
		is   func(f finding) bool
	}{
		{better, func(f finding) bool { return f.judged && f.verdict > 0 }},
		{worse, func(f finding) bool { return f.judged && f.verdict < 0 }},
		{same, func(f finding) bool { return f.judged && f.verdict == 0 }},
		{"no verdict, for want of seeds or of anything learnt: %s", func(f finding) bool { return !f.judged }},
	} {
		var names []string
		of := slices.DeleteFunc(slices.Clone(all), func(f finding) bool { return !kind.is(f) })
		for _, same := range groups(of, func(a, b finding) bool { return a.method == b.method && len(of) > mostNames }) {
			f := same[0]
			name := f.method + " on " + f.task
			switch {
			case len(same) > 1:
				cases := slices.DeleteFunc(slices.Clone(all), func(a finding) bool { return a.method != f.method })
				name = fmt.Sprintf("%s in %d of %d cases", f.method, len(same), len(cases))
			case len(of) <= mostGrounds && f.judged:
				name += " (" + f.grounds + ")"
			}
			names = append(names, name)
		}
		if names != nil {
			texts = append(texts, fmt.Sprintf(kind.form, strings.Join(names, ", ")))
		}
	}
	if texts == nil {
		return ""
	}
	return upper(strings.Join(texts, "; ")) + "."
}
