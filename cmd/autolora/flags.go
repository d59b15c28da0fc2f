package main

import (
	"fmt"
	"reflect"
	"strings"

	"autolora/autolora/job"
	"autolora/data"
)

// setting describes the flag of one field of job.Config.
type setting struct {
	usage string // the placeholder in backquotes, then what it is
	unset string // what the default means where its value does not say it
	whole bool   // a list of which each value is a flag of its own: commas are part of it
}

// settings describes every field of job.Config, by its name in JSON.
var settings = map[string]setting{
	"model":       {usage: "`FOLDER|NAME` a model's folder in Hugging Face form, or its name on the hub, fetched if need be"},
	"out":         {usage: "`FOLDER` folder for the results; new or empty"},
	"overwrite":   {usage: "replace the results of an earlier run in --out"},
	"resume":      {usage: "go on with the run in --out where it was stopped; without other flags its settings count"},
	"save-every":  {usage: "`N` save a checkpoint every N steps, for --resume; 0 is never"},
	"tensorboard": {usage: "write event files for TensorBoard into --out, too"},

	"task":        {usage: "`NAME` a task: " + strings.Join(data.TaskNames(), ", ")},
	"data":        {usage: "`FOLDER` the task's data: its official files or the hub's parquet files"},
	"train":       {usage: "`FILE` your own training data (.tsv, .csv, .jsonl, .parquet, .conll), in place of --task and --data"},
	"dev":         {usage: "`FILE` your own data to score on, with the same columns"},
	"kind":        {usage: "`KIND` what the labels of your own data are: classification, regression, tagging (one for every word) or generation (a text)"},
	"text":        {usage: "`COL[,COL]` column of your own data with the text; two for pairs of texts; in tagging the words (default tokens, or the first); in generation the source"},
	"label":       {usage: "`COL` column of your own data with the label; in tagging the tags (default tags, ner_tags, or the last); in generation the target"},
	"limit-train": {usage: "`N` train on so many examples, drawn at random", unset: "all"},
	"eval-on":     {usage: "`PART` part of the task's data to score on: dev, or test where its labels are known"},
	"max-length":  {usage: "`N` cut texts to so many tokens; sentences to tag are cut into pieces"},

	"seed":    {usage: "`N` seed of everything random: split, order, dropout, fresh weights"},
	"device":  {usage: "`DEVICE` auto, cpu, cuda or cuda:N; auto takes a GPU where there is one"},
	"dtype":   {usage: "`TYPE` type of the arithmetic: float32, bfloat16, or float64 to tell rounding from error"},
	"threads": {usage: "`N` CPU threads", unset: "OMP_NUM_THREADS, else all cores"},

	"cuda-graphs":     {usage: "replay whole steps on a GPU as CUDA graphs, one for every shape of batches that comes again"},
	"tf32":            {usage: "let a GPU multiply float32 matrices in TF32, which is faster and rounds to 11 bits"},
	"process-timeout": {usage: "`N` seconds that the processes of autolora launch or torchrun wait for each other before they end with an error"},

	"gradient-checkpointing": {usage: "keep only the inputs of the model's blocks in memory and compute the rest again where it is needed: about the memory of one block, for 1.4 times the time of a training step and twice that of a search iteration"},

	"pack": {usage: "`WHEN` keep frozen weights in a faster form too, for twice their memory: auto, on or off"},

	"target":       {usage: "`LAYERS` layers that get LoRA, by the end of their names, comma-separated; all-linear is every one"},
	"rank":         {usage: "`R` rank of every layer of method lora"},
	"lora-alpha":   {usage: "`A` lora_alpha: a layer's update is scaled by A/rank"},
	"lora-dropout": {usage: "`P` dropout before the LoRA layers, 0 to 1", unset: "none"},
	"dropout":      {usage: "`P` dropout in the model, 0 to 1", unset: "as its config.json says"},
	"new-head":     {usage: "draw a new head even where the checkpoint has one"},

	"preset": {usage: "`NAME` what the other flags are by default: paper, official or scaled, as listed below"},

	"k":                   {usage: "`K` rank-1 parts of every layer: the highest rank that the search can give"},
	"alpha-form":          {usage: "`FORM` form of the selection variables: softmax, none or sigmoid"},
	"alpha-scale":         {usage: "`S` selection variables are S times softmax; 0 is k, with which the search starts as plain LoRA"},
	"alpha-init":          {usage: "`A` free variables at the start, 0 or more", unset: "1/k with --alpha-form none, else 0"},
	"rank-rule":           {usage: "`RULE` what gives a layer's rank: alpha (selection variables at or above the threshold of their form) or raw (free variables at or above their mean, as in the published GLUE search)"},
	"hypergradient":       {usage: "`MODE` second-order part: exact, fd (finite difference) or first-order (none)"},
	"look-ahead":          {usage: "`STEP` step from W to W': sgd or adam"},
	"eta":                 {usage: "`ETA` size of the look-ahead step", unset: "as --search-lr"},
	"implicit-factor":     {usage: "`C` factor of the second-order part", unset: "--eta, and the preconditioner of --look-ahead adam"},
	"implicit-at":         {usage: "`POINT` where the second-order part is taken: weights (W, by the chain rule) or look-ahead (W')"},
	"fd-masks":            {usage: "`MASKS` dropout of the two losses of --hypergradient fd: shared, or independent as in the published code, which makes it noise"},
	"update-order":        {usage: "`ORDER` weights-first: both move by gradients at the old selection variables; alpha-first: the weights by one at the new"},
	"unroll":              {usage: "`N` update the selection variables every N steps"},
	"search-epochs":       {usage: "`N` length of the search in epochs over its part of the data"},
	"search-steps":        {usage: "`N` length of the search in steps, in place of epochs", unset: "by --search-epochs"},
	"search-batch-size":   {usage: "`N` examples a batch in the search", unset: "as --batch-size"},
	"search-lr":           {usage: "`LR` learning rate of the weights in the search"},
	"search-weight-decay": {usage: "`WD` weight decay of the weights in the search", unset: "as --weight-decay"},
	"search-lora-dropout": {usage: "`P` dropout before the LoRA layers in the search, 0 to 1", unset: "as --lora-dropout"},
	"alpha-lr":            {usage: "`LR` learning rate of the selection variables"},
	"alpha-beta1":         {usage: "`B` beta1 of the selection variables' AdamW"},
	"alpha-weight-decay":  {usage: "`WD` weight decay of the selection variables", unset: "none"},
	"split":               {usage: "`SHARE` share of the training data on which the search trains weights; the rest moves the selection variables"},

	"method":       {usage: "`METHOD` " + strings.Join(job.Methods(), ", ")},
	"ranks":        {usage: "`FILE` ranks.json: autolora trains at its ranks, lora-uniform and autolora-shuffled at ranks made of them"},
	"epochs":       {usage: "`N` length of the training in epochs"},
	"steps":        {usage: "`N` length of the training in optimiser steps, in place of epochs", unset: "by --epochs"},
	"batch-size":   {usage: "`N` examples a batch"},
	"accumulate":   {usage: "`N` batches a step of the training, their gradients averaged"},
	"lr":           {usage: "`LR` highest learning rate of the training"},
	"warmup":       {usage: "`SHARE` share of the steps in which the learning rate rises; after them it falls to 0"},
	"weight-decay": {usage: "`WD` weight decay of the weights"},
	"clip":         {usage: "`NORM` largest norm of the gradient, clipped if above", unset: "no clipping"},
	"log-every":    {usage: "`N` a line in metrics.jsonl every N steps"},

	"adapter-style": {usage: "`STYLE` bottleneck adapters of method adapter: houlsby (two a block) or pfeiffer (one)"},
	"adapter-size":  {usage: "`N` width of the bottleneck", unset: "hidden size / 32 of houlsby, / 16 of pfeiffer"},

	"adalora-init-rank":   {usage: "`R` rank of every layer at the start"},
	"adalora-target-rank": {usage: "`R` mean rank at the end"},
	"adalora-t-init":      {usage: "`SHARE` share of the steps before ranks begin to fall"},
	"adalora-t-final":     {usage: "`SHARE` share of the steps at the end, with the ranks fixed"},
	"adalora-delta-t":     {usage: "`N` steps from one allocation of ranks to the next"},
	"adalora-beta1":       {usage: "`B` smoothing of the importance of weights"},
	"adalora-beta2":       {usage: "`B` smoothing of its uncertainty"},
	"adalora-orth":        {usage: "`W` weight of the orthogonality term, which is not part of the loss that is shown"},

	"grid-ranks": {usage: "`R,…` ranks that method lora-grid tries for every --target, in all combinations"},
	"grid-steps": {usage: "`N` length of the training of each configuration in steps", unset: "as the training, on its half of the data"},

	"beams":           {usage: "`N` texts that a beam search goes on with; 1 is greedy search"},
	"beam-rules":      {usage: "`WHOSE` beam search: lora (gpt2_beam.py of LoRA) or transformers (generate)"},
	"length-penalty":  {usage: "`P` texts compete by their log probability over length^P"},
	"no-repeat-ngram": {usage: "`N` no N words in a row twice in a text; 0 is no such rule"},
	"early-stopping":  {usage: "`WHEN` transformers' beam search ends: true (with as many texts as beams), false (when none is likely to be better) or never (when none can be)"},
	"max-new-tokens":  {usage: "`N` longest text to generate"},
	"sample":          {usage: "draw tokens by chance, with --beams 1"},
	"temperature":     {usage: "`T` of --sample: lower is closer to the likeliest tokens"},
	"top-k":           {usage: "`K` of --sample: only the K likeliest tokens", unset: "all"},
	"top-p":           {usage: "`P` of --sample: only the likeliest tokens that together have probability P"},
	"label-smoothing": {usage: "`S` share of every label that is spread over all labels in training", unset: "none"},
	"metric":          {usage: "`NAME,…` scores of generated texts", unset: "those of the task"},
	"meteor":          {usage: "`FOLDER` word lists of METEOR, as scripts/fetch_meteor.sh makes them", unset: "the cache"},
	"paraphrases":     {usage: "`FILE` METEOR's paraphrase table (paraphrase-en.gz), without which the score is lower", unset: "none"},

	"methods":  {usage: "`METHOD,…` what to compare: " + strings.Join(job.Methods(), ", ")},
	"seeds":    {usage: "`N` runs of every method, with the seeds --seed, --seed+1, …"},
	"controls": {usage: "compare autolora with lora-uniform and autolora-shuffled too"},
	"with":     {usage: "`METHOD:SETTING=VALUE` a setting of one method, as full:lr=1e-4; may be repeated", whole: true},
}

