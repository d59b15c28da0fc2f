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
	from := s.dir
	if adapter != nil {
		from = adapter.dir
	}
	made, err := readOrigin(from)
	if err != nil {
		return 0, err
	}
	read := data.InputConfig{Text: cfg.Text, Only: p.TextOnly}
	if made != nil {
		read.Pairs = made.Pairs
	}
	inputs, err := data.ReadTexts(p.Input, s.task, read)
	if err != nil {
		return 0, err
	}
	if inputs.Note != "" {
		s.rep.Note(inputs.Note)
	}
	model, err := s.trained(adapter)
	if err != nil {
		return 0, err
	}
	defer model.Close()
	s.rep.Begin("predict", 0, inputs.Len())
	a, err := kinds[s.task.Kind].compute(s, ctx, model, inputs.Dataset, computing{
		logits: true, work: new(runs.Work), progress: func(done int) { s.rep.Advance(done, "") },
	})
	s.rep.End()
	if err != nil {
		return 0, err
	}
	s.noteTruncated()
	switch form {
	case FormCoNLL:
		err = writeTagged(out, s.task, inputs.Dataset, a.best(0, len(a.rows)))
	case FormJSON:
		err = writeLines(out, s.task, inputs, a)
	default:
		err = writeTable(out, form, s.task, inputs, a)
	}
	if err != nil {
		return 0, fmt.Errorf("write predictions: %w", err)
	}
	return inputs.Len(), nil
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

// rows calls do for every example with what its row has and what is said of it.
func (in output) rows(task data.Task, inputs *data.Inputs, a answers, do func(fields []plainjson.Member, said []saying) error) error {
	at := inputs.Rows()
	for i, fields := range inputs.Fields {
		said := kinds[task.Kind].say(task, a, at[i], at[i+1])
		said = slices.DeleteFunc(said, func(s saying) bool { return s.in&in == 0 })
		row := slices.Clone(fields)
		for k := range row {
			taken := slices.ContainsFunc(said, func(s saying) bool { return s.name == row[k].Key })
			for taken {
				row[k].Key = inputPrefix + row[k].Key
				taken = slices.ContainsFunc(fields, func(f plainjson.Member) bool { return f.Key == row[k].Key })
			}
		}
		if err := do(row, said); err != nil {
			return err
		}
	}
	return nil
}

// writeLines writes a JSON line for every example.
func writeLines(out io.Writer, task data.Task, inputs *data.Inputs, a answers) error {
	return inLines.rows(task, inputs, a, func(fields []plainjson.Member, said []saying) error {
		var line []plainjson.Member
		for _, s := range said {
			value, err := json.Marshal(s.value)
			if err != nil {
				return err
			}
			line = append(line, plainjson.Member{Key: s.name, Value: value})
		}
		_, err := out.Write(append(jsonObject(append(line, fields...)), '\n'))
		return err
	})
}

// jsonObject writes members as an object, in their order.
func jsonObject(members []plainjson.Member) json.RawMessage {
	b := []byte{'{'}
	for i, m := range members {
		if i > 0 {
			b = append(b, ',')
		}
		key, _ := json.Marshal(m.Key) // a text, which never fails
		b = append(append(append(b, key...), ':'), m.Value...)
	}
	return append(b, '}')
}

// writeTable writes the columns of the inputs, and those of what is said.
func writeTable(out io.Writer, form string, task data.Task, inputs *data.Inputs, a answers) error {
	w := csv.NewWriter(out)
	if form == FormTSV {
		w.Comma = '\t'
	}
	var names []string
	err := inTable.rows(task, inputs, a, func(fields []plainjson.Member, _ []saying) error {
		for _, f := range fields {
			if !slices.Contains(names, f.Key) {
				names = append(names, f.Key)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	begun := false
	err = inTable.rows(task, inputs, a, func(fields []plainjson.Member, said []saying) error {
		head, row := slices.Clone(names), make([]string, len(names))
		for _, f := range fields {
			row[slices.Index(names, f.Key)] = tableCell(f.Value)
		}
		for _, s := range said {
			value, err := json.Marshal(s.value)
			if err != nil {
				return err
			}
			head, row = append(head, s.name), append(row, tableCell(value))
		}
		if !begun {
			begun = true
			if err := w.Write(head); err != nil {
				return err
			}
		}
		return w.Write(row)
	})
	w.Flush()
	return errors.Join(err, w.Error())
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

// writeTagged writes a CoNLL file of the sentences with the tags best.
func writeTagged(out io.Writer, task data.Task, sentences *data.Dataset, best []int) error {
	var words, gold, tags [][]string
	known, at := sentences.Labelled(), sentences.Rows()
	for i, ex := range sentences.Examples {
		words, tags = append(words, ex.Words), append(tags, task.Names(best[at[i]:at[i+1]]))
		if known {
			gold = append(gold, task.Names(ex.Tags))
		}
	}
	if !known {
		return data.WriteCoNLL(out, words, tags)
	}
	return data.WriteCoNLL(out, words, gold, tags)
}
