package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"autolora/atomicfile"
	"autolora/autolora/job"
	"autolora/autolora/runs"
	"autolora/autolora/settings"

	"github.com/spf13/cobra"
)

func predictCommand() *command {
	cmd := newCommand(&cobra.Command{
		Use:        "predict",
		SuggestFor: strings.Fields("infer inference classify generate prediction chat"),
		Short:      "label new texts or the words of new sentences, or generate texts",
		Long: `Computes the model's output for new texts. Every line of the input is
{"text": ...}, with "text_pair" for pairs; every line of the output is
{"logits": [...], "label": ...}. The labels' names are those of --task, or of
the model's config.json.

For a model that labels words, every line of the input is {"tokens": [...]}, and
every line of the output {"tags": [...]}. Files with a word a line, the form of
CoNLL, are read as well (.conll, .iob2, .tsv, .txt), and written where --output
ends in .conll or .iob2; if the input's last column holds the right tags,
"autolora score tagging" scores them.

For a language model, every line of the input is {"source": ...}, and every line
of the output {"text": ...}.`,
		Example: `  autolora predict --model roberta-base --adapter out/sst2/adapter --input new.jsonl --output labels.jsonl
  echo '{"text": "a fine film"}' | autolora predict --model roberta-base --adapter out/sst2/adapter --input -
  autolora predict --adapter out/jnlpba/adapter --input test.conll --output tagged.conll`,
	})
	var adapter, input, output string
	cmd.settings(settings.Predict)
	s := cmd.section("Model and data")
	s.Lookup("model").DefValue = ofAdapter
	s.StringVar(&adapter, "adapter", "", adapterUsage+" (default: the model as it is)")
	s.StringVar(&input, "input", "", "`FILE` file of JSON lines with texts or sentences; - is stdin")
	s.StringVar(&output, "output", "", "`FILE` file to write, whole or not at all (default stdout)")
	cmd.results()
	cmd.run = func(ctx context.Context, c *console, _ []string) error {
		if err := cmd.need("model|adapter", "input"); err != nil {
			return err
		}
		if cmd.json && output == "" {
			return usagef("--json: the output is JSON lines already; give --output FILE to get a summary on stdout")
		}
		if err := checkOutput("output", output, inputsOf(&cmd.cfg, adapter, input)...); err != nil {
			return err
		}
		var lines bytes.Buffer
		conll := slices.Contains([]string{".conll", ".iob2"}, strings.ToLower(filepath.Ext(output)))
		n, err := cmd.predict(ctx, c, adapter, input, conll, &lines)
		if err != nil {
			return err
		}
		if output == "" {
			return c.printData(lines.Bytes())
		}
		if err := atomicfile.WriteOutput(output, func(w io.Writer) error { _, err := lines.WriteTo(w); return err }); err != nil {
			return err
		}
		written := struct {
			Examples int    `json:"examples"`
			Output   string `json:"output"`
		}{n, output}
		return cmd.show(c, written, func(w *writer) { w.printf("%d examples written to %s\n", n, output) })
	}
	return cmd
}

// inputsOf returns what a model with an adapter reads, beside the file input.
func inputsOf(cfg *settings.Config, adapter, input string) []runs.Input {
	model := cfg.Model
	if input == "-" {
		input = "/dev/stdin" // which may be a file
	}
	if adapter != "" {
		adapter = job.AdapterFolder(adapter)
	}
	if adapter != "" && model == "" {
		if a, err := job.ReadAdapter(adapter); err == nil {
			model = a.BaseModel
		}
	}
	return []runs.Input{{What: "input", Path: input}, {What: "adapter", Path: adapter}, {What: "model", Path: model}}
}

// checkOutput returns an error if the file of a flag cannot be written, or is one
// of the inputs: before all the work.
func checkOutput(flag, file string, inputs ...runs.Input) error {
	if file == "" {
		return nil
	}
	if info, err := os.Stat(filepath.Dir(file)); err != nil || !info.IsDir() {
		return usagef("--%s %s: there is no folder %s: make it first", flag, file, filepath.Dir(file))
	}
	if info, err := os.Stat(file); err == nil && info.IsDir() {
		return usagef("--%s %s is a folder: want a file", flag, file)
	}
	if err := runs.Aside(file, inputs...); err != nil {
		return usagef("--%s: %w", flag, err)
	}
	return nil
}

// predict writes the lines for the examples of a file, or of stdin for "-".
func (cmd *command) predict(ctx context.Context, c *console, adapter, input string, conll bool, lines io.Writer) (n int, err error) {
	if adapter, err = cmd.recall(ctx, c, adapter); err != nil {
		return 0, err
	}
	if input == "-" {
		if input, err = spool(untilDone(ctx, c.in)); err != nil {
			return 0, fmt.Errorf("read stdin: %w", err)
		}
		defer func() {
			os.Remove(input)
			if err != nil {
				err = renamedError{err, input, "stdin"}
			}
		}()
	}
	return onTensors(cmd, func() (int, error) {
		return job.Predict(ctx, cmd.host(c), cmd.cfg, adapter, input, conll, lines)
	})
}

// spool copies stdin to a temporary file, whose name says what it holds.
func spool(in io.Reader) (path string, err error) {
	f, err := os.CreateTemp("", "autolora-*.jsonl")
	if err != nil {
		return "", err
	}
	_, err = io.Copy(f, in)
	if err = errors.Join(err, f.Close()); err != nil {
		os.Remove(f.Name())
	}
	return f.Name(), err
}

// renamedError is an error about a file under the name that the user knows.
type renamedError struct {
	error
	path, name string
}

func (e renamedError) Error() string { return strings.ReplaceAll(e.error.Error(), e.path, e.name) }
func (e renamedError) Unwrap() error { return e.error }

// untilDone returns a reader of r that ends with the context, also while a read of
// a pipe or terminal waits.
func untilDone(ctx context.Context, r io.Reader) io.Reader {
	out, in := io.Pipe()
	go func() {
		_, err := io.Copy(in, r)
		in.CloseWithError(err)
	}()
	context.AfterFunc(ctx, func() { in.CloseWithError(ctx.Err()) })
	return out
}
