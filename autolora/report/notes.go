package report

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"autolora/autolora/human"
	"autolora/autolora/runs"
)

// size fills in the numbers of examples and what was limited.
func (t *Task) size() {
	limits := make(map[string]bool)
	limit := func(format string, args ...any) {
		text := fmt.Sprintf(format, args...)
		if !limits[text] {
			limits[text] = true
			t.Sizes.Limits = append(t.Sizes.Limits, text)
		}
	}
	t.Sizes.Limits, t.Sizes.Parts = []string{}, []string{}
	for _, m := range t.Methods {
		for _, r := range m.runs {
			t.Sizes.Evaluated = max(t.Sizes.Evaluated, r.Results.Examples)
			if part := r.Results.Part; part != "" && !slices.Contains(t.Sizes.Parts, part) {
				t.Sizes.Parts = append(t.Sizes.Parts, part)
			}
			t.Sizes.Train = max(t.Sizes.Train, r.Results.TrainExamples)
		}
	}
	for _, m := range t.Methods {
		for _, r := range m.runs {
			s := r.Settings
			if s.LimitTrain > 0 {
				limit("training on %s examples (--limit-train)", human.Thousands(s.LimitTrain))
			}
			if s.Search > 0 && r.Results.Steps.Search > 0 {
				limit("search of %s steps (--search-steps%s)", human.Thousands(s.Search), t.epochs(r, s.Search, s.Split))
			}
			if s.Steps > 0 && r.Results.Steps.Train > 0 {
				limit("training of %s steps (--steps%s)", human.Thousands(s.Steps), t.epochs(r, s.Steps*max(1, s.Accumulate), 1))
			}
		}
	}
}

// part says which part of the data was evaluated: " (dev)".
func (s Sizes) part() string {
	if len(s.Parts) == 0 {
		return ""
	}
	return " (" + strings.Join(s.Parts, ", ") + ")"
}

// epochs returns how often that many batches go through a share of the
// training examples, in words; "" where it is not known.
func (t *Task) epochs(r *Run, batches int, share float64) string {
	if t.Sizes.Train == 0 || r.Settings.BatchSize == 0 || share == 0 {
		return ""
	}
	return fmt.Sprintf(", %.2g times the examples", float64(batches*r.Settings.BatchSize)/(share*float64(t.Sizes.Train)))
}

// note says what a reader should know about how the numbers came about. What
// is so of several tasks is said once.
func (r *Report) note() {
	r.Notes = []string{}
	if n := len(r.Missing); n > 0 {
		are := "are"
		if n == 1 {
			are = "is"
		}
		r.Notes = append(r.Notes, fmt.Sprintf("%d of %s %s not complete, and not counted: %s.", n, plural(n+len(r.runs), "run", "runs"), are, strings.Join(r.Missing, ", ")))
	}
	for _, d := range r.Replaced {
		text := fmt.Sprintf("%s is not counted: %s has the same model, task, method and seed, and ", d.Dir, d.Newer)
		if d.Results == differentResults {
			text += "is newer. Their results differ."
		} else {
			text += "the same results."
		}
		r.Notes = append(r.Notes, text)
	}
	var texts []string
	of := make(map[string][]string) // titles of tasks by what is said about them
	note := func(t *Task, format string, args ...any) {
		text := fmt.Sprintf(format, args...)
		if of[text] == nil {
			texts = append(texts, text)
		}
		of[text] = append(of[text], r.name(t))
	}
	for _, t := range r.Tasks {
		if len(t.Sizes.Limits) > 0 {
			note(t, "%s. The paper's numbers are from training without such limits.", strings.Join(t.Sizes.Limits, "; "))
		}
		if text := t.decoding(); text != "" {
			note(t, "texts were generated %s.", text)
		}
		for _, m := range t.Methods {
			for _, text := range m.remarks() {
				note(t, "%s: %s.", methodOf(m.Method).title, text)
			}
		}
		for _, text := range unequal(t.Methods, sharedSettings) {
			note(t, "runs of different methods differ in %s: their scores are not for the same conditions.", text)
		}
		if ours := t.method(reference); ours != nil && ours.Scores[t.Primary].N > 0 && !slices.ContainsFunc(t.Comparisons, func(c *Comparison) bool { return isControl(c.Other) }) {
			note(t, "no control was run (%s, %s), so whether it matters in which layers the ranks are high cannot be said.", runs.MethodUniform, runs.MethodShuffled)
		}
	}
	for _, text := range texts {
		r.Notes = append(r.Notes, strings.Join(of[text], ", ")+": "+text)
	}
}

