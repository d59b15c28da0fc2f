package main

import (
	"context"
	"slices"
	"strings"

	"autolora/autolora"
)

// exportFormats are what export writes.
var exportFormats = []string{autolora.FormatPEFT, autolora.FormatFolded, autolora.FormatMerged}

func exportCommand() *command {
	cmd := &command{
		name:  "export",
		short: "write an adapter in another form: peft, folded (vLLM) or merged",
		long: `Writes an adapter in the form that another program reads:

  peft    PEFT's files, each layer scaled by lora_alpha/rank
  folded  the scaling multiplied into the weights, for programs that know one
          scaling for all layers, as vLLM
  merged  the whole model with the adapter added to its weights, for programs
          that know no adapters`,
		examples: []string{"autolora export --adapter out/sst2/adapter --format merged --out sst2-model"},
		cfg:      autolora.DefaultConfig(),
	}
	var adapter, format, out string
	s := cmd.section("Flags")
	s.StringVar(&adapter, "adapter", "", adapterUsage)
	s.StringVar(&format, "format", autolora.FormatPEFT, "`FORM` "+strings.Join(exportFormats, ", "))
	s.StringVar(&out, "out", "", "`FOLDER` folder to write; must not be there yet")
	s.bind("model").Lookup("model").DefValue = ofAdapter
	cmd.common(s)
	cmd.run = func(ctx context.Context, c *console, _ string) error {
		if err := cmd.need("adapter", "out"); err != nil {
			return err
		}
		if !slices.Contains(exportFormats, format) {
			return usagef("--format: got %q, want one of %s", format, strings.Join(exportFormats, ", "))
		}
		var files []string
		err := cmd.onTensors(func() (err error) {
			files, err = autolora.RunExport(ctx, cmd.cfg, adapter, format, out)
			return err
		})
		if err != nil {
			return err
		}
		if cmd.json {
			return c.printJSON(struct {
				Format string   `json:"format"`
				Out    string   `json:"out"`
				Files  []string `json:"files"`
			}{format, out, files})
		}
		return c.print(func(w *writer) {
			for _, file := range files {
				w.printf("%s\n", file)
			}
		})
	}
	return cmd
}
