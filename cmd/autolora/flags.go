package main

import (
	"fmt"
	"strings"

	"autolora/autolora/settings"

	"github.com/spf13/pflag"
)

// Texts that several commands share.
const (
	adapterUsage = "`FOLDER` adapter of autolora or of PEFT, or the results folder with it"
	ofAdapter    = "the one that the adapter names"
)

// settings adds the flags of all settings that the commands read, in sections
// of their groups.
func (cmd *command) settings(readers settings.Readers) {
	for _, s := range cmd.cfg.Settings() {
		if s.Has(readers) {
			bind(cmd.section(s.Group), s)
		}
	}
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
		s.Float64Var(p, name, *p, usage)
	default:
		panic(fmt.Sprintf("no flag type for %T of --%s", p, name))
	}
	if about.Unset != "" {
		s.Lookup(name).DefValue = about.Unset
	}
}

// applyPreset sets what the preset of the command's Config sets, but for what was
// given as a flag or in a configuration file.
func (cmd *command) applyPreset() error {
	if cmd.Flags().Lookup("preset") == nil {
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
