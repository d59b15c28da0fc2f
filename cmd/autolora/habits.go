package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// habits are the names that other programs have for what a flag says: PEFT,
// transformers and its examples, TRL, axolotl, LLaMA-Factory, and our own flags
// where another command has another.
var habits = map[string]string{
	"accumulate":             "gradient-accumulation-steps gradient-accumulation grad-accum accumulation-steps accumulate-grad-batches",
	"adalora-beta1":          "beta1",
	"adalora-beta2":          "beta2",
	"adalora-delta-t":        "deltat delta-t",
	"adalora-init-rank":      "init-r",
	"adalora-orth":           "orth-reg-weight",
	"adalora-t-final":        "tfinal",
	"adalora-t-init":         "tinit",
	"adalora-target-rank":    "target-r",
	"adapter":                "adapter-name-or-path adapter-path adapter-dir lora-path lora-model-dir lora-weights lora peft-model peft-model-id peft",
	"batch-size":             "per-device-train-batch-size per-device-eval-batch-size per-gpu-train-batch-size per-gpu-eval-batch-size train-batch-size eval-batch-size micro-batch-size batch bs",
	"beams":                  "num-beams beam-size beam-width beam generation-num-beams",
	"clip":                   "max-grad-norm grad-clip gradient-clipping gradient-clip-val clip-grad-norm clip-norm",
	"config":                 "config-file config-path args-file yaml",
	"data":                   "dataset dataset-name dataset-path dataset-dir data-dir data-path datasets data-root",
	"dev":                    "validation-file valid-file val-file eval-file dev-file test-file validation valid val eval validation-data val-data eval-data dev-data eval-dataset eval-path dev-path test",
	"device":                 "gpu gpus cuda use-cuda no-cuda use-cpu use-gpu cpu device-map accelerator",
	"dropout":                "hidden-dropout-prob hidden-dropout",
	"dtype":                  "torch-dtype bf16 fp16 fp32 half precision mixed-precision float16 bfloat16",
	"epochs":                 "num-train-epochs num-epochs n-epochs max-epochs train-epochs epoch",
	"gradient-checkpointing": "grad-checkpointing use-gradient-checkpointing gradient-checkpoint activation-checkpointing",
	"hypotheses":             "predictions prediction prediction-file preds pred hyps hyp hypothesis outputs candidates input",
	"input":                  "input-file input-path test-file predict-file text texts prompt prompts data-file file test batches train dev data dataset hypotheses",
	"eval-every":             "eval-steps eval-interval eval-strategy evaluation-strategy eval-freq val-every validate-every val-interval",
	"k":                      "rank r lora-r lora-rank lora-dim adapter-rank max-rank max-r",
	"keep":                   "load-best-model-at-end save-best keep-best",
	"label":                  "label-column label-column-name label-field label-name labels target-column response-column output-column tags-column class-column",
	"label-smoothing":        "label-smoothing-factor smoothing",
	"length-penalty":         "lenpen",
	"limit-train":            "max-train-samples max-samples num-samples limit max-train-examples train-size subset-size",
	"log-every":              "logging-steps log-steps logging-interval log-interval log-freq",
	"lora-alpha":             "alpha lora-scaling",
	"lora-dropout":           "adapter-dropout",
	"lr":                     "learning-rate learn-rate base-lr max-lr",
	"max-length":             "max-seq-length max-seq-len max-source-length max-input-length max-len cutoff-len sequence-len sequence-length seq-length seq-len block-size context-length model-max-length",
	"max-new-tokens":         "max-target-length val-max-target-length generation-max-length max-output-length max-gen-length max-tokens max-new-token",
	"method":                 "finetuning-type peft-type peft-method adapter-type tuning-method tuner tuner-type",
	"methods":                "method",
	"metric":                 "metrics metric-name metric-for-best-model",
	"model":                  "model-name-or-path model-name model-path model-id model-dir base-model base-model-name-or-path pretrained-model pretrained-model-name-or-path pretrained checkpoint tokenizer-name tokenizer tokenizer-name-or-path config-name",
	"no-repeat-ngram":        "no-repeat-ngram-size",
	"out":                    "output-dir output-path output-folder out-dir output save-dir save-path save-to results-dir export-dir run-dir logdir o",
	"output":                 "output-file output-path output-dir prediction-file predictions out save-to o",
	"overwrite":              "overwrite-output-dir force overwrite-output",
	"patience":               "early-stopping-patience early-stop-patience early-stopping-rounds",
	"processes":              "num-processes nproc-per-node nproc num-gpus n-gpu nprocs world-size",
	"parameters":             "budget parameter-budget max-parameters num-parameters trainable-parameters params",
	"quiet":                  "silent no-progress disable-tqdm q",
	"rank":                   "r lora-r lora-rank lora-dim adapter-rank k",
	"references":             "reference refs ref gold golds targets target labels label answers",
	"resume":                 "resume-from-checkpoint resume-from continue resume-training",
	"sample":                 "do-sample sampling",
	"save-every":             "save-steps save-interval save-freq checkpoint-every checkpointing-steps save-strategy",
	"search-epochs":          "epochs num-train-epochs num-epochs",
	"search-lr":              "lr learning-rate learn-rate",
	"search-steps":           "steps max-steps max-train-steps num-train-steps",
	"seed":                   "random-seed random-state data-seed",
	"seeds":                  "num-seeds n-seeds",
	"steps":                  "max-steps max-train-steps num-train-steps num-steps total-steps iterations iters",
	"target":                 "target-modules target-module lora-target lora-target-modules lora-targets lora-modules modules-to-adapt targets modules",
	"task":                   "task-name glue-task dataset-config-name",
	"tensorboard":            "report-to logging-dir log-dir use-tensorboard tb",
	"text":                   "text-column text-column-name text-columns text-field dataset-text-field input-column sentence-column source-column prompt-column sentence sentence1-key tokens-column source",
	"threads":                "num-threads n-threads num-workers nthreads cpus",
	"train":                  "train-file train-path train-data train-data-path train-data-file train-dataset train-set training-file training-data training-set train-csv",
	"warmup":                 "warmup-ratio warmup-steps warmup-proportion num-warmup-steps lr-scheduler-type lr-scheduler scheduler",
	"weight-decay":           "wd l2 decay",
}

