package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"autolora/data"
	"autolora/data/metrics"
	"autolora/human"
)

// pairs returns what values finds in --references and --hypotheses, which have as
// many lines.
func pairs[T any](in scoreInput, values func(metrics.File) ([]T, error)) (gold, pred []T, err error) {
	if n := len(in.references); n > 1 {
		return nil, nil, usagef("--references: got %d files, want one: there is one right answer in a %s", n, in.kind)
	}
	right, err := in.read(in.references[0], labelColumns...)
	if err == nil {
		gold, err = values(right)
	}
	if err != nil {
		return nil, nil, err
	}
	predicted, err := in.read(in.hypotheses, slices.Concat(predictionColumns, labelColumns)...)
	if err == nil {
		pred, err = values(predicted)
	}
	if g, p := len(gold), len(pred); err == nil && g != p {
		err = fmt.Errorf("%s has %d lines, %s has %d: want as many", predicted.Name, p, right.Name, g)
	}
	return gold, pred, err
}

// tagScores is the outcome of tagging.
type tagScores struct {
	*metrics.EntityReport
	words, sentences int
}

func scoreTagging(in scoreInput) (scoring, error) {
	f, err := in.read(in.input)
	if err != nil {
		return nil, err
	}
	columns, err := data.ReadCoNLL(f.Name, f.Text, -2, -1)
	if err != nil {
		return nil, err
	}
	scheme := metrics.Lenient
	switch {
	case in.strict && in.scheme == schemeOfTags:
		scheme = metrics.SchemeOf(columns...)
	case in.strict:
		scheme = metrics.Scheme(in.scheme)
	}
	report, err := metrics.ScoreEntities(columns[0], columns[1], scheme)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.Name, err)
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
	w.scores(s.Scores, names, names, "on "+human.Count(s.examples, "example"))
}

func scoreClasses(in scoreInput) (scoring, error) {
	goldLines, predLines, err := pairs(in, metrics.File.Values)
	if err != nil {
		return nil, err
	}
	if err := sameNames(goldLines, predLines); err != nil {
		return nil, err
	}
	classes := map[string]int{"0": 0, "1": 1}
	folded := map[string][]string{} // the right classes that are alike but for case: true in JSON is True in pandas' tables
	indices := func(lines []string) []int {
		out := make([]int, len(lines))
		for i, class := range lines {
			class = data.PlainClass(class)
			if _, ok := classes[class]; !ok {
				lower := strings.ToLower(class)
				if right := folded[lower]; len(right) == 1 {
					class = right[0]
				}
				if _, ok := classes[class]; !ok {
					classes[class] = len(classes)
				}
			}
			out[i] = classes[class]
		}
		return out
	}
	gold := indices(goldLines)
	for class := range classes {
		lower := strings.ToLower(class)
		folded[lower] = append(folded[lower], class)
	}
	pred := indices(predLines)
	names := []string{metrics.NameAccuracy, metrics.NameMatthews, metrics.NameMacroF1}
	if len(classes) == 2 { // 0 and 1 alone
		names = append(names, metrics.NameF1)
	}
	scores, err := metrics.Classification(names, gold, pred)
	return valueScores{scores, len(gold)}, err
}

func scoreSets(in scoreInput) (scoring, error) {
	gold, pred, err := pairs(in, func(f metrics.File) ([][]string, error) {
		lines, err := f.Lines()
		if err != nil {
			return nil, err
		}
		return data.SplitLabels(f.Name, lines)
	})
	if err != nil {
		return nil, err
	}
	labels := map[string]int{}
	indices := func(all [][]string) [][]int {
		out := make([][]int, len(all))
		for i, names := range all {
			for _, name := range names {
				if _, ok := labels[name]; !ok {
					labels[name] = len(labels)
				}
				out[i] = append(out[i], labels[name])
			}
		}
		return out
	}
	right, given := indices(gold), indices(pred)
	scores, err := metrics.MultiLabel([]string{metrics.NameMicroF1, metrics.NameMacroF1, metrics.NameWeightedF1, metrics.NameSubsetAccuracy}, len(labels), right, given)
	return valueScores{scores, len(gold)}, err
}

// sameNames returns an error where the classes of one side are numbers, those of the other names.
func sameNames(gold, pred []string) error {
	numbers := func(classes []string) bool {
		return !slices.ContainsFunc(classes, func(class string) bool { _, err := strconv.ParseFloat(class, 64); return err != nil })
	}
	right := make(map[string]bool)
	for _, class := range gold {
		right[class] = true
	}
	common := slices.ContainsFunc(pred, func(class string) bool { return right[class] })
	if common || numbers(gold) == numbers(pred) {
		return nil
	}
	return fmt.Errorf("the predicted classes are like %.40q, the right ones like %.40q: want the same names in both files", pred[0], gold[0])
}

func scoreValues(in scoreInput) (scoring, error) {
	gold, pred, err := pairs(in, metrics.File.Numbers)
	if err != nil {
		return nil, err
	}
	scores, err := metrics.Regression([]string{metrics.NamePearson, metrics.NameSpearman}, gold, pred)
	return valueScores{scores, len(gold)}, err
}
