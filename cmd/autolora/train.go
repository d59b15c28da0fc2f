package main

import (
	"context"

	"autolora/autolora"
	"autolora/autolora/runs"
)

func trainCommand() *command {
	cmd := &command{
		name:  "train",
		short: "one training run: full fine-tuning, uniform LoRA, or at given ranks",
		long: `Trains the model in one of three ways, scores it on the dev set, and writes what
it learnt: every weight (full), LoRA of one rank everywhere (lora), or LoRA at the
ranks of a ranks.json (autolora).`,
		examples: []string{
			"autolora train --method lora --rank 4 --model roberta-base --task mrpc --data glue/MRPC --out out/lora",
			"autolora train --method autolora --ranks out/rte-ranks/ranks.json --model roberta-base --task rte --data glue/RTE --out out/rte",
		},
		cfg: autolora.DefaultConfig(),
	}
	cmd.section("Model and data").bind("model").bind(ownData...).bind("limit-train", "max-length")
	cmd.section("Method").bind("method", "ranks", "rank").bind(loraFlags...)
	cmd.section("Training").bind(trainFlags...).bind("batch-size", "seed", "log-every")
	cmd.section("Machine").bind(machine...)
	cmd.results(cmd.section("Results"))
	cmd.run = func(ctx context.Context, c *console, _ string) error {
		if cmd.cfg.Method == runs.MethodAutoLoRA && cmd.cfg.RanksFile == "" {
			return usagef("--ranks FILE is missing: --method autolora trains at the ranks that autolora search finds (autolora run does both)")
		}
		return cmd.experiment(ctx, c, autolora.RunTrain)
	}
	return cmd
}
