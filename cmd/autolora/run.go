package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"autolora/autolora/job"
	"autolora/autolora/report"
	"autolora/autolora/runs"
	"autolora/autolora/settings"
	"autolora/data/hub"

	"github.com/spf13/cobra"
)

func runCommand() *command {
	cmd := newCommand(&cobra.Command{
		Use:        "run",
		SuggestFor: strings.Fields("start auto autolora all pipeline"),
		Short:      "the main job: search ranks, train at them, score, write an adapter",
		Long: `Searches the rank of every LoRA layer on one half of the training data while the
weights learn on the other, trains the model anew at these ranks on all of it,
scores it on the dev set, and writes an adapter that PEFT loads.`,
		Example: `  autolora run --model roberta-base --task sst2 --data glue/SST-2 --out out/sst2
  autolora run --config out/sst2/config.json --seed 2 --out out/sst2-seed2`,
	})
	cmd.settings(settings.Run)
	cmd.results()
	cmd.run = func(ctx context.Context, c *console, _ []string) error {
		return cmd.experiment(ctx, c, job.Run)
	}
	return cmd
}

// experiment does a job that writes an output folder, and reports its outcome.
func (cmd *command) experiment(ctx context.Context, c *console, do func(context.Context, job.Host, settings.Config) (*job.Outcome, error), needs ...string) error {
	if cmd.cfg.Resume && cmd.cfg.Model == "" && cmd.cfg.Out != "" {
		return usagef("--resume: there is no run in %s to go on with; to begin one, give its settings", cmd.cfg.Out)
	}
	if err := cmd.begin(ctx, c, needs...); err != nil {
		return err
	}
	outcome, err := together(cmd, func() (*job.Outcome, error) {
		return do(ctx, cmd.host(c), cmd.cfg)
	})
	if err != nil || !cmd.processes.Writes() {
		return err
	}
	if outcome.Results == nil { // one of several shards, and not the one that trains
		c.note("the trials are complete; the first shard trains what was chosen")
		return nil
	}
	if cmd.Name() != "search" {
		// Whatever keeps the page from being drawn, the run is complete and stays.
		if err := report.WriteRun(cmd.cfg.Out); err != nil {
			c.note("no %s: %v", runs.ReportFile, err)
		} else if !slices.Contains(outcome.Files, runs.ReportFile) {
			outcome.Files = append(outcome.Files, runs.ReportFile)
		}
	}
	return cmd.report(c, outcome)
}

// begin makes sure that there is all that a command needs which has a model, data
// and mostly an output folder, and flags of its own.
func (cmd *command) begin(ctx context.Context, c *console, names ...string) error {
	names = append([]string{"model", "out"}, names...)
	switch own := cmd.cfg.TrainFile != "" || cmd.cfg.DevFile != ""; {
	case cmd.cfg.Task != "" && own:
		return usagef("--task %s and own files (--train, --dev) exclude each other", cmd.cfg.Task)
	case cmd.cfg.Task != "":
		names = append(names, "data")
	case own && cmd.cfg.TrainFile == "" && cmd.has("limit-train"):
		names = append(names, "train")
	case !own && cmd.has("limit-train"):
		names = append(names, "task|train")
	case !own:
		names = append(names, "task|train|dev")
	}
	if err := cmd.need(names...); err != nil {
		return err
	}
	_, err := cmd.fetchModel(ctx, c)
	return err
}

// recall takes the settings that are not given from the folder of the adapter, or of
// the model, that a run has made. It sees to it that both are on this machine, and
// returns the adapter's folder.
func (cmd *command) recall(ctx context.Context, c *console, adapter string) (string, error) {
	return cmd.recallWith(ctx, c, adapter, hub.Model)
}

// recallWith is recall for who takes of the model what the kind has.
func (cmd *command) recallWith(ctx context.Context, c *console, adapter string, model *hub.Kind) (string, error) {
	named, ofAdapter := adapter, cmd.cfg.Model == ""
	adapter, err := fetchAdapter(ctx, c, adapter)
	if err != nil {
		return "", err
	}
	notes, err := job.Recall(&cmd.cfg, adapter, cmd.Flags().Changed)
	if err != nil {
		return "", err
	}
	for _, note := range notes {
		c.note("--%s", note)
	}
	_, err = resolved(ctx, c, model, cmd.cfg.Model)
	if err != nil && ofAdapter && ctx.Err() == nil {
		err = fmt.Errorf("%s names a base model that cannot be had: %w: give its folder, or its name on the hub, with --model", named, err)
	}
	return adapter, err
}
