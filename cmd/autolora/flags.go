package main

import (
	"fmt"
	"reflect"
	"strings"

	"autolora/autolora"
	"autolora/data"
)

// setting describes the flag of one field of autolora.Config.
type setting struct {
	usage string // the placeholder in backquotes, as pflag has it
	unset string // what the default means where its value does not say it
}

// settings describes every field of autolora.Config, by its name in JSON.
var settings = map[string]setting{
	"model":     {usage: "model `FOLDER|NAME`: a folder in Hugging Face form, or a name on the hub, fetched if need be"},
	"out":       {usage: "`FOLDER` for the results; new or empty"},
	"overwrite": {usage: "replace the results of an earlier run in --out"},

	"task":        {usage: "GLUE task `NAME`: " + strings.Join(data.GLUETasks(), ", ")},
	"data":        {usage: "`FOLDER` with the task's data: GLUE's TSV files or the hub's parquet files"},
	"train":       {usage: "your own training `FILE` (.tsv, .csv, .jsonl, .parquet), in place of --task and --data"},
	"dev":         {usage: "your own `FILE` to score on, with the same columns"},
	"kind":        {usage: "what the labels in your own files are, `KIND`: classification or regression"},
	"text":        {usage: "text `COL[,COL]` of your own files; two columns for pairs"},
	"label":       {usage: "label `COL` of your own files"},
	"limit-train": {usage: "train on `N` examples drawn at random", unset: "all"},
	"max-length":  {usage: "cut texts to `N` tokens"},

	"seed":    {usage: "`N` that everything random comes from: split, order, dropout, fresh weights"},
	"device":  {usage: "`DEVICE`: auto, cpu, cuda or cuda:N; auto takes a GPU where there is one"},
	"dtype":   {usage: "`TYPE` of the arithmetic: float32 or bfloat16"},
	"threads": {usage: "CPU threads, `N`", unset: "all cores"},
	"pack":    {usage: "`WHEN` to keep frozen weights packed too (faster on the CPU, twice their memory): auto, on or off"},

	"target":       {usage: "`LAYERS` that get LoRA, comma-separated, by the end of their names; all-linear is every one"},
	"rank":         {usage: "rank `R` of uniform LoRA (--method lora)"},
	"lora-alpha":   {usage: "lora_alpha `A`: a layer's update is scaled by A/rank"},
	"lora-dropout": {usage: "dropout `P` before the LoRA layers, 0 to 1", unset: "none"},
	"dropout":      {usage: "dropout `P` of the model, 0 to 1", unset: "as its config.json says"},
	"new-head":     {usage: "draw a new head even where the checkpoint has one"},

	"k":                  {usage: "`K` rank-1 parts of every layer: the highest rank that the search can give"},
	"alpha-form":         {usage: "`FORM` of the selection variables: softmax, none or sigmoid"},
	"hypergradient":      {usage: "`MODE` of the second-order part: exact, fd (finite difference) or first-order (none)"},
	"look-ahead":         {usage: "look-ahead `STEP` from W to W': sgd or adam"},
	"eta":                {usage: "size `ETA` of the look-ahead step", unset: "as --search-lr"},
	"unroll":             {usage: "update the selection variables every `N` steps"},
	"search-epochs":      {usage: "length of the search, `N` epochs over its half of the data"},
	"search-steps":       {usage: "length of the search in `N` steps, in place of epochs", unset: "by --search-epochs"},
	"search-lr":          {usage: "learning rate `LR` of the weights in the search"},
	"alpha-lr":           {usage: "learning rate `LR` of the selection variables"},
	"alpha-weight-decay": {usage: "weight decay `WD` of the selection variables", unset: "none"},
	"split":              {usage: "`SHARE` of the training data on which the search trains weights; the rest moves the selection variables"},

	"method":       {usage: "`METHOD`: " + strings.Join(autolora.Methods, ", ")},
	"ranks":        {usage: "ranks.json `FILE` with the ranks to train at (--method autolora)"},
	"epochs":       {usage: "length of the training, `N` epochs"},
	"steps":        {usage: "length of the training in `N` optimiser steps, in place of epochs", unset: "by --epochs"},
	"batch-size":   {usage: "`N` examples a batch"},
	"accumulate":   {usage: "`N` batches a step of the training, their gradients averaged"},
	"lr":           {usage: "highest learning rate `LR` of the training"},
	"warmup":       {usage: "`SHARE` of the steps in which the learning rate rises; it falls to 0 after"},
	"weight-decay": {usage: "weight decay `WD` of the weights"},
	"clip":         {usage: "clip the gradient's norm to `NORM`", unset: "no clipping"},
	"log-every":    {usage: "a line of metrics.jsonl every `N` steps"},
}

// Flags that belong together, by their names in settings.
var (
	ownData       = []string{"task", "data", "train", "dev", "kind", "text", "label"}
	machine       = []string{"device", "dtype", "threads", "pack"}
	searchFlags   = []string{"k", "alpha-form", "hypergradient", "look-ahead", "eta", "unroll", "search-epochs", "search-steps", "search-lr", "alpha-lr", "alpha-weight-decay", "split"}
	trainFlags    = []string{"epochs", "steps", "lr", "warmup", "weight-decay", "accumulate", "clip"}
	loraFlags     = []string{"target", "lora-alpha", "lora-dropout", "dropout", "new-head"}
	settingFields = fieldsByName()
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
			s.StringSliceVar(p, name, *p, about.usage)
		case *bool:
			s.BoolVar(p, name, *p, about.usage)
		case *int:
			s.IntVar(p, name, *p, about.usage)
		case *int64:
			s.Int64Var(p, name, *p, about.usage)
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

// fieldsByName returns the place of every field of autolora.Config by its name
// in JSON.
func fieldsByName() map[string]int {
	fields := map[string]int{}
	t := reflect.TypeFor[autolora.Config]()
	for i := range t.NumField() {
		fields[t.Field(i).Tag.Get("json")] = i
	}
	return fields
}
