package autolora

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"

	"autolora/data"
	"autolora/data/metrics"
	"autolora/nn"
)

// prediction is one line of predict.
type prediction struct {
	Logits []float64 `json:"logits"`
	Label  any       `json:"label"` // a class's name, or the number of a regression
}

// RunPredict writes one JSON line for every example of the file input: logits
// and label. The labels' names are those of --task, of the adapter, or of
// the model's config, else LABEL_0 and so on. It returns the number of examples.
func RunPredict(ctx context.Context, cfg Config, adapterDir, input string, out io.Writer, rep Reporter) (int, error) {
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
	logits, err := Predict(ctx, model, s.corpus(examples), s.BatchSize, workers, func(n, _ int) { rep.Advance(n, "") })
	rep.End()
	if err != nil {
		return 0, err
	}
	enc := json.NewEncoder(out)
	for _, row := range logits {
		p := prediction{Logits: row, Label: row[0]}
		if s.task.Kind != data.Regression {
			best, err := metrics.ArgMax(row)
			if err != nil {
				return 0, err
			}
			p.Label = s.task.Labels[best]
		}
		if err := enc.Encode(p); err != nil {
			return 0, fmt.Errorf("write predictions: %w", err)
		}
	}
	return len(logits), nil
}

// sessionFor opens a session for a model whose task is known by its head only:
// the adapter's, or without one the model's own. It returns the labels too.
func sessionFor(ctx context.Context, cfg Config, adapter *Adapter) (*session, []string, error) {
	s, err := newSession(ctx, cfg, silent{})
	if err != nil {
		return nil, nil, err
	}
	names := s.arch.LabelNames()
	outputs := len(names)
	if adapter != nil {
		if outputs = adapter.Outputs; outputs == 0 {
			s.close()
			return nil, nil, errors.New("the adapter has no classification head")
		}
		if adapter.Labels != nil {
			names = adapter.Labels
		}
	}
	if s.task, err = taskOf(cfg.Task, names, outputs); err != nil {
		s.close()
		return nil, nil, err
	}
	return s, s.task.Labels, nil
}

// taskOf returns the GLUE task of that name, or one made up for a head.
func taskOf(name string, labels []string, outputs int) (data.Task, error) {
	if name != "" {
		task, err := data.NamedTask(name)
		if err == nil && task.Outputs() != outputs {
			err = fmt.Errorf("--task %s has %d labels, the head %d", name, task.Outputs(), outputs)
		}
		return task, err
	}
	if outputs == 1 {
		return data.Task{Kind: data.Regression}, nil
	}
	if outputs < 1 {
		return data.Task{}, fmt.Errorf("the model has no head: give the adapter that has one with --adapter")
	}
	if len(labels) != outputs {
		labels = nil
		for i := range outputs {
			labels = append(labels, "LABEL_"+strconv.Itoa(i))
		}
	}
	return data.Task{Kind: data.Classification, Labels: slices.Clone(labels)}, nil
}

// silent is a Reporter for commands that have nothing to show.
type silent struct{}

func (silent) Begin(string, int, int) {}
func (silent) Advance(int, string)    {}
func (silent) End()                   {}
func (silent) Note(string)            {}

// RunBench times the LoRA step and the search iteration on the examples of the
// file input, in batches in file order.
func RunBench(ctx context.Context, cfg Config, input string, rep Reporter) (*BenchResult, error) {
	s, err := newSession(ctx, cfg, rep)
	if err != nil {
		return nil, err
	}
	defer s.close()
	if err := s.openTokenizer(); err != nil {
		return nil, err
	}
	if s.task, err = benchTask(cfg.Task, input); err != nil {
		return nil, err
	}
	examples, err := data.ReadInputs(input, s.task)
	if err != nil {
		return nil, err
	}
	if !examples.Labelled() {
		return nil, fmt.Errorf("%s: every example needs a label", input)
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
	return bench(ctx, cfg, func() (*nn.Classifier, error) { return s.load(nn.HeadFresh, false) }, batches, rep)
}

// benchTask is the named task, or one of two classes.
func benchTask(name, input string) (data.Task, error) {
	if input == "" {
		return data.Task{}, fmt.Errorf("--input: no file of examples is given")
	}
	if name != "" {
		return data.NamedTask(name)
	}
	return data.Task{Name: "bench", Kind: data.Classification, Labels: []string{"0", "1"}}, nil
}
