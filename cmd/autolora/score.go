package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"

	"autolora/autolora"
	"autolora/autolora/human"
	"autolora/data"
	"autolora/data/metrics"

	"github.com/spf13/pflag"
)

// scorer computes the metrics of one kind of output.
type scorer struct {
	kind  string
	about string   // one line for the help
	flags []string // that it takes, beside those of every command
	need  []string // of these, those it cannot do without
	score func(in scoreInput) (scoring, error)
}

// scorers are all kinds, in the order of the help.
var scorers = []scorer{
	{"tagging", "precision, recall and F1 of entities: --input", []string{"input", "strict", "scheme"}, []string{"input"}, scoreTagging},
	{"classification", "accuracy, F1 and the Matthews correlation: --hypotheses, --references",
		[]string{"hypotheses", "references"}, []string{"hypotheses", "references"}, scoreClasses},
	{"regression", "Pearson's and Spearman's correlation: --hypotheses, --references",
		[]string{"hypotheses", "references"}, []string{"hypotheses", "references"}, scoreValues},
}

// scoring is the outcome: as JSON the scores object, and a table for people.
type scoring interface{ print(w *writer) }

// scoreInput is what the flags of score say.
type scoreInput struct {
	input                  string
	strict                 bool
	scheme                 string
	hypotheses, references string
	stdin                  io.Reader
}

func scoreCommand() *command {
	var long strings.Builder
	long.WriteString("Computes the metrics alone, on files, as the official scripts do. KIND says what is in\nthe files:\n\n")
	for _, s := range scorers {
		fmt.Fprintf(&long, "  %-15s %s\n", s.kind, s.about)
	}
	cmd := &command{
		name:    "score",
		operand: "KIND",
		short:   "the metrics alone, on files of predictions",
		long:    long.String(),
		examples: []string{
			"autolora score tagging --input tags.conll",
			"autolora score tagging --input tags.conll --strict --scheme iob2 --json",
			"autolora score classification --hypotheses predicted.txt --references gold.txt",
		},
		cfg: autolora.DefaultConfig(),
	}
	var in scoreInput
	s := cmd.section("Predictions")
	s.StringVar(&in.hypotheses, "hypotheses", "", "`FILE` predicted classes or numbers, one a line; - is stdin")
	s.StringVar(&in.references, "references", "", "`FILE` the right ones, as many lines")
	s.StringVar(&in.input, "input", "", "`FILE` a word a line, the last two columns the right tag and the predicted one, an empty line between sentences; - is stdin")
	s.BoolVar(&in.strict, "strict", false, "only entities that are well formed in --scheme count, as in seqeval's strict mode")
	s.StringVar(&in.scheme, "scheme", string(metrics.IOB2), "`SCHEME` tags of --strict: iob2 or iobes")
	cmd.common(cmd.section("Results"))
	cmd.run = func(ctx context.Context, c *console, kind string) error {
		i := slices.IndexFunc(scorers, func(s scorer) bool { return s.kind == kind })
		if i < 0 {
			var kinds []string
			for _, s := range scorers {
				kinds = append(kinds, s.kind)
			}
			return usagef("KIND: got %q%s, want one of %s", kind, suggestion(kind, kinds), strings.Join(kinds, ", "))
		}
		if err := cmd.checkScoreFlags(scorers[i], in); err != nil {
			return err
		}
		in.stdin = &cancelReader{ctx, c.in}
		result, err := scorers[i].score(in)
		if err != nil {
			return err
		}
		if cmd.json {
			return c.printJSON(result)
		}
		return c.print(result.print)
	}
	return cmd
}

