package main

import (
	"context"
	"strings"

	"autolora/autolora/job"
	"autolora/autolora/settings"

	"github.com/spf13/cobra"
)

func searchCommand() *command {
	cmd := newCommand(&cobra.Command{
		Use:        "search",
		SuggestFor: strings.Fields("nas find-ranks ranks"),
		Short:      "only the search; writes ranks.json",
		Long: `Searches the rank of every LoRA layer and writes ranks.json, which "autolora
train --method autolora --ranks FILE" trains at.`,
		Example: `  autolora search --model roberta-base --task rte --data glue/RTE --k 8 --out out/rte-ranks`,
	})
	cmd.settings(settings.Search)
	cmd.results()
	cmd.run = func(ctx context.Context, c *console, _ []string) error {
		return cmd.experiment(ctx, c, job.Search)
	}
	return cmd
}
