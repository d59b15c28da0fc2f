package main

import (
	"context"
	"slices"

	"autolora/autolora"
	"autolora/data"
)

func evalCommand() *command {
	cmd := &command{
		name:  "eval",
		short: "score a model with an adapter on a task's dev or test set",
		long: `Scores a model on every example of a task's dev or test set: with an adapter, or
with the head that the checkpoint has.`,
		examples: []string{
			"autolora eval --model roberta-base --adapter out/sst2/adapter --task sst2 --data glue/SST-2",
			"autolora eval --config out/sst2/config.json --adapter out/sst2/adapter --json",
		},
		cfg: autolora.DefaultConfig(),
	}
	var adapter, part string
	s := cmd.section("Model and data").bind("model")
	s.StringVar(&adapter, "adapter", "", adapterUsage+" (default: the model as it is)")
	s.StringVar(&part, "part", string(data.Dev), "`PART` part of the data: dev or test")
	s.bind(ownData...).bind("max-length")
	cmd.section("Generation").bind(decodeFlags...).bind(meteorFlags...)
	cmd.section("Machine").bind("batch-size").bind(machine...)
	s = cmd.section("Results")
	cmd.configurable(s)
	cmd.common(s)
	cmd.run = func(ctx context.Context, c *console, _ string) error {
		if err := cmd.need("model"); err != nil {
			return err
		}
		if err := cmd.needData(); err != nil {
			return err
		}
		if !slices.Contains([]data.Part{data.Dev, data.Test}, data.Part(part)) {
			return usagef("--part: got %q, want dev or test", part)
		}
		if err := cmd.fetchModel(ctx, c); err != nil {
			return err
		}
		var outcome *autolora.Outcome
		err := cmd.onTensors(func() (err error) {
			outcome, err = autolora.RunEval(ctx, cmd.cfg, adapter, part, newReporter(c))
			return err
		})
		if err != nil {
			return err
		}
		if cmd.json {
			return c.printJSON(outcome.Results)
		}
		return c.print(func(w *writer) { printScores(w, outcome.Results) })
	}
	return cmd
}
