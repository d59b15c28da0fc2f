package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"

	"autolora/autolora"
)

func predictCommand() *command {
	cmd := &command{
		name:  "predict",
		short: "label new texts: one JSON line per example",
		long: `Computes the model's output for new texts. Every line of the input is {"text": ...},
with "text_pair" for pairs; every line of the output is {"logits": [...], "label": ...}.`,
		examples: []string{
			"autolora predict --model roberta-base --adapter out/sst2/adapter --input new.jsonl --output labels.jsonl",
			`echo '{"text": "a fine film"}' | autolora predict --model roberta-base --adapter out/sst2/adapter --input -`,
		},
		cfg: autolora.DefaultConfig(),
	}
	var adapter, input, output string
	s := cmd.section("Model and data").bind("model")
	s.StringVar(&adapter, "adapter", "", "adapter `FOLDER`, of autolora or of PEFT (none: the model as it is)")
	s.StringVar(&input, "input", "", "JSON-lines `FILE` with texts; - is stdin")
	s.StringVar(&output, "output", "", "`FILE` to write, whole or not at all (default stdout)")
	s.bind("task", "max-length")
	cmd.section("Machine").bind("batch-size").bind(machine...)
	s = cmd.section("Results")
	cmd.configurable(s)
	cmd.common(s)
	cmd.run = func(ctx context.Context, c *console, _ string) error {
		if err := cmd.need("model", "input"); err != nil {
			return err
		}
		if cmd.json && output == "" {
			return usagef("--json: the output is JSON lines already; give --output FILE to get a summary on stdout")
		}
		if err := cmd.fetchModel(ctx, c); err != nil {
			return err
		}
		file, done, err := inputFile(ctx, c, input)
		if err != nil {
			return err
		}
		defer done()
		var lines bytes.Buffer
		var n int
		err = cmd.onTensors(func() (err error) {
			n, err = autolora.RunPredict(ctx, cmd.cfg, adapter, file, &lines, newReporter(c))
			return err
		})
		if err != nil {
			return err
		}
		if output == "" {
			return c.print(func(w *writer) { w.Write(lines.Bytes()) })
		}
		if err := autolora.WriteFile(output, lines.Bytes()); err != nil {
			return err
		}
		if cmd.json {
			return c.printJSON(struct {
				Examples int    `json:"examples"`
				Output   string `json:"output"`
			}{n, output})
		}
		return c.print(func(w *writer) { w.printf("%d examples written to %s\n", n, output) })
	}
	return cmd
}

// inputFile returns the file to read; for "-" a temporary one with what stdin
// has. done removes that.
func inputFile(ctx context.Context, c *console, path string) (file string, done func(), err error) {
	if path != "-" {
		return path, func() {}, nil
	}
	f, err := os.CreateTemp("", "autolora-stdin-*.jsonl")
	if err != nil {
		return "", nil, fmt.Errorf("--input: %w", err)
	}
	done = func() { os.Remove(f.Name()) }
	_, err = io.Copy(f, &cancelReader{ctx, c.in})
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		done()
		return "", nil, fmt.Errorf("--input: read stdin: %w", err)
	}
	return f.Name(), done, nil
}

// cancelReader ends with the context, also while a read of a pipe or terminal
// waits.
type cancelReader struct {
	ctx context.Context
	r   io.Reader
}

func (r *cancelReader) Read(p []byte) (int, error) {
	type result struct {
		n   int
		err error
	}
	done := make(chan result, 1)
	own := make([]byte, len(p)) // p is the caller's again after a cancelled read
	go func() {
		n, err := r.r.Read(own)
		done <- result{n, err}
	}()
	select {
	case got := <-done:
		return copy(p, own[:got.n]), got.err
	case <-r.ctx.Done():
		return 0, r.ctx.Err()
	}
}
