package main

import (
	"context"
	"strings"

	"autolora/autolora/job"
	"autolora/autolora/settings"
	"autolora/data"

	"github.com/spf13/cobra"
)

func evalCommand() *command {
	cmd := newCommand(&cobra.Command{
		Use:        "eval",
		SuggestFor: strings.Fields("evaluate evaluation validate test"),
		Short:      "score a model with an adapter on a task's dev or test set",
		Long: `Scores a model on every example of a task's dev or test set, or of your file:
with an adapter, or with the head that the checkpoint has. What a run set (base
model, kind, columns, lengths, decoding) stands in its adapter's folder and need
not be given again; the classes are the adapter's.`,
		Example: `  autolora eval --adapter out/topics --dev new.csv
  autolora eval --adapter out/sst2 --data glue/SST-2
  autolora eval --config out/sst2/config.json --adapter out/sst2/adapter --json`,
	})
	var adapter string
	part := string(data.Dev)
	cmd.settings(settings.Eval)
	s := cmd.section("Model and data")
	s.Lookup("model").DefValue, s.Lookup("dev").DefValue = ofAdapter, ""
	s.StringVar(&adapter, "adapter", "", adapterUsage+" (default: the model as it is)")
	choice(s, &part, "part", []string{string(data.Dev), string(data.Test)}, "`PART` part of the data: dev or test")
	cmd.results()
	cmd.run = func(ctx context.Context, c *console, _ []string) error {
		adapter, err := cmd.recall(ctx, c, adapter)
		if err == nil {
			err = cmd.begin(ctx, c)
		}
		if err != nil {
			return err
		}
		outcome, err := onTensors(cmd, func() (*job.Outcome, error) {
			return job.Eval(ctx, cmd.host(c), cmd.cfg, adapter, data.Part(part))
		})
		if err != nil {
			return err
		}
		return cmd.show(c, outcome.Results, func(w *writer) {
			printScores(w, outcome.Results)
			printDetails(w, outcome.Results)
		})
	}
	return cmd
}
