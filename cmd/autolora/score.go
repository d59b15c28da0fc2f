package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"autolora/autolora/runs"
	"autolora/autolora/settings"
	"autolora/data"
	"autolora/data/metrics"
	"autolora/foreign"
	"autolora/human"

	"github.com/spf13/cobra"
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

// multiLabel is the kind whose values may be lists.
const multiLabel = "multi-label"

var (
	pairFlags = []string{"hypotheses", "references"}
	textFlags = []string{"hypotheses", "references", "metric", "segments", "meteor", "paraphrases"}
)

// scorers are all kinds, in the order of the help.
var scorers = []scorer{
	{"e2e", "BLEU, NIST, METEOR, ROUGE-L, CIDEr, as in the E2E challenge", textFlags, pairFlags, scoreTexts},
	{"webnlg", "BLEU, METEOR and TER, as LoRA has them for WebNLG", textFlags, pairFlags, scoreTexts},
	{"webnlg2017", "BLEU, METEOR and TER, as in the WebNLG challenge of 2017", textFlags, pairFlags, scoreTexts},
	{"tagging", "precision, recall and F1 of entities: --input", []string{"input", "strict", "scheme"}, []string{"input"}, scoreTagging},
	{"classification", "accuracy, F1 and the Matthews correlation", pairFlags, pairFlags, scoreClasses},
	{multiLabel, "F1 and subset accuracy of any number of labels each", pairFlags, pairFlags, scoreSets},
	{"regression", "Pearson's and Spearman's correlation", pairFlags, pairFlags, scoreValues},
}

// scoring is the outcome: as JSON the scores object, and a table for people.
type scoring interface{ print(w *writer) }

// scoreInput is what the operand and the flags of score say.
type scoreInput struct {
	kind       string
	input      string
	strict     bool
	scheme     string
	hypotheses string
	references []string
	segments   string
	cfg        *settings.Config // --metric, --meteor and --paraphrases
	stdin      func() io.Reader
}

func scoreCommand() *command {
	var long strings.Builder
	long.WriteString("Computes the metrics alone, on files, as the official scripts do. KIND says what\nis in the files:\n\n")
	var kinds []string
	for _, s := range scorers {
		kinds = append(kinds, s.kind)
		fmt.Fprintf(&long, "  %-15s %s\n", s.kind, s.about)
	}
	cmd := newCommand(&cobra.Command{
		Use:        "score KIND",
		SuggestFor: strings.Fields("metrics metric evaluate-predictions bleu"),
		Short:      "the metrics alone, on files of predictions",
		Long:       long.String(),
		Example: `  autolora score e2e --hypotheses outputs.txt --references references.txt
  autolora score webnlg --hypotheses outputs.txt --references reference0 --references reference1 --json
  autolora score tagging --input tags.conll --strict --scheme iob2
  autolora score classification --hypotheses predicted.txt --references gold.txt`,
	})
	in := scoreInput{cfg: &cmd.cfg, scheme: schemeOfTags}
	s := cmd.section("Predictions")
	s.StringVar(&in.hypotheses, "hypotheses", "", "`FILE` predicted texts, classes or numbers, one a line, or what predict writes; an empty line is an empty text; - is stdin")
	s.StringArrayVar(&in.references, "references", nil, "`FILE` the right ones, one a line; of texts also several for each: with an empty line after those of a text, "+
		"as JSON lists, one a line, as E2E's CSV file, or in several files, line by line, by repeating the flag; - is stdin")
	s.StringVar(&in.input, "input", "", "`FILE` a word a line, the last two columns the right tag and the predicted one, an empty line between sentences; - is stdin")
	s.BoolVar(&in.strict, "strict", false, "only entities that are well formed in --scheme count, as in seqeval's strict mode")
	choice(s, &in.scheme, "scheme", append([]string{schemeOfTags}, schemeNames()...), "`SCHEME` tags of --strict: "+strings.Join(schemeNames(), ", ")+"; auto goes by their letters")
	s = cmd.section("Metrics of texts")
	s.StringVar(&in.segments, "segments", "", "`FILE` write the scores of each text, a JSON object a line")
	cmd.settings(settings.Score)
	cmd.common(cmd.section("Results"))
	cmd.ValidArgs = kinds // for completion
	cmd.run = func(ctx context.Context, c *console, args []string) error {
		kind := args[0]
		i := slices.Index(kinds, kind)
		if i < 0 {
			return usagef("KIND: got %q%s, want one of %s", kind, suggestion(kind, kinds), strings.Join(kinds, ", "))
		}
		if err := cmd.checkScoreFlags(scorers[i], in); err != nil {
			return err
		}
		in.kind, in.stdin = kind, func() io.Reader { return untilDone(ctx, c.in) }
		result, err := scorers[i].score(in)
		if err != nil {
			return err
		}
		return cmd.show(c, result, result.print)
	}
	return cmd
}

