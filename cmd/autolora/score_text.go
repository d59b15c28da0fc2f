package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"autolora/atomicfile"
	"autolora/autolora/human"
	"autolora/data/metrics"
	"autolora/data/metrics/nlg"
)

// textScores is the outcome of generated texts.
type textScores struct {
	*nlg.Report
	outputs, references int
}

func scoreTexts(in scoreInput) (scoring, error) {
	pipeline, err := nlg.FindPipeline(in.kind)
	if err != nil {
		return nil, err
	}
	wanted := in.cfg.Metrics
	if len(wanted) == 0 {
		wanted = pipeline.Metrics
	}
	for _, name := range wanted {
		if !slices.Contains(pipeline.Metrics, name) {
			return nil, usagef("--metric: got %q%s, want some of %s", name, suggestion(name, pipeline.Metrics), strings.Join(pipeline.Metrics, ","))
		}
	}
	if in.cfg.Paraphrases != "" && !slices.Contains(wanted, metrics.NameMETEOR) {
		return nil, usagef("--paraphrases: only meteor goes by them, and --metric leaves it out")
	}
	segments, err := in.texts()
	if err != nil {
		return nil, err
	}
	options, err := nlg.NewOptions(pipeline, wanted, in.cfg.Meteor, in.cfg.Paraphrases)
	if err != nil {
		return nil, err
	}
	options.Segments = in.segments != ""
	report, err := pipeline.Score(segments, options)
	if err != nil {
		return nil, err
	}
	if in.segments != "" {
		if err := writeSegments(in.segments, report.Segments); err != nil {
			return nil, err
		}
	}
	s := textScores{report, len(segments), 0}
	for _, segment := range segments {
		s.references += len(segment.References)
	}
	return s, nil
}

func writeSegments(file string, segments []metrics.Scores) error {
	return atomicfile.Write(file, func(w io.Writer) error {
		for _, scores := range segments {
			if err := json.NewEncoder(w).Encode(scores); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s textScores) print(w *writer) {
	labels := make([]string, len(s.Metrics))
	for i, name := range s.Metrics {
		labels[i] = s.Label(name)
	}
	w.scores(s.Scores, s.Metrics, labels, fmt.Sprintf("on %s with %s", count(s.outputs, "text"), count(s.references, "reference")))
}

// count writes a number of things: "1 line", "2,000 lines".
func count(n int, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return human.Thousands(n) + " " + thing
}

// texts reads the outputs and the references of each.
func (in scoreInput) texts() ([]nlg.Segment, error) {
	outputs, err := in.lines(in.hypotheses)
	if err != nil {
		return nil, err
	}
	segments := make([]nlg.Segment, len(outputs.lines))
	for i, line := range outputs.lines {
		segments[i].Hypothesis = line
	}
	if len(in.references) > 1 {
		return segments, in.columns(outputs.name, segments)
	}
	references, name, err := in.lists(len(segments))
	if err != nil {
		return nil, err
	}
	if n := len(references); n != len(segments) {
		return nil, fmt.Errorf("%s has %s, %s has references for %d: want as many", outputs.name, count(len(segments), "output"), name, n)
	}
	for i, texts := range references {
		segments[i].References = texts
	}
	return segments, nil
}

// columns adds the references that are in several files, each with a line for every output.
func (in scoreInput) columns(outputs string, segments []nlg.Segment) error {
	for _, file := range in.references {
		f, err := in.lines(file)
		if err != nil {
			return err
		}
		if n := len(f.lines); n != len(segments) {
			return fmt.Errorf("%s has %s, %s has %s: want as many", outputs, count(len(segments), "line"), f.name, count(n, "line"))
		}
		for i, line := range f.lines {
			if line != "" {
				segments[i].References = append(segments[i].References, line)
			}
		}
	}
	for i, s := range segments {
		if len(s.References) == 0 {
			return fmt.Errorf("line %d is empty in all files of --references: want a reference in one of them", i+1)
		}
	}
	return nil
}

// lists reads the references of all outputs from one file, in the form that it has.
func (in scoreInput) lists(outputs int) (references [][]string, name string, err error) {
	name, text, err := in.read(in.references[0])
	if err != nil {
		return nil, name, err
	}
	if strings.EqualFold(filepath.Ext(name), ".csv") {
		references, err = referencesCSV(name, text)
		return references, name, err
	}
	f, err := newLineFile(name, text)
	if err != nil {
		return nil, name, err
	}
	switch lines := f.trimmed(); {
	case len(lines) == 0:
		err = fmt.Errorf("%s: the file has no references", name)
	case strings.EqualFold(filepath.Ext(name), ".jsonl"), json.Unmarshal([]byte(lines[0]), new([]string)) == nil:
		references, err = referencesJSON(name, lines)
	case outputs > 1 && !slices.Contains(lines, ""):
		for _, line := range lines {
			references = append(references, []string{line})
		}
	default:
		references, err = referenceBlocks(name, lines)
	}
	return references, name, err
}

// referenceBlocks reads references one a line, with an empty line after those of an output.
func referenceBlocks(name string, lines []string) (references [][]string, err error) {
	var block []string
	for i, line := range lines {
		switch {
		case line != "":
			block = append(block, line)
		case block == nil:
			return nil, fmt.Errorf("%s: line %d is empty as if it ended references, but output %d has none", name, i+1, len(references)+1)
		default:
			references, block = append(references, block), nil
		}
	}
	return append(references, block), nil
}

// referencesJSON reads a JSON list of the references of an output from every line.
func referencesJSON(name string, lines []string) (references [][]string, err error) {
	for i, line := range lines {
		var texts []string
		if err := json.Unmarshal([]byte(line), &texts); err != nil {
			return nil, fmt.Errorf(`%s: line %d: want a JSON list of texts as ["one", "another"]: %w`, name, i+1, err)
		}
		for t, text := range texts {
			texts[t] = strings.Join(strings.Fields(text), " ") // a text is one line
		}
		if texts = slices.DeleteFunc(texts, func(text string) bool { return text == "" }); len(texts) == 0 {
			return nil, fmt.Errorf("%s: line %d: output %d has no references", name, i+1, i+1)
		}
		references = append(references, texts)
	}
	return references, nil
}

// referencesCSV reads E2E's official files: the references with the same meaning representation are those of one
// output, in the order in which these first appear.
func referencesCSV(name string, text []byte) (references [][]string, err error) {
	rows, err := csv.NewReader(bytes.NewReader(text)).ReadAll()
	if err == nil && len(rows) == 0 {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	mr, ref := slices.Index(rows[0], "mr"), slices.Index(rows[0], "ref")
	if mr < 0 || ref < 0 {
		return nil, fmt.Errorf("%s: the columns are %s: want mr and ref", name, strings.Join(rows[0], ", "))
	}
	places := map[string]int{}
	for _, row := range rows[1:] {
		i, ok := places[row[mr]]
		if !ok {
			i = len(references)
			places[row[mr]] = i
			references = append(references, nil)
		}
		references[i] = append(references[i], strings.TrimSpace(row[ref]))
	}
	return references, nil
}
