package main

import (
	"context"
	"strings"

	"autolora/autolora/job"
	"autolora/autolora/report"
	"autolora/autolora/runs"
	"autolora/autolora/settings"
	"autolora/human"

	"github.com/spf13/cobra"
)

func tuneCommand() *command {
	cmd := newCommand(&cobra.Command{
		Use:        "tune",
		SuggestFor: strings.Fields("hpo sweep optimize optimise hyperparameters hyperparameter-search optuna raytune halving"),
		Short:      "choose layers, rank and learning rate by short trials, then train",
		Long: `Tries sets of layers, ranks and learning rates on a part of the training data,
and compares them by their loss on the rest: many for a few steps, the better
ones for more (successive halving), each going on from where it was. Of those
within one standard error of the best, the smallest adapter is chosen. That is
trained on all the training data, and only then scored on the dev set.

What it costs is said before it begins: --cost is what the trials may take, in
trainings of the length that --epochs or --steps say; --dry-run lists them.

With --shard I/N each of N machines that see the same --out makes its share of
the trials, and waits for the others' where it needs them; the first trains in
the end.`,
		Example: `  autolora tune --model roberta-base --train train.csv --out out/topics
  autolora tune --model roberta-base --task mrpc --data glue/MRPC --cost 8 --tune-target query+value,all-linear --out out/mrpc
  autolora tune --model gpt2 --task e2e --data e2e --steps 2000 --tune-rank 1,8 --time 2h --out out/e2e`,
	})
	var dryRun bool
	var shard string
	cmd.settings(settings.Tune)
	s := cmd.section("What to try")
	s.BoolVar(&dryRun, "dry-run", false, "list the trials with an estimate of their time, and make none")
	s.StringVar(&shard, "shard", "", "`I/N` make only the I-th of N shares of the trials, 1/N to N/N on as many machines (default all)")
	cmd.results()
	cmd.run = func(ctx context.Context, c *console, _ []string) error {
		part := job.Shard{Index: 1, Of: 1}
		if cmd.Flags().Changed("shard") {
			var err error
			if part, err = job.ParseShard(shard); err != nil {
				return usagef("--shard: %w", err)
			}
		}
		if dryRun {
			if err := cmd.begin(ctx, c); err != nil {
				return err
			}
			trials, err := onTensors(cmd, func() (*job.Trials, error) { return job.PlanTrials(ctx, cmd.host(c), cmd.cfg) })
			if err != nil {
				return err
			}
			return cmd.show(c, trials, func(w *writer) { printTrials(w, trials) })
		}
		return cmd.experiment(ctx, c, func(ctx context.Context, host job.Host, cfg settings.Config) (*job.Outcome, error) {
			return job.Tune(ctx, host, cfg, part)
		})
	}
	return cmd
}

// printTrials prints the plan of a choice.
func printTrials(w *writer, t *job.Trials) {
	w.printf("%-60s %12s\n", "trial", "parameters")
	for i, trial := range t.Trials {
		w.printf("%-60s %12s\n", t.Words(i), human.Thousands(trial.Parameters))
	}
	w.printf("\n")
	before := 0
	for i, r := range t.Rungs {
		w.printf("rung %d: %s from step %s to %s, %s steps in all\n", i+1, human.Count(r.Trials, "trial"), human.Thousands(before), human.Thousands(r.Steps),
			human.Thousands(r.Trials*(r.Steps-before)))
		before = r.Steps
	}
	w.printf("then the training of %s steps on all the data; about %s, and %s of memory, %s of it the base's weights\n",
		human.Thousands(t.Final), human.Duration(duration(t.Seconds)), human.Bytes(t.Memory), human.Bytes(t.Weights))
}

// printChoice prints what was tried and what it says.
func printChoice(w *writer, dir string, r *runs.Results) {
	u, err := runs.ReadTune(dir)
	if err != nil || u == nil || u.Chosen == nil {
		return
	}
	last := len(u.Rungs) - 1
	_, at := u.AtRung(last)
	for i, n := range at {
		label, mark := "", " "
		if i == 0 {
			label = "tried"
		}
		if n == u.Choice {
			mark = "*"
		}
		t := u.Trials[n]
		loss := string(t.State)
		if t.Loss != nil && t.State == "" {
			loss = "loss " + human.Score(*t.Loss, 4)
		}
		w.row(label, "%s %-50s %10s  %s", mark, u.Words(n), human.Thousands(t.Parameters), loss)
	}
	for _, line := range report.Advice(u, r) {
		w.row("", "%s", line)
	}
	w.printf("\n")
}
