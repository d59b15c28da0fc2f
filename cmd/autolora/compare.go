package main

import (
	"context"
	"strings"
	"time"

	"autolora/autolora/job"
	"autolora/autolora/report"
	"autolora/autolora/runs"
	"autolora/autolora/settings"
	"autolora/human"

	"github.com/spf13/cobra"
)

func compareCommand() *command {
	cmd := newCommand(&cobra.Command{
		Use:        "compare",
		SuggestFor: strings.Fields("sweep grid experiments"),
		Short:      "methods × seeds with the controls in one table; can be stopped",
		Long: `Makes a run of every method with every seed, each in a folder of its own under
--out, and ends in one table: score as mean ± sd, parameters, time and cost,
memory, and the paper's row; last, a verdict by held-out loss. Each method that
searches ranks (autolora, and autolora-RULE for other rules) is compared with
three controls of the same parameters: spread evenly, its own ranks permuted
over the layers, and layers and ranks at random.

The same command goes on where it was stopped, at whatever point; runs that are
complete are not made again. More methods or seeds can be added the same way.

With --shard I/N each of N machines makes its share of the runs, into one folder
that all of them see, or into a folder of its own each; "autolora report" of the
folder, or of all of them, makes the one table.`,
		Example: `  autolora compare --task mrpc --data glue/MRPC --model roberta-base --seeds 5 --out out/mrpc
  autolora compare --task mrpc --data glue/MRPC --model roberta-base --seeds 5 --out out/mrpc --shard 1/4
  autolora compare --train train.csv --model roberta-base --methods lora,autolora-gora,autolora-eva --parameters 50k --lr auto --out out/rules
  autolora compare --task rte --data glue/RTE --model roberta-base --methods lora,lora-grid,autolora --with lora:rank=8 --out out/rte`,
	})
	cmd.cfg.Methods = []string{runs.MethodFull, runs.MethodAdapter, runs.MethodLoRA, runs.MethodAdaLoRA, runs.MethodAutoLoRA}
	cmd.cfg.Seeds, cmd.cfg.Controls = 3, true
	var dryRun bool
	var shard string
	cmd.settings(settings.Compare)
	s := cmd.section("Comparison")
	s.BoolVar(&dryRun, "dry-run", false, "list every run with an estimate of its time, and make none")
	s.StringVar(&shard, "shard", "", "`I/N` make only the I-th of N shares of the runs, 1/N to N/N on as many machines (default all runs)")
	cmd.results()
	cmd.run = func(ctx context.Context, c *console, _ []string) error {
		plan, err := job.Plan(cmd.cfg)
		if err != nil {
			return usageError{err}
		}
		if cmd.Flags().Changed("shard") {
			part, err := job.ParseShard(shard)
			if err != nil {
				return usagef("--shard: %w", err)
			}
			if plan = part.Share(plan); len(plan) == 0 && !dryRun {
				c.note("nothing is left for shard %v: there are more shards than runs to spread", part)
				return nil
			}
		}
		if dryRun {
			return cmd.printPlan(ctx, c, plan)
		}
		return cmd.compare(ctx, c, plan)
	}
	return cmd
}

// compare makes the runs of the plan and prints their table.
func (cmd *command) compare(ctx context.Context, c *console, plan []settings.Config) error {
	if err := cmd.begin(ctx, c); err != nil {
		return err
	}
	_, err := together(cmd, func() (any, error) {
		return nil, job.Compare(ctx, cmd.host(c), cmd.cfg, plan)
	})
	if err != nil && ctx.Err() != nil || !cmd.processes.Writes() {
		return err
	}
	if shown := cmd.printComparison(c); err == nil { // else the table of those that are complete, if any
		err = shown
	}
	return err
}

// printComparison prints the table of the runs in --out.
func (cmd *command) printComparison(c *console) error {
	found, err := report.Load(cmd.cfg.Out)
	if err != nil {
		return err
	}
	r := report.Summarise(found)
	return cmd.show(c, r, func(w *writer) {
		w.printf("\n")
		r.Text(w, w.width) // w keeps the error
		w.printf("\nPictures and curves: autolora report %s\n", cmd.cfg.Out)
	})
}

// printPlan lists the runs of a comparison, with an estimate of their time.
func (cmd *command) printPlan(ctx context.Context, c *console, plan []settings.Config) error {
	var basis string
	estimates, err := onTensors(cmd, func() (e []job.Estimate, err error) {
		e, basis, err = job.Estimates(ctx, plan)
		return e, err
	})
	if err != nil {
		return err
	}
	tune := 0 // steps of trials, at most
	type planned struct {
		Method  string         `json:"method"`
		Seed    uint64         `json:"seed"`
		Out     string         `json:"out"`
		Steps   runs.StepCount `json:"steps"`
		Seconds float64        `json:"seconds"`
	}
	list, total := make([]planned, len(estimates)), 0.0
	for i, e := range estimates {
		list[i] = planned{e.Run.Method, e.Run.Seed, e.Run.Out, e.Steps, e.Seconds}
		total += e.Seconds
		tune = max(tune, e.Steps.Tune)
	}
	return cmd.show(c, map[string]any{"runs": list, "seconds": total, "basis": basis}, func(w *writer) {
		width := len("autolora-shuffled")
		for _, p := range list {
			width = max(width, len(p.Method))
		}
		trials := func(cell string) {
			if tune > 0 {
				w.printf("%10s ", cell)
			}
		}
		w.printf("%-*s %5s ", width, "method", "seed")
		trials("tune steps")
		w.printf("%13s %12s %10s  %s\n", "search steps", "train steps", "about", "folder")
		for _, p := range list {
			w.printf("%-*s %5d ", width, p.Method, p.Seed)
			trials(human.Thousands(p.Steps.Tune))
			w.printf("%13s %12s %10s  %s\n", human.Thousands(p.Steps.Search), human.Thousands(p.Steps.Train), human.Duration(duration(p.Seconds)), p.Out)
		}
		w.printf("\n%s, about %s (%s)\n", human.Count(len(list), "run"), human.Duration(duration(total)), basis)
	})
}

func duration(seconds float64) time.Duration { return time.Duration(seconds * float64(time.Second)) }