// checkScoreFlags returns a usage error where flags are missing, or are for another kind.
func (cmd *command) checkScoreFlags(s scorer, in scoreInput) error {
	if err := cmd.need(s.need...); err != nil {
		return err
	}
	var foreign error
	cmd.flags().VisitAll(func(f *pflag.Flag) {
		if f.Changed && f.Name != "json" && !slices.Contains(s.flags, f.Name) && foreign == nil {
			foreign = usagef("--%s: not a flag of %s, which takes --%s", f.Name, s.kind, strings.Join(s.flags, ", --"))
		}
	})
	switch {
	case foreign != nil:
		return foreign
	case in.scheme != string(metrics.IOB2) && !in.strict:
		return usagef("--scheme: only --strict goes by a scheme")
	case in.scheme != string(metrics.IOB2) && in.scheme != string(metrics.IOBES):
		return usagef("--scheme: got %q, want %s or %s", in.scheme, metrics.IOB2, metrics.IOBES)
	}
	return nil
}

// read returns the name and content of a file, of stdin for "-".
func (in scoreInput) read(file string) (name string, text []byte, err error) {
	if name = file; file == "-" {
		name = "stdin"
		text, err = io.ReadAll(in.stdin)
	} else {
		text, err = os.ReadFile(file)
	}
	switch {
	case err != nil:
		return name, nil, fmt.Errorf("read %s: %w", name, err)
	case len(bytes.TrimSpace(text)) == 0:
		return name, nil, fmt.Errorf("%s: the file is empty", name)
	}
	return name, text, nil
}

// valueFile is a file of one value a line.
type valueFile struct {
	name  string
	lines []string // without the spaces around, none of them empty
}

func (in scoreInput) values(file string) (f valueFile, err error) {
	name, text, err := in.read(file)
	if err != nil {
		return f, err
	}
	f.name = name
	for i, line := range strings.Split(strings.TrimRight(strings.TrimPrefix(string(text), "\ufeff"), "\r\n"), "\n") {
		if line = strings.TrimSpace(line); line == "" {
			return f, fmt.Errorf("%s: line %d is empty: want one value a line", name, i+1)
		}
		f.lines = append(f.lines, line)
	}
	return f, nil
}

// pairs returns --references and --hypotheses, which have as many lines.
func (in scoreInput) pairs() (gold, pred valueFile, err error) {
	if in.hypotheses == "-" && in.references == "-" {
		return gold, pred, usagef("--hypotheses and --references are both -: only one can be stdin")
	}
	if gold, err = in.values(in.references); err != nil {
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
	s := tagScores{EntityReport: report, sentences: len(columns[0])}
	for _, tags := range columns[0] {
		s.words += len(tags)
	}
	return s, nil
}

func (s tagScores) print(w *writer) {
	kinds := slices.Sorted(maps.Keys(s.PerType))
	width := labelWidth
	for _, kind := range kinds {
		width = max(width, len(kind)+2)
	}
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
	note := fmt.Sprintf("   on %s examples", human.Thousands(s.examples))
	for _, name := range slices.Sorted(maps.Keys(s.Scores)) {
		value := "not defined"
		if v := s.Scores[name]; !math.IsNaN(v) {
			value = fmt.Sprintf("%.4f", v)
		}
		w.row(name, "%s%s", value, note)
		note = ""
	}
}

func scoreClasses(in scoreInput) (scoring, error) {
	goldFile, predFile, err := in.pairs()
	if err != nil {
		return nil, err
	}
	gold, pred := goldFile.lines, predFile.lines
	scores := metrics.Scores{
		metrics.NameAccuracy: metrics.Accuracy(gold, pred),
		metrics.NameMatthews: metrics.Matthews(gold, pred),
		metrics.NameMacroF1:  metrics.MacroF1(gold, pred),
	}
	binary := func(class string) bool { return class == "0" || class == "1" }
	if !slices.ContainsFunc(slices.Concat(gold, pred), func(class string) bool { return !binary(class) }) {
		scores[metrics.NameF1] = metrics.F1(gold, pred, "1")
	}
	return valueScores{scores, len(gold)}, nil
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
func (f valueFile) numbers() ([]float64, error) {
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
