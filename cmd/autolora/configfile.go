package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"autolora/autolora/runs"
	"autolora/autolora/settings"
	"autolora/foreign"
	"autolora/plainjson"
)

// aboutKey is the entry of a run's config.json that is no setting.
const aboutKey = "about"

// applyConfigFile puts the settings of --config into the command's Config: those
// that it has flags for, and that were not given as flags. Whatever is no setting
// at all is an error. Settings that come from the file count as given: a preset
// leaves them alone. Of a run that goes on, the file is the one in its folder.
// What is of one call alone is never taken from a file: who uses the settings of
// a run that replaced another has not said that this one should.
func (cmd *command) applyConfigFile(c *console) error {
	path, given := cmd.configFile, cmd.configFile != ""
	if earlier := filepath.Join(runs.Where(cmd.cfg.Out), runs.ConfigFile); path == "" && cmd.cfg.Resume && exists(earlier) {
		path = earlier
	}
	if path == "" {
		return nil
	}
	text, err := foreign.ReadNamed(path, runs.MaxFile)
	if err != nil {
		return fmt.Errorf("--config: %w", err)
	}
	var entries map[string]json.RawMessage
	if err := plainjson.Unmarshal(text, &entries); err != nil {
		return fmt.Errorf("--config %s: %w", path, jsonError(text, err))
	}
	delete(entries, aboutKey)
	var ignored []string
	flags, cfg := cmd.Flags(), &cmd.cfg
	for _, name := range slices.Sorted(maps.Keys(entries)) {
		setting, ok := cfg.Find(name)
		if !ok {
			return usagef("--config %s: unknown setting %q%s", path, name, suggestion(name, settingNames()))
		}
		value, into := string(entries[name]), cfg
		f := flags.Lookup(setting.Name)
		if f == nil || f.Changed || setting.OneCall {
			into = new(settings.Config) // the value need only make sense
		}
		if err := into.Set(name, value); err != nil {
			return fmt.Errorf("--config %s: %w", path, err)
		}
		if name == "preset" && f != nil && f.Changed && value != strconv.Quote(cfg.Preset) {
			return usagef("--preset %s: --config %s is of preset %s, and what it sets goes first: leave one of the two out", cfg.Preset, path, value)
		}
		if into == cfg {
			defer func() { f.Changed = true }()
		} else if alone, _ := into.Find(name); setting.OneCall && given && f != nil && !f.Changed && !alone.IsDefault() {
			ignored = append(ignored, name)
		}
	}
	if ignored != nil {
		c.note("--config %s: %s: not taken from a file, only from flags", path, strings.Join(ignored, ", "))
	}
	return nil
}

func settingNames() (names []string) {
	for _, s := range new(settings.Config).Settings() {
		names = append(names, s.Name)
	}
	return names
}

// exists reports whether there is a file or folder.
func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// jsonError adds the line to an error about the syntax of text.
func jsonError(text []byte, err error) error {
	syntax, ok := errors.AsType[*json.SyntaxError](err)
	if !ok {
		return errors.New("not a JSON object")
	}
	line := 1 + bytes.Count(text[:min(syntax.Offset, int64(len(text)))], []byte("\n"))
	return fmt.Errorf("line %d: not JSON: %w", line, err)
}