// checkScoreFlags returns a usage error where flags are missing, are for another kind, or do not go together.
func (cmd *command) checkScoreFlags(s scorer, in scoreInput) error {
	if err := cmd.need(s.need...); err != nil {
		return err
	}
	var foreign error
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if f.Changed && !slices.Contains(slices.Concat(s.flags, []string{"json", "quiet"}), f.Name) && foreign == nil {
			foreign = usagef("--%s: not a flag of %s, which takes --%s", f.Name, s.kind, strings.Join(s.flags, ", --"))
		}
	})
	stdins := 0
	for _, file := range append(in.references, in.hypotheses) {
		if file == "-" {
			stdins++
		}
	}
	switch {
	case foreign != nil:
		return foreign
	case in.scheme != schemeOfTags && !in.strict:
		return usagef("--scheme: only --strict goes by a scheme")
	case stdins > 1:
		return usagef("--hypotheses and --references: - is there %d times, but only one can be stdin", stdins)
	}
	inputs := []runs.Input{{What: "hypotheses", Path: in.hypotheses}, {What: "paraphrases", Path: in.cfg.Paraphrases}, {What: "word lists", Path: in.cfg.Meteor}}
	for _, file := range in.references {
		inputs = append(inputs, runs.Input{What: "references", Path: file})
	}
	return checkOutput("segments", in.segments, inputs...)
}

// schemeOfTags is the value of --scheme that leaves it to the tags.
const schemeOfTags = "auto"

func schemeNames() (names []string) {
	for _, s := range metrics.Schemes {
		names = append(names, string(s))
	}
	return names
}

// The columns of tables that hold what is scored, as data.ReadColumn takes them.
var (
	predictionColumns = []string{"prediction", "predicted", "pred"} // of a table that may have the right labels too
	labelColumns      = []string{"label", "labels", "prediction", "class", "target", "score"}
	textColumns       = []string{"text", "prediction", "hypothesis", "output", "target"}
)

// read reads a file, stdin for "-": of a table the first of the columns that it has.
func (in scoreInput) read(file string, columns ...string) (f metrics.File, err error) {
	if f.Name = file; file == "-" {
		f.Name = "stdin"
		f.Text, err = io.ReadAll(foreign.Piped(in.stdin()))
	} else {
		f.Text, err = foreign.ReadNamed(file, foreign.MaxData)
	}
	switch {
	case err != nil && file == "-":
		return f, fmt.Errorf("read stdin: %w", err)
	case err != nil:
		return f, err
	case len(f.Text) == 0:
		return f, fmt.Errorf("%s: the file is empty", f.Name)
	}
	f.Text = bytes.TrimPrefix(f.Text, []byte("\ufeff"))
	if columns != nil {
		f.Column, err = data.ReadColumn(f.Name, f.Text, in.kind == multiLabel, columns...)
	}
	return f, err
}

// scores prints scores by their names, each behind a label, and a note behind
// the first.
func (w *writer) scores(scores metrics.Scores, names, labels []string, note string) {
	width := max(labelWidth, longest(labels)+2)
	for i, name := range names {
		value := "not defined"
		if v := scores[name]; !math.IsNaN(v) {
			value = w.bold(human.Score(v, 4))
		}
		w.printf("%s\n", strings.TrimRight(fmt.Sprintf("%-*s%s   %s", width, labels[i], value, note), " "))
		note = ""
	}
}
