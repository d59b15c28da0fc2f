package main

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"

	"autolora/autolora/human"
	"autolora/data"
	"autolora/data/metrics"
)

// values reads a file of one class or number a line.
func (in scoreInput) values(file string) (lineFile, error) {
	f, err := in.lines(file)
	if err != nil {
		return f, err
	}
	f.lines = f.trimmed()
	if len(f.lines) == 0 {
		return f, fmt.Errorf("%s: the file is empty", f.name)
	}
	if i := slices.Index(f.lines, ""); i >= 0 {
		return f, fmt.Errorf("%s: line %d is empty: want one value a line", f.name, i+1)
	}
	return f, nil
}

// pairs returns --references and --hypotheses, which have as many lines.
func (in scoreInput) pairs() (gold, pred lineFile, err error) {
	if n := len(in.references); n > 1 {
		return gold, pred, usagef("--references: got %d files, want one: there is one right answer in a %s", n, in.kind)
	}
	if gold, err = in.values(in.references[0]); err != nil {
		return gold, pred, err
	}
	if pred, err = in.values(in.hypotheses); err != nil {
		return gold, pred, err
	}
	if g, p := len(gold.lines), len(pred.lines); g != p {
		err = fmt.Errorf("%s has %d lines, %s has %d: want as many", pred.name, p, gold.name, g)
	}
	return gold, pred, err
}

// tagScores is the outcome of tagging.
type tagScores struct {
	*metrics.EntityReport
	words, sentences int
}

func scoreTagging(in scoreInput) (scoring, error) {
	name, text, err := in.read(in.input)
	if err != nil {
		return nil, err
	}
	columns, err := data.ReadCoNLL(name, text, -2, -1)
	if err != nil {
		return nil, err
	}
	scheme := metrics.Lenient
	if in.strict {
		scheme = metrics.Scheme(in.scheme)
	}
	report, err := metrics.ScoreEntities(columns[0], columns[1], scheme)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return tagScores{report, len(slices.Concat(columns[0]...)), len(columns[0])}, nil
}

func (s tagScores) print(w *writer) {
	kinds := slices.Sorted(maps.Keys(s.PerType))
	width := max(labelWidth, longest(kinds)+2)
	w.printf("%-*s%10s%10s%10s%10s\n", width, "", "precision", "recall", "f1", "entities")
	row := func(label string, e metrics.EntityScores) {
		w.printf("%-*s%10.4f%10.4f%10.4f%10d\n", width, label, e.Precision, e.Recall, e.F1, e.Support)
	}
	row("all", s.EntityScores)
	for _, kind := range kinds {
		row(kind, s.PerType[kind])
	}
	row("macro", s.Macro)
	row("weighted", s.Weighted)
	w.printf("%-*s%10.4f   of %s tags in %s sentences\n", width, "accuracy", s.Accuracy, human.Thousands(s.words), human.Thousands(s.sentences))
}

// valueScores is the outcome of classification and regression.
type valueScores struct {
	metrics.Scores
	examples int
}

func (s valueScores) print(w *writer) {
	names := slices.Sorted(maps.Keys(s.Scores))
	w.scores(s.Scores, names, names, fmt.Sprintf("on %s examples", human.Thousands(s.examples)))
}

func scoreClasses(in scoreInput) (scoring, error) {
	goldFile, predFile, err := in.pairs()
	if err != nil {
		return nil, err
	}
	classes := map[string]int{"0": 0, "1": 1}
	indices := func(lines []string) []int {
		out := make([]int, len(lines))
		for i, class := range lines {
			if _, ok := classes[class]; !ok {
				classes[class] = len(classes)
			}
			out[i] = classes[class]
		}
		return out
	}
	gold, pred := indices(goldFile.lines), indices(predFile.lines)
	names := []string{metrics.NameAccuracy, metrics.NameMatthews, metrics.NameMacroF1}
	if len(classes) == 2 { // 0 and 1 alone
		names = append(names, metrics.NameF1)
	}
	scores, err := metrics.Classification(names, gold, pred)
	return valueScores{scores, len(gold)}, err
}

func scoreValues(in scoreInput) (scoring, error) {
	goldFile, predFile, err := in.pairs()
	if err != nil {
		return nil, err
	}
	gold, err := goldFile.numbers()
	if err != nil {
		return nil, err
	}
	pred, err := predFile.numbers()
	if err != nil {
		return nil, err
	}
	scores, err := metrics.Regression([]string{metrics.NamePearson, metrics.NameSpearman}, gold, pred)
	return valueScores{scores, len(gold)}, err
}

// numbers reads a finite number from every line.
func (f lineFile) numbers() ([]float64, error) {
	out := make([]float64, len(f.lines))
	for i, line := range f.lines {
		v, err := strconv.ParseFloat(line, 64)
		if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, fmt.Errorf("%s: line %d: got %.40q, want a finite number", f.name, i+1, line)
		}
		out[i] = v
	}
	return out, nil
}
