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

	"autolora/autolora/job"
	"autolora/autolora/runs"

	"github.com/spf13/pflag"
)

// aboutKey is the entry of a run's config.json that is no setting.
const aboutKey = "about"

// applyConfigFile puts the settings of a JSON file into cfg: those that the
// command has flags for, and that were not given as flags. Whatever is no
// setting at all is an error. Settings that come from the file count as given:
// a preset leaves them alone.
func applyConfigFile(cfg *job.Config, path string, flags *pflag.FlagSet) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("--config: %w", err)
	}
	var entries map[string]json.RawMessage
	if err := json.Unmarshal(text, &entries); err != nil {
		return fmt.Errorf("--config %s: %w", path, jsonError(text, err))
	}
	delete(entries, aboutKey)
	for _, name := range slices.Sorted(maps.Keys(entries)) {
		if _, ok := settingFields[name]; !ok {
			known := slices.Sorted(maps.Keys(settingFields))
			return fmt.Errorf("--config %s: unknown setting %q%s", path, name, suggestion(name, known))
		}
		if err := new(job.Config).Set(name, entries[name]); err != nil {
			return fmt.Errorf("--config %s: %w", path, err)
		}
		f := flags.Lookup(name)
		if name == "preset" && f != nil && f.Changed && string(entries[name]) != strconv.Quote(cfg.Preset) {
			return fmt.Errorf("--preset %s: --config %s is of preset %s, and what it sets goes first: leave one of the two out", cfg.Preset, path, entries[name])
		}
		if f == nil || f.Changed {
			delete(entries, name)
		}
	}
	for name, value := range entries {
		if err := cfg.Set(name, value); err != nil {
			return fmt.Errorf("--config %s: %w", path, err)
		}
		flags.Lookup(name).Changed = true
	}
	return nil
}

// earlierSettings returns the config.json of an earlier run in the folder dir, "" if
// there is none: a run that goes on needs no other flag than --out.
func earlierSettings(dir string) string {
	path := filepath.Join(dir, runs.ConfigFile)
	if _, err := os.Stat(path); err != nil {
		return ""
	}
	return path
}

// jsonError adds the line to an error about the syntax of text.
func jsonError(text []byte, err error) error {
	var syntax *json.SyntaxError
	if !errors.As(err, &syntax) {
		return errors.New("not a JSON object")
	}
	line := 1 + bytes.Count(text[:min(syntax.Offset, int64(len(text)))], []byte("\n"))
	return fmt.Errorf("line %d: not JSON: %w", line, err)
}
