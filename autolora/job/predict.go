package job

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"autolora/autolora/runs"
	"autolora/autolora/settings"
	"autolora/data"
)

// Predict writes one JSON line for every example of the file input: logits and
// label, the tags of a sentence's words, or the text generated for a source. The
// labels' names are those of the task, of the adapter, or of the model's config, else LABEL_0 and so on. With
// conll it writes a word a line instead, with its tag, before it the right one
// where the input has them. It returns the number of examples.
func Predict(ctx context.Context, host Host, cfg settings.Config, adapterDir, input string, conll bool, out io.Writer) (int, error) {
	var adapter *StoredAdapter
	var err error
	if adapterDir != "" {
		if adapter, err = ReadAdapter(adapterDir); err != nil {
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
	if conll && s.task.Kind != data.Tagging {
		return 0, errors.New("a CoNLL file holds the tags of words, and this model does not label words: write JSON lines")
	}
	examples, err := data.ReadInputs(input, s.task)
	if err != nil {
		return 0, err
	}
	model, err := s.trained(adapterDir)
	if err != nil {
		return 0, err
	}
	defer model.Close()
	s.rep.Begin("predict", 0, examples.Len())
	a, err := kinds[s.task.Kind].compute(s, ctx, model, examples, new(runs.Work), func(done int) { s.rep.Advance(done, "") })
	s.rep.End()
	if err != nil {
		return 0, err
	}
	s.noteTruncated()
	if conll {
		err = writeTagged(out, s.task, examples, a.best)
	} else {
		err = writeLines(out, s.task, examples, a)
	}
	if err != nil {
		return 0, fmt.Errorf("write predictions: %w", err)
	}
	return examples.Len(), nil
}

// writeLines writes a JSON line for every example.
func writeLines(out io.Writer, task data.Task, d *data.Dataset, a answers) error {
	enc, at := json.NewEncoder(out), d.Rows()
	for i := range d.Examples {
		if err := enc.Encode(kinds[task.Kind].line(task, a, at[i], at[i+1])); err != nil {
			return err
		}
	}
	return nil
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
