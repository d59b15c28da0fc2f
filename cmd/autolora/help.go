package main

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

const introduction = `autolora finds the rank of every LoRA layer by meta learning, trains the model
at these ranks, and writes an adapter that PEFT loads.

"autolora COMMAND --help" lists a command's flags with units and defaults.
Exit codes: 0 done, 1 failed, 2 wrong usage. Results go to stdout, progress to
stderr.`

const firstExamples = `  # ranks, training, scores and adapter for a GLUE task
  autolora run --model roberta-base --task sst2 --data glue/SST-2 --out out/sst2

  # the same on your own table
  autolora run --model roberta-base --train train.csv --dev dev.csv \
      --kind classification --text title,body --label topic --out out/topics

  # labels for new texts: a JSON object with "text" on every line
  autolora predict --model roberta-base --adapter out/sst2/adapter \
      --input new.jsonl --output labels.jsonl`

// help prints what --help prints: of c, whose flags are in sections if it is one
// of this program's own commands.
func help(w *writer, c *cobra.Command, cmd *command) {
	w.printf("%s\n\nUsage: %s\n", strings.TrimSpace(c.Long), c.UseLine())
	if c.HasAvailableSubCommands() {
		w.printf("\nCommands:\n")
		for _, sub := range c.Commands() {
			if sub.IsAvailableCommand() {
				w.printf("  %-11s %s\n", sub.Name(), sub.Short)
			}
		}
	}
	switch {
	case cmd != nil:
		for _, s := range cmd.sections {
			w.printf("\n%s:\n%s", s.Name(), flagHelp(s, w.width))
		}
	case !c.HasSubCommands() && c.HasAvailableLocalFlags():
		w.printf("\nFlags:\n%s", flagHelp(c.LocalFlags(), w.width))
	}
	if c.Flags().Lookup("preset") != nil {
		w.printf("\nPresets:\n")
		presetHelp(w)
	}
	if c.HasExample() {
		w.printf("\nExamples:\n%s\n", c.Example)
	}
}

// widest is the columns that help takes at most: longer lines are hard to read.
const widest = 120

// shownValue is a flag's value as the help names it: by its placeholder.
type shownValue struct {
	pflag.Value
	placeholder string
}

func (v shownValue) Type() string { return v.placeholder }

// flagHelp describes flags: names and placeholders, what they do, defaults.
func flagHelp(flags *pflag.FlagSet, width int) string {
	all := pflag.NewFlagSet("", pflag.ContinueOnError)
	all.SortFlags = false
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Name == "help" {
			return
		}
		shown := *f
		shown.Value, shown.NoOptDefVal, shown.DefValue = shownValue{f.Value, placeholder(f)}, "", ""
		if text := strings.Trim(f.DefValue, "[]"); text != "" && text != "false" {
			shown.Usage += " (default " + text + ")"
		}
		all.AddFlag(&shown)
	})
	// pflag leaves room for one-letter names, which there are none of.
	const room = "    "
	text := "\n" + all.FlagUsagesWrapped(min(width, widest)+len(room))
	return strings.ReplaceAll(text, "\n"+room, "\n")[1:]
}

// placeholderKey is the annotation of a flag with the placeholder of its value.
const placeholderKey = "placeholder"

func placeholder(f *pflag.Flag) string { return strings.Join(f.Annotations[placeholderKey], "") }

// splitUsage takes the placeholder out of a flag's "`PLACEHOLDER` usage", which
// shells complete with the usage.
func splitUsage(f *pflag.Flag) {
	if rest, ok := strings.CutPrefix(f.Usage, "`"); ok {
		placeholder, usage, _ := strings.Cut(rest, "` ")
		placeholder = strings.ReplaceAll(placeholder, "…", "...") // pflag's columns are of bytes
		f.Usage = usage
		f.Annotations = map[string][]string{placeholderKey: {placeholder}, choicesKey: f.Annotations[choicesKey]}
	}
}
