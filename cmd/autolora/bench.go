package main

import (
	"context"
	"strings"

	"autolora/autolora/job"
	"autolora/autolora/settings"
	"autolora/human"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func benchCommand() *command {
	cmd := newCommand(&cobra.Command{
		Use:        "bench",
		SuggestFor: strings.Fields("time speed profile"),
		Short:      "time a LoRA step and a search iteration on given batches",
		Long: `Times one LoRA training step and one search iteration on every batch of a file,
in file order, so that another program can be timed on the same ones. The first
two batches warm up and are not counted; the figures are medians.

Every line of the input is {"text": ..., "label": ...}, with "text_pair" for
pairs, or for a language model {"source": ..., "target": ...}; there the writing
of texts for the sources is timed, too.

With --trace, one LoRA step and one search iteration are recorded after that,
with every operator and kernel; scripts/trace_summary.py says in a few lines
what is in such a file.`,
		Example: `  autolora bench --model roberta-base --input batches.jsonl --batch-size 16 --dropout 0 --json`,
	})
	var input, trace string
	cmd.settings(settings.Bench)
	cmd.section("Model and data").StringVar(&input, "input", "", "`FILE` file of JSON lines with texts and labels")
	cmd.Flags().SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		if name == "batch" {
			name = "batch-size"
		}
		return pflag.NormalizedName(name)
	})
	cmd.results().StringVar(&trace, "trace", "", "`FILE` write a Chrome trace of one LoRA step and one search iteration (ui.perfetto.dev)")
	cmd.run = func(ctx context.Context, c *console, _ []string) error {
		if err := cmd.need("model", "input"); err != nil {
			return err
		}
		if err := checkOutput("trace", trace, inputsOf(&cmd.cfg, "", input)...); err != nil {
			return err
		}
		r, err := onTensors(cmd, func() (*job.BenchResult, error) {
			return job.Bench(ctx, cmd.host(c), cmd.cfg, input, trace)
		})
		if err != nil {
			return err
		}
		return cmd.show(c, r, func(w *writer) {
			w.printf("LoRA step         %s ms, %s tokens/s\n", human.Significant(r.LoRAStep), human.Significant(r.TokensPerSec))
			w.printf("search iteration  %s ms, %.2f LoRA steps\n", human.Significant(r.SearchStep), r.SearchStep/r.LoRAStep)
			if d := r.Decoded; d != nil {
				w.printf("decoding          %s tokens/s, %s tokens with beam %d\n", human.Significant(d.TokensPerSec), human.Thousands(d.Tokens), d.Beams)
			}
			w.printf("peak memory       %s, with the search %s\n", human.Bytes(r.PeakMemory), human.Bytes(r.SearchPeak))
			if r.DevicePeak > 0 {
				w.printf("  on the GPU      %s, in the search %s\n", human.Bytes(r.DevicePeak), human.Bytes(r.DeviceSearchPeak))
			}
			w.printf("timed             %d batches of %d, %s, %s; medians\n", r.Batches, cmd.cfg.BatchSize, r.DType, human.Count(r.Threads, "thread"))
			if r.Products != nil {
				w.printf("types             %v\n", r.Products)
			}
		})
	}
	return cmd
}