// decoding says how texts were generated, where all runs did it alike; "" for
// other tasks.
func (t *Task) decoding() string {
	if scoreOf(t.Primary).better == plain || len(unequal(t.Methods, decodingSettings)) > 0 {
		return ""
	}
	s := t.Methods[0].runs[0].Settings
	how := ""
	switch {
	case s.Beams == 0: // not known
		return ""
	case s.Sample:
		how = "by drawing tokens at random"
	case s.Beams == 1:
		how = "greedily"
	default:
		how = fmt.Sprintf("by a search of %d beams, length penalty %s", s.Beams, fmt.Sprint(s.LengthPenalty))
	}
	if s.NoRepeatNGram > 0 {
		how += fmt.Sprintf(", no %s twice", plural(s.NoRepeatNGram, "token", "tokens in a row"))
	}
	return fmt.Sprintf("%s, at most %s", how, plural(s.MaxNewTokens, "token", "tokens"))
}

// remarks says what is special about the runs of a method.
func (m *Method) remarks() []string {
	var remarks []string
	var without, undefined, read []string
	for _, r := range m.runs {
		seed := fmt.Sprint(r.Results.Seed)
		v, scored := r.Results.Scores[r.Results.Primary]
		switch {
		case !scored:
			without = append(without, seed)
		case math.IsNaN(v):
			undefined = append(undefined, seed)
		}
		if learnsRanks(m.Method) && m.Method != runs.MethodAdaLoRA && r.Results.Steps.Search == 0 {
			read = append(read, seed)
		}
	}
	if without != nil {
		remarks = append(remarks, "no scores with seed "+strings.Join(without, ", "))
	}
	if undefined != nil {
		remarks = append(remarks, fmt.Sprintf("the score is undefined with seed %s and left out of the mean", strings.Join(undefined, ", ")))
	}
	if read != nil {
		remarks = append(remarks, fmt.Sprintf("the ranks of seed %s were read from a file, so its cost is without their search", strings.Join(read, ", ")))
	}
	if m.Grid > 0 {
		remarks = append(remarks, fmt.Sprintf("the grid has %s (the paper's: 16)", plural(m.Grid, "configuration", "configurations")))
	}
	for _, text := range unequal([]*Method{m}, nil) {
		remarks = append(remarks, fmt.Sprintf("its seeds differ in %s: the mean mixes settings", text))
	}
	return remarks
}

// sharedSettings are those that make scores of different methods comparable.
var sharedSettings = append([]string{"limit-train", "max-length", "dtype", "data", "train", "dev", "new-head", "eval-on", "paraphrases"}, decodingSettings...)

// decodingSettings say how texts are generated.
var decodingSettings = []string{"beams", "beam-rules", "length-penalty", "no-repeat-ngram", "early-stopping", "max-new-tokens", "sample", "temperature", "top-k", "top-p"}

// ownSettings are those that differ from run to run and mean nothing.
var ownSettings = []string{"model", "out", "seed", "overwrite", "resume", "save-every", "tensorboard", "threads", "device", "process-timeout", "log-every", "ranks",
	"meteor", "method", "methods", "seeds", "controls", "with", "about"}

// unequal returns the settings in which runs differ, with the values: of
// those named, or of all but ownSettings.
func unequal(methods []*Method, names []string) []string {
	var all []*Run
	for _, m := range methods {
		all = append(all, m.runs...)
	}
	if names == nil {
		for _, r := range all {
			for name := range r.Settings.all {
				if !slices.Contains(ownSettings, name) && !slices.Contains(names, name) {
					names = append(names, name)
				}
			}
		}
		slices.Sort(names)
	}
	var texts []string
	for _, name := range names {
		var values []string
		for _, r := range all {
			if v, ok := r.Settings.all[name]; ok && !slices.Contains(values, fmt.Sprint(v)) {
				values = append(values, fmt.Sprint(v))
			}
		}
		if len(values) > 1 {
			texts = append(texts, fmt.Sprintf("--%s (%s)", name, strings.Join(values, ", ")))
		}
	}
	return texts
}
