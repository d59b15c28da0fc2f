package job

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"

	"autolora/autolora/runs"
	"autolora/autolora/settings"
	"autolora/data"
	"autolora/nn"
)

// prediction is one line of predict.
type prediction struct {
	Logits []float64 `json:"logits"`
	Label  any       `json:"label"` // a class's name, or the number of a regression
}

// taggedSentence is one line of predict in tagging.
type taggedSentence struct {
	Tags []string `json:"tags"` // of every word
}

// generatedText is one line of predict in generation.
type generatedText struct {
	Text string `json:"text"`
}

// Predict writes one JSON line for every example of the file input: logits
// and label, the tags of a sentence's words, or the text generated for a source. The labels' names are those of
// --task, of the adapter, or of the model's config, else LABEL_0 and so on. With
// conll it writes a word a line instead, with its tag, before it the right one
// where the input has them. It returns the number of examples.
func Predict(ctx context.Context, host Host, cfg settings.Config, adapterDir, input string, conll bool, out io.Writer) (int, error) {
	rep := host.Reporter
	var adapter *Adapter
	var err error
	if adapterDir != "" {
		if adapter, err = ReadAdapter(adapterDir); err != nil {
			return 0, err
		}
		if cfg.Model == "" {
			cfg.Model = adapter.BaseModel
		}
	}
	s, _, err := sessionFor(ctx, cfg, adapter)
	if err != nil {
		return 0, err
	}
	defer s.close()
	s.rep = rep
	if err := s.openTokenizer(); err != nil {
		return 0, err
	}
	if s.task.Kind == data.Generation {
		if err := s.checkRoom(); err != nil {
			return 0, err
		}
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
	rep.Begin("predict", 0, examples.Len())
	if s.task.Kind == data.Generation {
		texts, err := s.write(ctx, model, examples, new(runs.Work), func(n int) { rep.Advance(n, "") })
		rep.End()
		if err != nil {
			return 0, err
		}
		s.noteTruncated()
		enc := json.NewEncoder(out)
		for _, text := range texts {
			if err := enc.Encode(generatedText{text}); err != nil {
				return 0, fmt.Errorf("write predictions: %w", err)
			}
		}
		return len(texts), nil
	}
	logits, err := s.predict(ctx, model, examples, new(runs.Work), func(n int) { rep.Advance(n, "") })
	rep.End()
	if err != nil {
		return 0, err
	}
	s.noteTruncated()
	best, err := classes(logits)
	switch {
	case err != nil:
		return 0, err
	case conll:
		err = writeTagged(out, s.task, examples, best)
	default:
		err = writeLines(out, s.task, examples, logits, best)
	}
	if err != nil {
		return 0, fmt.Errorf("write predictions: %w", err)
	}
	return examples.Len(), nil
}

// writeLines writes a JSON line for every example.
func writeLines(out io.Writer, task data.Task, d *data.Dataset, logits [][]float64, best []int) error {
	enc, at := json.NewEncoder(out), d.Rows()
	for i := range d.Examples {
		var line any
		switch task.Kind {
		case data.Tagging:
			line = taggedSentence{task.Names(best[at[i]:at[i+1]])}
		case data.Regression:
			line = prediction{logits[i], logits[i][0]}
		default:
			line = prediction{logits[i], task.Labels[best[i]]}
		}
		if err := enc.Encode(line); err != nil {
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

// sessionFor opens a session for a model whose task is known by its head only:
// the adapter's, or without one the model's own. It returns the labels too.
func sessionFor(ctx context.Context, cfg settings.Config, adapter *Adapter) (*session, []string, error) {
	s, err := newSession(ctx, Host{Reporter: silent{}}, cfg)
	if err != nil {
		return nil, nil, err
	}
	if s.arch.Generates() {
		if s.task, err = generationTask(cfg.Task, adapter); err != nil {
			s.close()
			return nil, nil, err
		}
		return s, nil, nil
	}
	names := s.arch.LabelNames()
	outputs, tokens := len(names), slices.Contains(s.arch.Architectures, s.arch.Architecture(nn.TokenClassification))
	if adapter != nil {
		tokens = adapter.Tokens()
		if outputs = adapter.Outputs; outputs == 0 {
			s.close()
			return nil, nil, errors.New("the adapter has no classification head")
		}
		if adapter.Labels != nil {
			names = adapter.Labels
		}
	}
	if s.task, err = taskOf(cfg.Task, names, outputs, tokens); err != nil {
		s.close()
		return nil, nil, err
	}
	return s, s.task.Labels, nil
}

// generationTask returns the task of that name, or one made up for a language
// model.
func generationTask(name string, adapter *Adapter) (data.Task, error) {
	if adapter != nil && adapter.TaskType != languageTask {
		return data.Task{}, fmt.Errorf("the adapter is of type %s, and its model generates text: want %s", adapter.TaskType, languageTask)
	}
	if name == "" {
		return data.Task{Kind: data.Generation}, nil
	}
	task, err := data.NamedTask(name)
	if err == nil && task.Kind != data.Generation {
		err = settings.Errorf("task", "%s has labels, and the model generates text", name)
	}
	return task, err
}

// taskOf returns the task of that name, or one made up for a head, which labels
// tokens or whole texts.
func taskOf(name string, labels []string, outputs int, tokens bool) (data.Task, error) {
	if name != "" {
		task, err := data.NamedTask(name)
		switch {
		case err != nil:
		case task.Outputs() != outputs:
			err = settings.Errorf("task", "%s has %d labels, the head %d", name, task.Outputs(), outputs)
		case tokens && task.Kind != data.Tagging:
			err = settings.Errorf("task", "%s labels whole texts, the head single tokens", name)
		case !tokens && task.Kind == data.Tagging:
			err = settings.Errorf("task", "%s labels words, the head whole texts", name)
		}
		return task, err
	}
	kind := data.Classification
	switch {
	case outputs < 1:
		return data.Task{}, settings.Errorf("adapter", "the model has no head: give the adapter that has one")
	case tokens:
		kind = data.Tagging
	case outputs == 1:
		return data.Task{Kind: data.Regression}, nil
	}
	if len(labels) != outputs {
		labels = nil
		for i := range outputs {
			labels = append(labels, "LABEL_"+strconv.Itoa(i))
		}
	}
	return data.Task{Kind: kind, Labels: slices.Clone(labels)}, nil
}

// silent is a Reporter for commands that have nothing to show.
type silent struct{}

func (silent) Begin(string, int, int) {}
func (silent) Advance(int, string)    {}
func (silent) End()                   {}
func (silent) Note(string)            {}

// Bench times the LoRA step and the search iteration on the examples of the
// file input, in batches in file order. Unless trace is empty, it then writes a
// trace of one of each there; see torchbind.Profile.
func Bench(ctx context.Context, host Host, cfg settings.Config, input, trace string) (*BenchResult, error) {
	s, err := newSession(ctx, host, cfg)
	if err != nil {
		return nil, err
	}
	defer s.close()
	if err := s.openTokenizer(); err != nil {
		return nil, err
	}
	if s.task, err = s.benchTask(input); err != nil {
		return nil, err
	}
	examples, err := data.ReadInputs(input, s.task)
	if err != nil {
		return nil, err
	}
	if !examples.Labelled() {
		return nil, fmt.Errorf("%s: every example needs a label", input)
	}
	if examples, err = s.pieces(examples); err != nil {
		return nil, err
	}
	corpus := s.corpus(examples)
	var batches []*data.Batch
	for at := 0; at+cfg.BatchSize <= examples.Len(); at += cfg.BatchSize {
		indices := make([]int, cfg.BatchSize)
		for i := range indices {
			indices[i] = at + i
		}
		b, err := corpus.Batch(indices)
		if err != nil {
			return nil, err
		}
		batches = append(batches, b)
	}
	r, err := s.bench(ctx, batches)
	if err == nil && trace != "" {
		err = s.benchTrace(ctx, batches, trace)
	}
	if err != nil || s.task.Kind != data.Generation {
		return r, err
	}
	prompts, err := s.prompts(ctx, examples)
	if err == nil {
		r.Decoded, err = s.benchDecoding(ctx, prompts[:len(batches)*cfg.BatchSize])
	}
	return r, err
}

// benchTask is the named task, or else one of two classes, or of generation
// where the model generates.
func (s *session) benchTask(input string) (data.Task, error) {
	switch {
	case input == "":
		return data.Task{}, settings.Errorf("input", "no file of examples is given")
	case s.cfg.Task != "":
		return data.NamedTask(s.cfg.Task)
	case s.arch.Generates():
		return data.Task{Name: "bench", Kind: data.Generation}, nil
	}
	return data.Task{Name: "bench", Kind: data.Classification, Labels: []string{"0", "1"}}, nil
}
