package main

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"autolora/autolora/settings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Texts that several commands share.
const (
	adapterUsage = "`FOLDER` adapter of autolora or of PEFT, or the results folder with it, or an adapter's name on the hub"
	ofAdapter    = "the one that the adapter names"
)

// settings adds the flags of all settings that the commands read, in sections
// of their groups.
func (cmd *command) settings(readers settings.Readers) {
	names := map[string]string{} // of today, by those of before
	for _, s := range cmd.cfg.Settings() {
		if s.Earlier != "" {
			names[s.Earlier] = s.Name
		}
		if s.Has(readers) {
			bind(cmd.section(s.Group), s)
		}
	}
	cmd.Flags().SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		return pflag.NormalizedName(cmp.Or(names[name], name))
	})
}

// bind adds the flag of a setting to s. Its default is the value that the
// command's Config has now.
func bind(s *pflag.FlagSet, about settings.Setting) {
	name, usage := about.Name, about.Usage
	switch p := about.Value.(type) {
	case *string:
		s.StringVar(p, name, *p, usage)
	case *[]string:
		if about.Whole {
			s.StringArrayVar(p, name, *p, usage)
		} else {
			s.StringSliceVar(p, name, *p, usage)
		}
	case *bool:
		s.BoolVar(p, name, *p, usage)
	case *int:
		s.IntVar(p, name, *p, usage)
	case *int64:
		s.Int64Var(p, name, *p, usage)
	case *[]int64:
		s.Int64SliceVar(p, name, *p, usage)
	case *uint64:
		s.Uint64Var(p, name, *p, usage)
	case *float64:
		if about.Auto {
			s.Var(&numberOrAuto{p}, name, usage)
		} else {
			s.Float64Var(p, name, *p, usage)
		}
	case *[]float64:
		s.Float64SliceVar(p, name, *p, usage)
	case *settings.Amount:
		s.Var(p, name, usage)
	default:
		panic(fmt.Sprintf("no flag type for %T of --%s", p, name))
	}
	f := s.Lookup(name)
	if about.Unset != "" {
		f.DefValue = about.Unset
	}
	f.Annotations = map[string][]string{choicesKey: about.Choices}
}

// choicesKey is the annotation of a flag with the words that it takes.
const choicesKey = "choices"

// choice adds a flag that takes one of some words.
func choice(s *pflag.FlagSet, p *string, name string, words []string, usage string) {
	s.Var(&word{p, words}, name, usage)
	s.SetAnnotation(name, choicesKey, words)
}

// word is the value of a flag that takes one of some words.
type word struct {
	value *string
	words []string
}

func (w *word) String() string {
	if w.value == nil { // pflag asks a zero value for its text
		return ""
	}
	return *w.value
}

func (w *word) Set(text string) error {
	if !slices.Contains(w.words, text) {
		if len(w.words) == 2 {
			return errors.New(strings.Join(w.words, " or "))
		}
		return errors.New("one of " + strings.Join(w.words, ", "))
	}
	*w.value = text
	return nil
}

func (w *word) Type() string { return "string" }

// numberOrAuto is the value of a flag that takes a number, or the word for one that is
// to be found out.
type numberOrAuto struct{ value *float64 }

func (n *numberOrAuto) String() string {
	switch {
	case n.value == nil:
		return ""
	case *n.value == settings.Auto:
		return settings.AutoWord
	}
	return strconv.FormatFloat(*n.value, 'g', -1, 64)
}

func (n *numberOrAuto) Set(text string) (err error) {
	if *n.value = settings.Auto; text != settings.AutoWord {
		*n.value, err = strconv.ParseFloat(text, 64)
	}
	return err
}

func (n *numberOrAuto) Type() string { return "float64" } // whose errors pflag words as of other numbers

// complete says what a shell completes a flag's value to: words, a folder, or a
// file, by the flag's placeholder.
func complete(f *pflag.Flag) cobra.CompletionFunc {
	words, directive := f.Annotations[choicesKey], cobra.ShellCompDirectiveNoFileComp
	switch {
	case strings.HasPrefix(placeholder(f), "FOLDER"):
		directive = cobra.ShellCompDirectiveFilterDirs
	case strings.HasPrefix(placeholder(f), "FILE"):
		directive = cobra.ShellCompDirectiveDefault
	}
	return cobra.FixedCompletions(words, directive)
}

// applyPreset sets what the preset of the command's Config sets, but for what was
// given as a flag or in a configuration file.
func (cmd *command) applyPreset() error {
	if !cmd.has("preset") {
		return nil
	}
	return cmd.cfg.Apply(cmd.cfg.Preset, cmd.Flags().Changed)
}

// presetHelp prints the presets and what each of them sets, laid out as flags are.
func presetHelp(w *writer) {
	all, names := pflag.NewFlagSet("", pflag.ContinueOnError), []string{}
	all.SortFlags = false
	for _, p := range settings.Presets {
		var sets []string
		for _, s := range p.Sets() {
			sets = append(sets, fmt.Sprintf("--%s %v", s.Name, s))
		}
		text := p.About
		if sets != nil {
			text += ": " + strings.Join(sets, ", ")
		}
		all.String(p.Name, "", text)
		names = append(names, "\n  --"+p.Name, "\n  "+p.Name+"  ")
	}
	w.WriteString(strings.NewReplacer(names...).Replace("\n" + flagHelp(all, w.width))[1:])
}