// spelt returns a name as flags are spelt.
func spelt(name string) string { return strings.ToLower(strings.ReplaceAll(name, "_", "-")) }

// named returns a command that holds one of each of the names, for cobra knows
// how close the names of commands are to another word.
func named(names []string) *cobra.Command {
	all := &cobra.Command{}
	for _, name := range names {
		all.AddCommand(&cobra.Command{Use: name, SuggestFor: strings.Fields(habits[name]), Run: func(*cobra.Command, []string) {}})
	}
	return all
}

// closest returns the names of the commands that somebody may mean who gives
// another: those that other programs call so, else those that are spelt almost
// so; none if too many are close.
func closest(given string, all *cobra.Command) (names []string) {
	given = spelt(given)
	for _, c := range all.Commands() {
		switch {
		case c.Name() == given:
			return []string{given}
		case slices.Contains(c.SuggestFor, given):
			names = append(names, c.Name())
		}
	}
	if names != nil || len(given) < 2 {
		return names
	}
	for all.SuggestionsMinimumDistance = 1; all.SuggestionsMinimumDistance <= max(2, len(given)/3); all.SuggestionsMinimumDistance++ {
		if names = all.SuggestionsFor(given); len(names) > 0 {
			break
		}
	}
	if len(names) > 3 { // the beginning of many
		return nil
	}
	return names
}

// suggestion returns ", did you mean X?" for the names closest to the one given,
// "" if there are none.
func suggestion(given string, names []string) string {
	return didYouMean(closest(given, named(names)))
}

func didYouMean(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return fmt.Sprintf(", did you mean %s?", strings.Join(names, " or "))
}

// flagError returns pflag's error as a lower-case line that says what to do.
func flagError(c *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	var invalid *pflag.InvalidValueError
	switch {
	case errors.As(err, &unknown):
		if given, short := unknown.GetSpecifiedName(), unknown.GetSpecifiedShortnames(); short == "" {
			return usagef("unknown flag --%s%s; see %s --help", given, aboutFlag(c, given), c.CommandPath())
		} else if about := aboutFlag(c, short); about != "" {
			return usagef("unknown flag -%s%s; see %s --help", short, about, c.CommandPath())
		}
	case errors.As(err, &invalid):
		kind, ok := map[string]string{
			"int": "a whole number", "int64": "a whole number", "uint64": "a whole number of at least 0", "amount": "a whole number, as 50000, 50k or 1.5M",
			"int64Slice": "whole numbers, comma-separated", "float64": "a number", "bool": "true or false", "duration": "a time with its unit, as 30s",
		}[invalid.GetFlag().Value.Type()]
		if !ok {
			kind = invalid.Unwrap().Error()
		}
		return usagef("--%s: got %q, want %s", invalid.GetFlag().Name, invalid.GetValue(), kind)
	}
	return usagef("%w; see %s --help", err, c.CommandPath())
}

// aboutFlag says which flag of c is meant by one that c does not have, and which
// commands have it.
func aboutFlag(c *cobra.Command, given string) (about string) {
	var names []string
	c.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	meant := closest(given, named(names))
	habit := len(meant) > 0 && slices.Contains(strings.Fields(habits[meant[0]]), spelt(given))
	owners := takers(c, spelt(given))
	if slices.Contains(names, spelt(given)) {
		owners = "" // it is only spelt otherwise
	}
	if habit || owners == "" {
		for i, name := range meant {
			f := c.Flags().Lookup(name)
			if meant[i] = "--" + name; habit { // the word is another, and so may be the unit
				meant[i] += " (" + f.Usage + ")"
			}
		}
		about = didYouMean(meant)
	}
	switch {
	case owners != "":
		about += fmt.Sprintf("; --%s is a flag of %s", spelt(given), owners)
	case about == "": // what c does not do at all
		var flags []string
		for flag, names := range habits {
			if takers := takers(c, flag); takers != "" && slices.Contains(strings.Fields(names), spelt(given)) {
				flags = append(flags, fmt.Sprintf("--%s of %s", flag, takers))
			}
		}
		if slices.Sort(flags); flags != nil {
			about = "; it may be " + strings.Join(flags, ", or ")
		}
	}
	return about
}

// takers lists the commands that have a flag of that name.
func takers(c *cobra.Command, flag string) string {
	var names []string
	for _, other := range c.Root().Commands() {
		if other.Flags().Lookup(flag) != nil {
			names = append(names, other.Name())
		}
	}
	return enumerate(names)
}

// enumerate joins words as a sentence does.
func enumerate(words []string) string {
	if n := len(words); n > 1 {
		words = append(words[:n-2:n-2], words[n-2]+" and "+words[n-1])
	}
	return strings.Join(words, ", ")
}