// Flags that belong together, by their names in settings.
var (
	ownData     = []string{"task", "data", "train", "dev", "kind", "text", "label"}
	machine     = []string{"device", "dtype", "threads", "pack", "cuda-graphs", "tf32"}
	searchFlags = []string{
		"k", "alpha-form", "alpha-scale", "alpha-init", "rank-rule",
		"hypergradient", "look-ahead", "eta", "implicit-factor", "implicit-at", "fd-masks", "update-order", "unroll",
		"search-epochs", "search-steps", "search-batch-size", "search-lr", "search-weight-decay", "search-lora-dropout",
		"alpha-lr", "alpha-beta1", "alpha-weight-decay", "split",
	}
	trainFlags    = []string{"epochs", "steps", "lr", "warmup", "weight-decay", "label-smoothing", "accumulate", "clip"}
	decodeFlags   = []string{"beams", "beam-rules", "length-penalty", "no-repeat-ngram", "early-stopping", "max-new-tokens", "sample", "temperature", "top-k", "top-p"}
	meteorFlags   = []string{"metric", "meteor", "paraphrases"}
	adapterFlags  = []string{"adapter-style", "adapter-size"}
	adaLoRAFlags  = []string{"adalora-init-rank", "adalora-target-rank", "adalora-t-init", "adalora-t-final", "adalora-delta-t", "adalora-beta1", "adalora-beta2", "adalora-orth"}
	gridFlags     = []string{"grid-ranks", "grid-steps"}
	loraFlags     = []string{"target", "lora-alpha", "lora-dropout", "dropout", "new-head"}
	settingFields = fieldsByName()
)

