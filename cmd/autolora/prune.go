package main

import (
	"context"
	"strings"

	"autolora/autolora/job"
	"autolora/autolora/settings"

	"github.com/spf13/cobra"
)

func pruneCommand() *command {
	cmd := newCommand(&cobra.Command{
		Use:        "prune",
		SuggestFor: strings.Fields("cut shrink compress distill truncate"),
		Short:      "cut a trained LoRA adapter to the smallest that is as good",
		Long: `Leaves out of a trained LoRA adapter, of autolora or of PEFT, the rank-1 parts
that are worth least for their parameters: to the smallest size whose held-out
loss is within --tolerance of the whole adapter's, or to --parameters. Half of
the dev set chooses the size, the other half says what was chosen. What comes
out has a rank of its own in every layer, and PEFT loads it.

What a run set (base model, kind, columns, lengths) stands in its adapter's
folder and need not be given again. Where there is no adapter yet, train a small
one: it is as good as one that is cut.`,
		Example: `  autolora prune --adapter out/topics --dev dev.csv --out out/small
  autolora prune --adapter out/sst2 --data glue/SST-2 --parameters 40k --steps 50 --out out/small`,
	})
	cmd.settings(settings.Prune)
	s := cmd.section("Model and data")
	s.Lookup("model").DefValue, s.Lookup("dev").DefValue = ofAdapter, ""
	training := cmd.section("Training")
	for name, about := range map[string]struct{ unset, usage string }{
		"steps": {"none", "`N` train what is left for so many steps on the training data"},
		"lr":    {"that of the run which made the adapter, else 0.001", "`LR` highest learning rate of the training"},
	} {
		f := training.Lookup(name)
		f.DefValue, f.Usage = about.unset, about.usage
	}
	cmd.results()
	cmd.run = func(ctx context.Context, c *console, _ []string) error {
		if cmd.cfg.Resume && cmd.cfg.Adapter == "" && cmd.cfg.Out != "" {
			return usagef("--resume: there is no run in %s to go on with; to begin one, give its settings", cmd.cfg.Out)
		}
		if err := cmd.need("adapter"); err != nil {
			return err
		}
		adapter, err := cmd.recall(ctx, c, cmd.cfg.Adapter)
		if err != nil {
			return err
		}
		cmd.cfg.Adapter = adapter
		return cmd.experiment(ctx, c, job.Prune)
	}
	return cmd
}
