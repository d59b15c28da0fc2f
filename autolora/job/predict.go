package job

import (
	"bytes"
	"cmp"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"slices"
	"strings"

	"autolora/autolora/runs"
	"autolora/autolora/settings"
	"autolora/data"
	"autolora/plainjson"
)

// PredictConfig says what to predict for, and how it is written.
type PredictConfig struct {
	Adapter  string // folder, also that of a run; "": the model as it is
	Input    string // see data.ReadTexts
	Form     string // one of those below; "": a table for a table, else JSON lines
	TextOnly bool   // the columns of the texts are those of the settings, no others
}

// The forms of predictions.
const (
	FormJSON  = "jsonl" // an object a line: what the input's row has, and what is predicted
	FormCSV   = "csv"   // the input's columns, and what is predicted
	FormTSV   = "tsv"   // the same with tabs
	FormCoNLL = "conll" // a word and its tag a line, before it the right one where the input has them
)

// Predict writes what the model makes of every example of a file: logits,
// probabilities and label, the tags of a sentence's words, or the text generated for
// a source. The labels' names are those of the task, of the adapter, or of the
// model's config, else LABEL_0 and so on. It returns the number of examples.
func Predict(ctx context.Context, host Host, cfg settings.Config, p PredictConfig, out io.Writer) (int, error) {
	var adapter *StoredAdapter
	var err error
	if p.Adapter != "" {
		if adapter, err = ReadAdapter(p.Adapter); err != nil {
			return 0, err
		}
	}
	s, err := sessionFor(ctx, cfg, adapter)
	if err != nil {
		return 0, err
	}
	defer s.close()
	s.rep = host.Reporter
	if s.task.Kind == data.Generation && cfg.Task == "" && (cfg.Kind == data.Chat || data.HasConversations(p.Input)) {
		s.task.Kind = data.Chat
	}
	if s.task.Kind == data.MultiLabel && cfg.Threshold == settings.Auto {
		return 0, settings.Errorf("threshold", "auto goes by what is scored, and nothing is: want a number")
	}
	if err := s.openTokenizer(); err != nil {
		return 0, err
	}
	if err := s.checkRoom(); err != nil {
		return 0, err
	}
	form, err := p.form(s.task.Kind)
	if err != nil {
		return 0, err
	}
	inputs, err := s.inputs(p, adapter)
	if err != nil {
		return 0, err
	}
	model, err := s.trained(adapter)
	if err != nil {
		return 0, err
	}
	defer model.Close()
	w := newPredictionWriter(out, form, s.task, inputs)
	s.rep.Begin("predict", 0, inputs.Len())
	defer s.rep.End()
	for from, part := range windows(inputs.Dataset) {
		a, err := kinds[s.task.Kind].compute(s, ctx, model, part, computing{
			texts: true, logits: s.task.Kind != data.Tagging, work: new(runs.Work), progress: func(done int) { s.rep.Advance(from+done, "") },
		})
		if err != nil {
			return 0, err
		}
		if err := w.write(inputs.Range(from, from+part.Len()), a); err != nil {
			return 0, fmt.Errorf("write predictions: %w", err)
		}
	}
	s.noteTruncated()
	return inputs.Len(), nil
}

// inputs reads what to predict for: pairs of texts if the run that made the adapter, or
// without one the model, had pairs.
func (s *session) inputs(p PredictConfig, adapter *StoredAdapter) (*data.Inputs, error) {
	dir := s.dir
	if adapter != nil {
		dir = adapter.dir
	}
	made, err := readOrigin(dir)
	if err != nil {
		return nil, err
	}
	how := data.InputConfig{Text: s.cfg.Text, Only: p.TextOnly}
	if made != nil {
		how.Pairs = made.Pairs
	}
	inputs, err := data.ReadTexts(p.Input, s.task, how)
	if err == nil && inputs.Note != "" {
		s.rep.Note(inputs.Note)
	}
	return inputs, err
}

// form returns the form to write.
func (p PredictConfig) form(kind data.Kind) (string, error) {
	form := p.Form
	tagging := kind == data.Tagging
	switch ext := strings.ToLower(filepath.Ext(p.Input)); {
	case form == "" && !tagging && (ext == ".csv" || ext == ".tsv"):
		form = ext[1:]
	case form == FormTSV && tagging:
		form = FormCoNLL
	}
	switch {
	case form == FormCoNLL && !tagging:
		return "", errors.New("a CoNLL file holds the tags of words, and this model does not label words: write JSON lines or a table")
	case form == FormCSV && tagging:
		return "", errors.New("a table has no place for the tags of words: write JSON lines or CoNLL")
	}
	return cmp.Or(form, FormJSON), nil
}

// inputPrefix goes before the name of what an input has where a prediction has that
// name.
const inputPrefix = "input_"

