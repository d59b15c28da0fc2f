package main

import (
	"context"
	"strings"

	"autolora/autolora/job"
	"autolora/autolora/settings"

	"github.com/spf13/cobra"
)

func trainCommand() *command {
	cmd := newCommand(&cobra.Command{
		Use:        "train",
		SuggestFor: strings.Fields("finetune fine-tune fit sft lora adalora"),
		Short:      "one training run: any method of the paper, or at given ranks",
		Long: `Trains the model by one method, scores it on the dev set, and writes what it
learnt: every weight (full), bottleneck adapters (adapter), LoRA of one rank
everywhere (lora), AdaLoRA (adalora), LoRA at the best ranks of a grid
(lora-grid), LoRA at the ranks of a ranks.json (autolora), or one of its
controls: the same parameters spread evenly (lora-uniform), the same ranks
permuted over the layers (autolora-shuffled), or the same parameters over layers
at random (autolora-random).`,
		Example: `  autolora train --method lora --rank 4 --model roberta-base --task mrpc --data glue/MRPC --out out/lora
  autolora train --method autolora --ranks out/rte-ranks/ranks.json --model roberta-base --task rte --data glue/RTE --out out/rte`,
	})
	cmd.settings(settings.Train)
	cmd.results()
	cmd.run = func(ctx context.Context, c *console, _ []string) error {
		var needs []string
		if job.NeedsRanks(cmd.cfg.Method) {
			needs = []string{"ranks"}
		}
		return cmd.experiment(ctx, c, job.Train, needs...)
	}
	return cmd
}