// Texts that several commands share.
const (
	adapterUsage = "`FOLDER` adapter of autolora or of PEFT, or the results folder with it"
	ofAdapter    = "the one that the adapter names"
)

// bind adds the flags of these fields of the command's Config.
func (s *section) bind(names ...string) *section {
	cfg := reflect.ValueOf(&s.cmd.cfg).Elem()
	for _, name := range names {
		about := settings[name]
		switch p := cfg.Field(settingFields[name]).Addr().Interface().(type) {
		case *string:
			s.StringVar(p, name, *p, about.usage)
		case *[]string:
			if about.whole {
				s.StringArrayVar(p, name, *p, about.usage)
			} else {
				s.StringSliceVar(p, name, *p, about.usage)
			}
		case *bool:
			s.BoolVar(p, name, *p, about.usage)
		case *int:
			s.IntVar(p, name, *p, about.usage)
		case *int64:
			s.Int64Var(p, name, *p, about.usage)
		case *[]int64:
			s.Int64SliceVar(p, name, *p, about.usage)
		case *uint64:
			s.Uint64Var(p, name, *p, about.usage)
		case *float64:
			s.Float64Var(p, name, *p, about.usage)
		default:
			panic(fmt.Sprintf("no flag type for %T of --%s", p, name))
		}
		if about.unset != "" {
			s.Lookup(name).DefValue = about.unset
		}
	}
	return s
}

// fieldsByName returns the place of every field of job.Config by its name
// in JSON.
func fieldsByName() map[string]int {
	fields := map[string]int{}
	for i := range reflect.TypeFor[job.Config]().NumField() {
		if name := settingName(i); name != "-" {
			fields[name] = i
		}
	}
	return fields
}

// settingName returns the name in JSON of the i-th field of job.Config.
func settingName(i int) string {
	name, _, _ := strings.Cut(reflect.TypeFor[job.Config]().Field(i).Tag.Get("json"), ",")
	return name
}
