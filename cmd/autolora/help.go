package main

import (
	"strings"

	"github.com/spf13/pflag"
)

const introduction = `autolora finds the rank of every LoRA layer by meta learning, trains the model
at these ranks, and writes an adapter that PEFT loads.

Usage: autolora COMMAND [flags]
`

const firstExamples = `
Examples:
  # ranks, training, scores and adapter for a GLUE task
  autolora run --model roberta-base --task sst2 --data glue/SST-2 --out out/sst2

  # the same on your own table
  autolora run --model roberta-base --train train.csv --dev dev.csv \
      --kind classification --text title,body --label topic --out out/topics

  # labels for new texts: a JSON object with "text" on every line
  autolora predict --model roberta-base --adapter out/sst2/adapter \
      --input new.jsonl --output labels.jsonl

"autolora COMMAND --help" lists a command's flags with units and defaults.
Exit codes: 0 done, 1 failed, 2 wrong usage. Results go to stdout, progress to stderr.
`

// overview prints what "autolora --help" prints.
func overview(w *writer, all []*command) {
	w.WriteString(introduction)
	w.WriteString("\nCommands:\n")
	for _, cmd := range all {
		w.printf("  %-12s %s\n", cmd.name, cmd.short)
	}
	w.printf("  %-12s %s\n", "version", "the version alone")
	w.WriteString(firstExamples)
}

// help prints what "autolora COMMAND --help" prints.
func (cmd *command) help(w *writer) {
	usage := "autolora " + cmd.name
	if cmd.operand != "" {
		usage += " " + cmd.operand
	}
	w.printf("%s\n\nUsage: %s [flags]\n", strings.TrimSpace(cmd.long), usage)
	for _, s := range cmd.sections {
		w.printf("\n%s:\n", s.title)
		s.VisitAll(func(f *pflag.Flag) { flagHelp(w, f) })
	}
	if cmd.flags().Lookup("preset") != nil {
		w.WriteString("\nPresets:\n")
		presetHelp(w)
	}
	if len(cmd.examples) > 0 {
		w.WriteString("\nExamples:\n")
	}
	for _, example := range cmd.examples {
		w.printf("  %s\n", example)
	}
}

// helpColumn is where the descriptions of flags begin.
const helpColumn = 28

// flagHelp prints one flag: its name and placeholder, what it does, its default.
func flagHelp(w *writer, f *pflag.Flag) {
	placeholder, usage := splitUsage(f)
	left := "  --" + f.Name
	if placeholder != "" {
		left += " " + placeholder
	}
	if text := strings.Trim(f.DefValue, "[]"); text != "" && text != "false" {
		usage += " (default " + text + ")"
	}
	w.entry(left, usage)
}

// entry prints text in the column of descriptions, beside or below left.
func (w *writer) entry(left, usage string) {
	lines := wrap(usage, max(30, min(w.width, 100)-helpColumn))
	if len(left) > helpColumn-2 {
		w.printf("%s\n%*s%s\n", left, helpColumn, "", lines[0])
	} else {
		w.printf("%-*s%s\n", helpColumn, left, lines[0])
	}
	for _, line := range lines[1:] {
		w.printf("%*s%s\n", helpColumn, "", line)
	}
}

// splitUsage splits a flag's "`PLACEHOLDER` usage".
func splitUsage(f *pflag.Flag) (placeholder, usage string) {
	if rest, ok := strings.CutPrefix(f.Usage, "`"); ok {
		placeholder, usage, _ = strings.Cut(rest, "` ")
		return placeholder, usage
	}
	return "", f.Usage
}
