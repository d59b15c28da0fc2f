package main

import (
	"context"
	"encoding/json"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"autolora/autolora"

	"github.com/spf13/pflag"
)

// TestEverySettingIsAFlag checks that Config, the descriptions and the commands
// know the same settings.
func TestEverySettingIsAFlag(t *testing.T) {
	bound := map[string]bool{}
	for _, cmd := range commands() {
		cmd.flags().VisitAll(func(f *pflag.Flag) { bound[f.Name] = true })
	}
	for name := range settingFields {
		if settings[name].usage == "" {
			t.Errorf("setting %q has no description", name)
		}
		if !bound[name] {
			t.Errorf("no command has a flag --%s", name)
		}
	}
	for name := range settings {
		if _, ok := settingFields[name]; !ok {
			t.Errorf("%q is described but is no setting", name)
		}
	}
}

// configOf parses args of the run command, without running it.
func configOf(t *testing.T, args ...string) (autolora.Config, error) {
	t.Helper()
	cmd := runCommand()
	cmd.run = func(context.Context, *console, string) error { return nil }
	err := cmd.execute(t.Context(), &console{out: new(strings.Builder), width: 80}, args)
	return cmd.cfg, err
}

func TestPrecedence(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config.json")
	writeFile(t, file, `{"lr": 0.5, "batch-size": 4, "target": ["key"], "rank": 9, "about": {"version": "1"}}`)
	for _, tc := range []struct {
		name   string
		args   []string
		change func(c *autolora.Config)
	}{
		{"defaults", nil, func(*autolora.Config) {}},
		{"flags", []string{"--lr", "0.25", "--target", "query,key", "--overwrite"}, func(c *autolora.Config) {
			c.LR, c.Targets, c.Overwrite = 0.25, []string{"query", "key"}, true
		}},
		{"file", []string{"--config", file}, func(c *autolora.Config) {
			c.LR, c.BatchSize, c.Targets = 0.5, 4, []string{"key"} // and no rank: run has no such flag
		}},
		{"flags before the file", []string{"--lr", "0.25", "--config", file, "--target", "value"}, func(c *autolora.Config) {
			c.LR, c.BatchSize, c.Targets = 0.25, 4, []string{"value"}
		}},
		{"a flag that repeats the default still goes before the file", []string{"--config", file, "--lr", "1e-4"}, func(c *autolora.Config) {
			c.BatchSize, c.Targets = 4, []string{"key"}
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := configOf(t, tc.args...)
			if err != nil {
				t.Fatal(err)
			}
			want := autolora.DefaultConfig()
			tc.change(&want)
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
		})
	}
}

// TestConfigFeedsBack checks that what a run writes as config.json gives the
// same settings again.
func TestConfigFeedsBack(t *testing.T) {
	want, err := configOf(t, "--model", "m", "--out", "o", "--seed", "7", "--text", "a,b", "--eta", "0.5", "--k", "3", "--dropout", "0")
	if err != nil {
		t.Fatal(err)
	}
	written, err := json.Marshal(struct {
		autolora.Config
		About map[string]string `json:"about"`
	}{want, map[string]string{"libtorch": "2.11.0"}})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "config.json")
	writeFile(t, file, string(written))
	got, err := configOf(t, "--config", file)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestConfigFileErrors(t *testing.T) {
	for _, tc := range []struct{ name, text, want string }{
		{"unknown name", `{"learning-rate": 1}`, `unknown setting "learning-rate"`},
		{"misspelt name", `{"serch-lr": 1}`, `unknown setting "serch-lr", did you mean search-lr?`},
		{"wrong type", `{"lr": "high"}`, `"lr": got "high", want a value of type float64`},
		{"wrong type of a setting that run does not use", `{"rank": "high"}`, `"rank": got "high", want a value of type int64`},
		{"fraction for a count", `{"k": 1.5}`, `"k": got 1.5`},
		{"bad value", `{"k": 0}`, "--k: got 0, want at least 1"},
		{"not JSON", "{\n\"lr\": 1,\n}", "line 3: not JSON"},
		{"a list", `[1]`, "not a JSON object"},
		{"empty", ``, "not JSON"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "config.json")
			writeFile(t, file, tc.text)
			_, err := configOf(t, "--config", file)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want an error with %q", err, tc.want)
			}
		})
	}
}

// TestHelp checks that every flag of every command is described, in lines that
// fit.
func TestHelp(t *testing.T) {
	for _, cmd := range commands() {
		t.Run(cmd.name, func(t *testing.T) {
			help := text(80, false, cmd.help)
			for line := range strings.Lines(help) {
				if len(line) > 100 && !strings.Contains(line, "autolora "+cmd.name) {
					t.Errorf("a line of %d letters: %s", len(line), line)
				}
			}
			cmd.flags().VisitAll(func(f *pflag.Flag) {
				placeholder, usage := splitUsage(f)
				if usage == "" || (placeholder == "") != (f.Value.Type() == "bool") || !strings.Contains(help, "\n  --"+f.Name) {
					t.Errorf("no help for --%s", f.Name)
				}
			})
			// Examples name only flags that there are.
			for _, example := range cmd.examples {
				_, call, _ := strings.Cut(example, "autolora "+cmd.name)
				known := cmd
				for _, word := range strings.Fields(call) {
					if inner, _, err := find(commands(), []string{word}); err == nil && cmd.wraps {
						known = inner // what follows belongs to the command that is wrapped
					}
					if name, ok := strings.CutPrefix(word, "--"); ok && name != "" && known.flags().Lookup(name) == nil {
						t.Errorf("example with unknown flag %s: %s", word, example)
					}
				}
			}
		})
	}
	all := text(80, false, func(w *writer) { overview(w, commands()) })
	for _, cmd := range commands() {
		if !strings.Contains(all, "\n  "+cmd.name+" ") {
			t.Errorf("the overview lacks %q", cmd.name)
		}
	}
}

func TestBatchIsBatchSize(t *testing.T) {
	cmd := benchCommand()
	cmd.run = func(context.Context, *console, string) error { return nil }
	if err := cmd.execute(t.Context(), &console{out: new(strings.Builder)}, []string{"--batch", "4"}); err != nil {
		t.Fatal(err)
	}
	if cmd.cfg.BatchSize != 4 {
		t.Errorf("batch size %d, want 4", cmd.cfg.BatchSize)
	}
}

func TestSuggestion(t *testing.T) {
	names := slices.Sorted(slices.Values([]string{"search", "train", "eval", "export"}))
	for _, tc := range []struct{ name, given, want string }{
		{"one letter less", "serch", ", did you mean search?"},
		{"two letters swapped", "tarin", ", did you mean train?"},
		{"nothing like it", "visualise", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := suggestion(tc.given, names); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}
