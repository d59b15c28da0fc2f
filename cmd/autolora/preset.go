package main

import (
	"fmt"
	"reflect"
	"strings"

	"autolora/autolora/job"

	"github.com/spf13/pflag"
)

// applyPreset sets what the preset that cfg names sets, but for what was given
// as a flag or in a configuration file.
func applyPreset(cfg *job.Config, flags *pflag.FlagSet) error {
	if flags.Lookup("preset") == nil {
		return nil
	}
	preset, err := job.PresetConfig(cfg.Preset)
	if err != nil {
		return err
	}
	from, to := reflect.ValueOf(preset), reflect.ValueOf(cfg).Elem()
	for _, i := range settingsOf(preset) {
		if f := flags.Lookup(settingName(i)); f == nil || !f.Changed {
			to.Field(i).Set(from.Field(i))
		}
	}
	return nil
}

// settingsOf returns the places of the fields that a preset sets, in the order
// of job.Config.
func settingsOf(preset job.Config) []int {
	defaults := job.DefaultConfig()
	defaults.Preset = preset.Preset
	var changed []int
	of, before := reflect.ValueOf(preset), reflect.ValueOf(defaults)
	for i := range of.NumField() {
		if !reflect.DeepEqual(of.Field(i).Interface(), before.Field(i).Interface()) {
			changed = append(changed, i)
		}
	}
	return changed
}

// presetHelp prints the presets and what each of them sets.
func presetHelp(w *writer) {
	for _, p := range job.Presets {
		preset, _ := job.PresetConfig(p.Name)
		var sets []string
		for _, i := range settingsOf(preset) {
			sets = append(sets, fmt.Sprintf("--%s %v", settingName(i), reflect.ValueOf(preset).Field(i)))
		}
		text := p.About
		if sets != nil {
			text += ": " + strings.Join(sets, ", ")
		}
		w.entry("  "+p.Name, text)
	}
}