// said returns what is said in one form of the example with the rows from one to
// another.
func (in output) said(task data.Task, a answers, from, to int) []saying {
	return slices.DeleteFunc(kinds[task.Kind].say(task, a, from, to), func(s saying) bool { return s.in&in == 0 })
}

// beside returns the fields of a row, renamed where what is said has their names.
func beside(said []saying, fields []plainjson.Member) []plainjson.Member {
	row := slices.Clone(fields)
	for k := range row {
		taken := slices.ContainsFunc(said, func(s saying) bool { return s.name == row[k].Key })
		for taken {
			row[k].Key = inputPrefix + row[k].Key
			taken = slices.ContainsFunc(fields, func(f plainjson.Member) bool { return f.Key == row[k].Key })
		}
	}
	return row
}

// predictionWriter writes predictions in one of the forms, as they come.
type predictionWriter struct {
	out    io.Writer
	form   string
	task   data.Task
	inputs *data.Inputs // all of them
	tagged bool         // the inputs have tags
	names  []string     // of a table's columns, but for what is said; nil before the first row
}

func newPredictionWriter(out io.Writer, form string, task data.Task, inputs *data.Inputs) *predictionWriter {
	return &predictionWriter{out: out, form: form, task: task, inputs: inputs, tagged: form == FormCoNLL && inputs.Labelled()}
}

// write writes what is said of a part of the inputs, after what was written.
func (w *predictionWriter) write(part *data.Inputs, a answers) error {
	switch w.form {
	case FormCoNLL:
		return w.sentences(part.Dataset, a)
	case FormJSON:
		return w.lines(part, a)
	}
	return w.table(part, a)
}

// lines writes a JSON line for every example.
func (w *predictionWriter) lines(part *data.Inputs, a answers) error {
	at := part.Rows()
	for i, fields := range part.Fields {
		var line []plainjson.Member
		said := inLines.said(w.task, a, at[i], at[i+1])
		for _, s := range said {
			value, err := json.Marshal(s.value)
			if err != nil {
				return err
			}
			line = append(line, plainjson.Member{Key: s.name, Value: value})
		}
		if _, err := w.out.Write(append(plainjson.Object(append(line, beside(said, fields)...)), '\n')); err != nil {
			return err
		}
	}
	return nil
}

// table writes the columns of the inputs, and those of what is said.
func (w *predictionWriter) table(part *data.Inputs, a answers) error {
	out := csv.NewWriter(w.out)
	if w.form == FormTSV {
		out.Comma = '\t'
	}
	at := part.Rows()
	for i, fields := range part.Fields {
		said := inTable.said(w.task, a, at[i], at[i+1])
		if w.names == nil {
			w.names = w.columns(said)
			head := slices.Clone(w.names)
			for _, s := range said {
				head = append(head, s.name)
			}
			if err := out.Write(head); err != nil {
				return err
			}
		}
		row := make([]string, len(w.names))
		for _, f := range beside(said, fields) {
			row[slices.Index(w.names, f.Key)] = tableCell(f.Value)
		}
		for _, s := range said {
			value, err := json.Marshal(s.value)
			if err != nil {
				return err
			}
			row = append(row, tableCell(value))
		}
		if err := out.Write(row); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

// columns returns the names of all columns of the inputs, beside what is said of
// each.
func (w *predictionWriter) columns(said []saying) (names []string) {
	for _, fields := range w.inputs.Fields {
		for _, f := range beside(said, fields) {
			if !slices.Contains(names, f.Key) {
				names = append(names, f.Key)
			}
		}
	}
	return names
}

// tableCell is a JSON value as a table has it: a text as it is, nothing for null.
func tableCell(value json.RawMessage) string {
	var text string
	if json.Unmarshal(value, &text) == nil { // null too
		return text
	}
	return string(bytes.TrimSpace(value))
}

// softmax returns the probabilities of classes.
func softmax(logits []float64) []float64 {
	most, sum := slices.Max(logits), 0.0
	p := make([]float64, len(logits))
	for i, v := range logits {
		p[i] = math.Exp(v - most)
		sum += p[i]
	}
	for i := range p {
		p[i] /= sum
	}
	return p
}

// sentences writes sentences as a CoNLL file has them.
func (w *predictionWriter) sentences(part *data.Dataset, a answers) error {
	var words, gold, tags [][]string
	at := part.Rows()
	for i, ex := range part.Examples {
		words, tags = append(words, ex.Words), append(tags, w.task.Names(a.best(at[i], at[i+1])))
		if w.tagged {
			gold = append(gold, w.task.Names(ex.Tags))
		}
	}
	if !w.tagged {
		return data.WriteCoNLL(w.out, words, tags)
	}
	return data.WriteCoNLL(w.out, words, gold, tags)
}
