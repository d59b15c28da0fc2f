package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"autolora/atomicfile"
	"autolora/data/metrics"
	"autolora/data/metrics/nlg"
	"autolora/human"
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
	outputs, err := in.read(in.hypotheses, textColumns...)
	if err != nil {
		return nil, err
	}
	var references []metrics.File
	for _, file := range in.references {
		f, err := in.read(file)
		if err != nil {
			return nil, err
		}
		references = append(references, f)
	}
	segments, err := nlg.ReadSegments(outputs, references...)
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
	return atomicfile.WriteOutput(file, func(w io.Writer) error {
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
	w.scores(s.Scores, s.Metrics, labels, fmt.Sprintf("on %s with %s", human.Count(s.outputs, "text"), human.Count(s.references, "reference")))
}
