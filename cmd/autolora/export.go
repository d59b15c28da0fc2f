package main

import (
	"context"
	"strings"

	"autolora/autolora/job"
	"autolora/autolora/settings"
	"autolora/data/hub"

	"github.com/spf13/cobra"
)

func exportCommand() *command {
	cmd := newCommand(&cobra.Command{
		Use:        "export",
		SuggestFor: strings.Fields("merge merge-and-unload convert save fold gguf"),
		Short:      "write an adapter in another form: peft, folded, merged or gguf",
		Long: `Writes an adapter in the form that another program reads:

  peft    PEFT's files, each layer scaled by lora_alpha/rank
  folded  the scaling multiplied into the weights, for programs that know one
          scaling for all layers, as vLLM
  merged  the whole model with the adapter added to its weights, for programs
          that know no adapters; of a base in 8 or 4 bits to these numbers,
          written in full
  gguf    llama.cpp's file, of an adapter of LLaMA, Mistral, Qwen2, Qwen3,
          Gemma 2 or 3 without a head for labels; the base model is converted by
          llama.cpp's convert_hf_to_gguf.py`,
		Example: `  autolora export --adapter out/sst2/adapter --format merged --out sst2-model`,
	})
	var adapter, out, dtype string
	format := job.FormatPEFT
	cmd.settings(settings.Export)
	s := cmd.section("Model and data")
	s.StringVar(&adapter, "adapter", "", adapterUsage)
	choice(s, &format, "format", job.Formats, "`FORM` peft, folded, merged or gguf")
	choice(s, &dtype, "dtype", job.ExportTypes(), "`TYPE` type of the numbers in the formats merged and gguf: bfloat16, float16 or float32")
	s.Lookup("dtype").DefValue = "that of the base's files, and float32 in gguf"
	s.StringVar(&out, "out", "", "`FOLDER` folder to write; must not be there yet")
	s.Lookup("model").DefValue = ofAdapter
	cmd.common(s)
	cmd.run = func(ctx context.Context, c *console, _ []string) error {
		if err := cmd.need("adapter", "out"); err != nil {
			return err
		}
		find := fetchAdapter
		export := func() ([]string, error) { return job.Export(ctx, cmd.host(c), cmd.cfg, adapter, format, dtype, out) }
		write := export
		switch format {
		case job.FormatMerged:
			find, write = cmd.recall, func() ([]string, error) { return onTensors(cmd, export) }
		case job.FormatGGUF: // of the base model its configuration is read
			find = func(ctx context.Context, c *console, adapter string) (string, error) {
				return cmd.recallWith(ctx, c, adapter, hub.Config)
			}
		}
		var err error
		if adapter, err = find(ctx, c, adapter); err != nil {
			return err
		}
		files, err := write()
		if err != nil {
			return err
		}
		written := struct {
			Format string   `json:"format"`
			Out    string   `json:"out"`
			Files  []string `json:"files"`
		}{format, out, files}
		return cmd.show(c, written, func(w *writer) { w.printf("%s\n", strings.Join(files, "\n")) })
	}
	return cmd
}
