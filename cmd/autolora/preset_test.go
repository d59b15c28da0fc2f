package main

import (
	"encoding/json"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"autolora/autolora/settings"
)

// A preset gives way to flags, wherever they stand, and to a file's settings.
func TestPresetPrecedence(t *testing.T) {
	official, err := settings.FromPreset("official")
	if err != nil {
		t.Fatal(err)
	}
	file := func(text string) string {
		path := filepath.Join(t.TempDir(), "config.json")
		writeFile(t, path, text)
		return path
	}
	for _, tc := range []struct {
		name   string
		args   []string
		change func(c *settings.Config)
	}{
		{"alone", []string{"--preset", "official"}, func(*settings.Config) {}},
		{"flags on both sides", []string{"--split", "0.6", "--preset", "official", "--eta", "0.5"}, func(c *settings.Config) { c.Split, c.Eta = 0.6, 0.5 }},
		{"a flag that repeats the paper's value", []string{"--preset", "official", "--hypergradient", "exact"}, func(c *settings.Config) { c.Hypergradient = "exact" }},
		{"a file beside it", []string{"--preset", "official", "--config", file(`{"split": 0.5, "lr": 0.25}`)}, func(c *settings.Config) { c.Split, c.LR = 0.5, 0.25 }},
		{"a flag before both", []string{"--preset", "official", "--split", "0.6", "--config", file(`{"split": 0.5}`)}, func(c *settings.Config) { c.Split = 0.6 }},
		{"in a file", []string{"--config", file(`{"preset": "official", "split": 0.4}`)}, func(c *settings.Config) { c.Split = 0.4 }},
		{"in a file and as a flag", []string{"--preset", "official", "--config", file(`{"preset": "official"}`)}, func(*settings.Config) {}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := configOf(t, tc.args...)
			if err != nil {
				t.Fatal(err)
			}
			want := official
			tc.change(&want)
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
		})
	}
}

// What a run with a preset writes as config.json gives the same run again.
func TestPresetFeedsBack(t *testing.T) {
	for _, p := range settings.Presets {
		want, err := configOf(t, "--preset", p.Name, "--k", "3", "--search-batch-size", "5")
		if err != nil {
			t.Fatal(err)
		}
		written, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "config.json")
		writeFile(t, file, string(written))
		got, err := configOf(t, "--config", file)
		if err != nil || got.Preset != p.Name || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v\ngot  %+v\nwant %+v", p.Name, err, got, want)
		}
	}
}

func TestPresetErrors(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config.json")
	writeFile(t, file, `{"preset": "paper", "split": 0.5}`)
	for _, tc := range []struct {
		args []string
		want string
	}{
		{[]string{"--preset", "offical"}, `--preset: got "offical", want one of default, paper, official, scaled`},
		{[]string{"--preset", "official", "--config", file}, `is of preset "paper", and what it sets goes first: leave one of the two out`},
		{[]string{"--preset", "scaled", "--alpha-form", "sigmoid"}, "--alpha-scale: only alpha-form softmax is scaled, got form sigmoid"},
	} {
		if _, err := configOf(t, tc.args...); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%v: error %v, want %q", tc.args, err, tc.want)
		}
	}
}

// The help of a command that takes presets lists what each of them sets.
func TestPresetHelp(t *testing.T) {
	tree := newTree(silent())
	for _, cmd := range tree.commands {
		help := strings.Join(strings.Fields(helpOf(tree, cmd.Command, 80)), " ")
		has := cmd.Flags().Lookup("preset") != nil
		for _, want := range []string{"Presets: default ", "--split 0.7, ", "--implicit-factor 1, ", "--search-weight-decay 0, ", "--alpha-scale 0"} {
			if strings.Contains(help, want) != has {
				t.Errorf("%s: help with %q: %v, want %v", name(cmd.Command), want, !has, has)
			}
		}
	}
}
