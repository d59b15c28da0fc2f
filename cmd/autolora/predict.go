package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"autolora/atomicfile"
	"autolora/autolora/job"
	"autolora/autolora/runs"
	"autolora/autolora/settings"
	"autolora/human"

	"github.com/spf13/cobra"
)

func predictCommand() *command {
	cmd := newCommand(&cobra.Command{
		Use:        "predict",
		SuggestFor: strings.Fields("infer inference classify generate prediction chat"),
		Short:      "label new texts or the words of new sentences, or generate texts",
		Long: `Computes a model's output for new texts. What a run set (base model, columns,
lengths, decoding) stands in its adapter's folder and need not be given again.

The input is a table (.csv, .tsv, .parquet), JSON (.jsonl, .json) or plain text,
a text a line (.txt, and stdin unless it holds JSON). The texts are in the
columns that the model was trained on, or in "text" (of pairs "text_pair" too),
"tokens" or "source"; in plain text a tab is between those of a pair.

The output is JSON lines, or what the end of --output says: .csv, .tsv, .jsonl,
.conll for tags. It has all that the input has, and

  label, probabilities, logits   of a text; in a table label and probability
  tags                           of the words of a sentence
  text                           that a language model writes for a source

What the input has under one of these names is called input_label and so on. The
names of labels are those of --task, of the adapter, or of config.json.

Files with a word a line, the form of CoNLL, are read too (.conll, .iob2, .tsv,
.txt). If their last column holds the right tags, it is kept in a .conll, and
"autolora score tagging" scores it.

A language model is given the source and its token for the end of a text, with
nothing else around it: what follows is the text. A line with messages is a
conversation, which the model's chat template lays out: what follows is the
assistant's next turn, in place of the last one if it is the assistant's.`,
		Example: `  autolora predict --adapter out/sst2 --input new.csv --output labels.csv
  echo 'a fine film' | autolora predict --adapter out/sst2 --input -
  autolora predict --adapter out/jnlpba --input test.conll --output tagged.conll`,
	})
	var adapter, input, output string
	cmd.settings(settings.Predict)
	s := cmd.section("Model and data")
	s.Lookup("model").DefValue = ofAdapter
	s.StringVar(&adapter, "adapter", "", adapterUsage+" (default: the model as it is)")
	s.StringVar(&input, "input", "", "`FILE` texts: a table, JSON or plain text; - is stdin")
	s.StringVar(&output, "output", "", "`FILE` file to write, whole or not at all; - is stdout (default stdout)")
	cmd.results()
	cmd.run = func(ctx context.Context, c *console, _ []string) error {
		if err := cmd.need("model|adapter", "input"); err != nil {
			return err
		}
		if output == "-" {
			output = "" // as --input - is stdin
		}
		if cmd.json && output == "" {
			return usagef("--json: the output is JSON lines already; give --output FILE to get a summary on stdout")
		}
		form, err := outputForm(cmp.Or(output, ".jsonl")) // stdout is for programs
		if err != nil {
			return err
		}
		if err := checkOutput("output", output, inputsOf(&cmd.cfg, adapter, input)...); err != nil {
			return err
		}
		given := cmd.Flags().Changed("text") && cmd.configFile == "" // those of an earlier run are no more than its adapter's
		n := 0
		predict := func(w io.Writer) (err error) {
			n, err = cmd.predict(ctx, c, job.PredictConfig{Adapter: adapter, Input: input, Form: form, TextOnly: given}, w)
			return err
		}
		if output == "" {
			return c.printData(predict)
		}
		if err := writeOutput(output, predict); err != nil {
			return err
		}
		written := struct {
			Examples int    `json:"examples"`
			Output   string `json:"output"`
		}{n, output}
		return cmd.show(c, written, func(w *writer) { w.printf("%s written to %s\n", human.Count(n, "example"), output) })
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

// writeOutput writes what fill writes to a file. An error of fill's own is not one
// of the file.
func writeOutput(file string, fill func(w io.Writer) error) error {
	var own error
	err := atomicfile.WriteOutput(file, func(w io.Writer) error {
		to := &writing{Writer: w}
		err := fill(to)
		if to.err == nil {
			own = err
		}
		return err
	})
	return cmp.Or(own, err)
}

// writing keeps the error of a writer.
type writing struct {
	io.Writer
	err error
}

func (w *writing) Write(p []byte) (n int, err error) {
	n, w.err = w.Writer.Write(p)
	return n, w.err
}

// outputForm returns the form of predictions in a file of that name, "" if it does
// not say.
func outputForm(file string) (string, error) {
	switch ext := strings.ToLower(filepath.Ext(file)); ext {
	case ".csv", ".tsv":
		return ext[1:], nil
	case ".conll", ".iob2", ".iob", ".bio":
		return job.FormCoNLL, nil
	case ".parquet", ".arrow", ".feather", ".xlsx", ".xls", ".html", ".xml", ".gz", ".zip":
		return "", usagef("--output %s: %s files are not written: want .jsonl, .csv, .tsv or .conll", file, ext)
	case "":
		return "", nil
	}
	return job.FormJSON, nil
}

// predict writes the predictions for the examples of a file, or of stdin for "-".
func (cmd *command) predict(ctx context.Context, c *console, p job.PredictConfig, lines io.Writer) (n int, err error) {
	if p.Adapter, err = cmd.recall(ctx, c, p.Adapter); err != nil {
		return 0, err
	}
	host := cmd.host(c)
	if p.Input == "-" {
		if p.Input, err = spool(untilDone(ctx, c.in)); err != nil {
			return 0, fmt.Errorf("read stdin: %w", err)
		}
		host.Reporter = renamedReporter{host.Reporter, p.Input, "stdin"}
		defer func() {
			os.Remove(p.Input)
			if err != nil {
				err = renamedError{err, p.Input, "stdin"}
			}
		}()
	}
	return onTensors(cmd, func() (int, error) {
		return job.Predict(ctx, host, cmd.cfg, p, lines)
	})
}

// spool copies stdin to a temporary file, whose name says what it holds: JSON, or
// else plain text.
func spool(in io.Reader) (path string, err error) {
	f, err := os.CreateTemp("", "autolora-*.jsonl")
	if err != nil {
		return "", err
	}
	path = f.Name()
	_, err = io.Copy(f, in)
	head := make([]byte, 4096)
	n, _ := f.ReadAt(head, 0)
	if err = errors.Join(err, f.Close()); err == nil && n > 0 && !jsonRows.Match(head[:n]) {
		plain := strings.TrimSuffix(path, ".jsonl") + ".txt"
		if err = os.Rename(path, plain); err == nil {
			path = plain
		}
	}
	if err != nil {
		os.Remove(path)
	}
	return path, err
}

// jsonRows matches the beginning of a text that holds JSON objects.
var jsonRows = regexp.MustCompile(`^\x{feff}?\s*(\[\s*)?\{\s*["}]`)

// renamedReporter tells notes about a file under the name that the user knows.
type renamedReporter struct {
	job.Reporter
	path, name string
}

func (r renamedReporter) Note(line string) {
	r.Reporter.Note(strings.ReplaceAll(line, r.path, r.name))
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
