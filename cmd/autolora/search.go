package main

import (
	"context"

	"autolora/autolora/job"

	"github.com/spf13/cobra"
)

func searchCommand() *command {
	cmd := newCommand(&cobra.Command{
		Use:   "search",
		Short: "only the search; writes ranks.json",
		Long: `Searches the rank of every LoRA layer and writes ranks.json, which "autolora
train --method autolora --ranks FILE" trains at.`,
		Example: `  autolora search --model roberta-base --task rte --data glue/RTE --k 8 --out out/rte-ranks`,
	})
	cmd.section("Model and data").bind("model").bind(ownData...).bind("limit-train", "max-length")
	cmd.section("LoRA").bind(loraFlags...)
	cmd.section("Search").bind(searchFlags...).bind("weight-decay", "batch-size", "seed", "log-every")
	cmd.section("Machine").bind(machine...).bind("gradient-checkpointing", "process-timeout")
	cmd.results(outFlags...)
	cmd.run = func(ctx context.Context, c *console, _ []string) error {
		return cmd.experiment(ctx, c, job.RunSearch)
	}
	return cmd
}
