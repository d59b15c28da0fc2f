package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"autolora/autolora/settings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Every setting is a flag of some command.
func TestEverySettingIsAFlag(t *testing.T) {
	bound := map[string]bool{}
	for _, cmd := range newTree(silent()).commands {
		cmd.Flags().VisitAll(func(f *pflag.Flag) { bound[f.Name] = true })
	}
	for _, name := range settingNames() {
		if !bound[name] {
			t.Errorf("no command has a flag --%s", name)
		}
	}
}

// silent returns a console that nobody sees.
func silent() *console { return &console{out: io.Discard, err: io.Discard, width: 80} }

// configOf parses args of the run command, without running it.
func configOf(t *testing.T, args ...string) (settings.Config, error) {
	return settingsOfCommand(t, "run", args...)
}

// settingsOfCommand parses args of a command, without running it.
func settingsOfCommand(t *testing.T, name string, args ...string) (settings.Config, error) {
	t.Helper()
	tree := newTree(silent())
	found, _, err := tree.root.Find([]string{name})
	if err != nil {
		t.Fatal(err)
	}
	cmd := tree.commands[found]
	cmd.run = func(context.Context, *console, []string) error { return nil }
	err = tree.do(t.Context(), append([]string{name}, args...))
	return cmd.cfg, err
}

// helpOf returns what --help of a command prints.
func helpOf(tree *tree, cmd *cobra.Command, width int) string {
	return text(width, false, func(w *writer) { help(w, cmd, tree.commands[cmd]) })
}

func TestParametersHaveUnits(t *testing.T) {
	for _, tc := range []struct {
		given string
		want  settings.Amount
		err   string
	}{{"50k", 50_000, ""}, {"1.5M", 1_500_000, ""}, {"lots", 0, `--parameters: got "lots", want a whole number, as 50000, 50k or 1.5M`}} {
		cfg, err := configOf(t, "--parameters", tc.given)
		if cfg.Parameters != tc.want || (err == nil) != (tc.err == "") || err != nil && !strings.Contains(err.Error(), tc.err) {
			t.Errorf("%s: %d, %v", tc.given, cfg.Parameters, err)
		}
	}
}

// What is given as a flag goes first, then a file, then a preset.
func TestPrecedence(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config.json")
	writeFile(t, file, `{"lr": 0.5, "batch-size": 4, "target": ["key"], "rank": 9, "about": {"version": "1"}}`)
	for _, tc := range []struct {
		name   string
		args   []string
		change func(c *settings.Config)
	}{
		{"defaults", nil, func(*settings.Config) {}},
		{"flags", []string{"--lr", "0.25", "--target", "query,key", "--overwrite"}, func(c *settings.Config) {
			c.LR, c.Targets, c.Overwrite = 0.25, []string{"query", "key"}, true
		}},
		{"file", []string{"--config", file}, func(c *settings.Config) {
			c.LR, c.BatchSize, c.Targets = 0.5, 4, []string{"key"} // and no rank: run has no such flag
		}},
		{"flags before the file", []string{"--lr", "0.25", "--config", file, "--target", "value"}, func(c *settings.Config) {
			c.LR, c.BatchSize, c.Targets = 0.25, 4, []string{"value"}
		}},
		{"a flag that repeats the default still goes before the file", []string{"--config", file, "--batch-size", "16"}, func(c *settings.Config) {
			c.LR, c.Targets = 0.5, []string{"key"}
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := configOf(t, tc.args...)
			if err != nil {
				t.Fatal(err)
			}
			want := settings.Default()
			tc.change(&want)
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
		})
	}
}

// TestConfigFeedsBack checks that what a run writes as config.json gives the
// same settings again, but for what is of one call alone.
func TestConfigFeedsBack(t *testing.T) {
	want, err := configOf(t, "--model", "m", "--out", "o", "--seed", "7", "--text", "a,b", "--eta", "0.5", "--k", "3", "--dropout", "0")
	if err != nil {
		t.Fatal(err)
	}
	written, err := json.Marshal(struct {
		settings.Config
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
	want.Out = ""
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// What is of one call alone is not taken from a file, whatever command wrote it or
// reads it, and that is said; a flag goes its way.
func TestConfigOfOneCall(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config.json")
	writeFile(t, file, `{"out": "theirs", "overwrite": true, "resume": true}`)
	for _, name := range []string{"run", "search", "train", "compare"} {
		for _, tc := range []struct {
			args []string
			out  string
			over bool
			said string
		}{
			{nil, "", false, "out, overwrite, resume: not taken"},
			{[]string{"--out", "mine"}, "mine", false, ": overwrite, resume: not taken"},
			{[]string{"--out", "mine", "--overwrite"}, "mine", true, ": resume: not taken"},
		} {
			if name == "compare" && tc.over {
				continue
			}
			if name == "compare" { // which has neither of the others
				tc.said = map[bool]string{true: ": out: not taken"}[tc.args == nil]
			}
			said := &bytes.Buffer{}
			tree := newTree(&console{out: io.Discard, err: said, width: 80})
			found, _, err := tree.root.Find([]string{name})
			if err != nil {
				t.Fatal(err)
			}
			cmd := tree.commands[found]
			cmd.run = func(context.Context, *console, []string) error { return nil }
			err = tree.do(t.Context(), append([]string{name, "--config", file}, tc.args...))
			cfg := cmd.cfg
			if err != nil || cfg.Out != tc.out || cfg.Overwrite != tc.over || cfg.Resume {
				t.Errorf("%s %v: out %q, overwrite %v, resume %v, %v", name, tc.args, cfg.Out, cfg.Overwrite, cfg.Resume, err)
			}
			if !strings.Contains(said.String(), tc.said) || tc.said == "" && said.Len() > 0 {
				t.Errorf("%s %v says %q, want %q", name, tc.args, said, tc.said)
			}
		}
	}
}

// A setting that had another name is still read by it, as a flag and from a file.
func TestEarlierNames(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config.json")
	writeFile(t, file, `{"rank-rule": "raw"}`)
	for _, args := range [][]string{{"--rank-rule", "raw"}, {"--rule", "raw"}, {"--config", file}} {
		if cfg, err := configOf(t, args...); err != nil || cfg.Rule != "raw" {
			t.Errorf("%v: rule %q, %v", args, cfg.Rule, err)
		}
	}
	if cfg, err := configOf(t, "--config", file, "--rule", "gora"); err != nil || cfg.Rule != "gora" {
		t.Errorf("the flag does not go first: rule %q, %v", cfg.Rule, err)
	}
}

func TestConfigFileErrors(t *testing.T) {
	for _, tc := range []struct{ name, text, want string }{
		{"unknown name", `{"learning-rate": 1}`, `unknown setting "learning-rate"`},
		{"misspelt name", `{"serch-lr": 1}`, `unknown setting "serch-lr", did you mean search-lr?`},
		{"wrong type", `{"lr": "high"}`, `lr: got "high", want a number`},
		{"wrong type of a setting that run does not use", `{"rank": "high"}`, `rank: got "high", want a whole number`},
		{"fraction for a count", `{"k": 1.5}`, `k: got 1.5, want a whole number`},
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
	tree := newTree(silent())
	for _, cmd := range tree.commands {
		t.Run(name(cmd.Command), func(t *testing.T) {
			help := helpOf(tree, cmd.Command, 80)
			for line := range strings.Lines(help) {
				if utf8.RuneCountInString(line) > 81 && !strings.Contains(line, cmd.CommandPath()) {
					t.Errorf("a line of %d letters: %s", len(line), line)
				}
			}
			cmd.Flags().VisitAll(func(f *pflag.Flag) {
				if f.Usage == "" || (placeholder(f) == "") != (f.Value.Type() == "bool") || !strings.Contains(help, "\n  --"+f.Name) {
					t.Errorf("no help for --%s", f.Name)
				}
			})
			// Examples name only commands and flags that there are.
			for example := range strings.Lines(cmd.Example) {
				_, call, _ := strings.Cut(example, "autolora ")
				if err := parse(tree, strings.Fields(call)); err != nil {
					t.Errorf("%s: %v", example, err)
				}
			}
		})
	}
	all := helpOf(tree, tree.root, 80)
	for line := range strings.Lines(all) {
		if utf8.RuneCountInString(line) > 81 {
			t.Errorf("a line of the overview has %d letters: %s", len(line), line)
		}
	}
	for _, cmd := range tree.root.Commands() {
		if !strings.Contains(all, "\n  "+cmd.Name()+" ") {
			t.Errorf("the overview lacks %q", cmd.Name())
		}
	}
}

func TestBatchIsBatchSize(t *testing.T) {
	if cfg, err := settingsOfCommand(t, "bench", "--batch", "4"); err != nil || cfg.BatchSize != 4 {
		t.Errorf("batch size %d, want 4; error %v", cfg.BatchSize, err)
	}
}

// What other programs call a flag is answered with the flag of this command.
func TestHabits(t *testing.T) {
	for _, tc := range []struct{ command, flags, want string }{
		{"run", "learning-rate learning_rate LEARNING_RATE", "--lr"}, {"search", "learning-rate lr", "--search-lr"},
		{"run", "output-dir output_dir", "--out"}, {"predict", "output-dir output-file", "--output"},
		{"run", "rank r lora-r lora_r lora-rank", "--k"}, {"train", "lora-r lora_rank", "--rank"},
		{"train", "num-train-epochs num_epochs", "--epochs"}, {"train", "max-steps max_train_steps", "--steps"},
		{"run", "per-device-train-batch-size per_device_train_batch_size train_batch_size micro_batch_size", "--batch-size"},
		{"train", "target-modules target_modules lora_target", "--target"}, {"train", "alpha", "--lora-alpha"},
		{"run", "train-file train_file", "--train"}, {"run", "validation-file validation_file val_file test-file", "--dev"},
		{"run", "model-name-or-path model_name_or_path base_model", "--model"}, {"eval", "adapter-name-or-path peft_model", "--adapter"},
		{"run", "max-seq-length max_seq_length cutoff_len sequence_len", "--max-length"}, {"run", "gradient_accumulation_steps", "--accumulate"},
		{"train", "max_grad_norm", "--clip"}, {"train", "warmup_ratio warmup-steps", "--warmup"}, {"train", "bf16 fp16 torch_dtype", "--dtype"},
		{"run", "overwrite_output_dir", "--overwrite"}, {"run", "resume_from_checkpoint", "--resume"}, {"run", "logging_steps", "--log-every"},
		{"run", "save_steps", "--save-every"}, {"run", "report_to", "--tensorboard"}, {"run", "dataset dataset_name data_dir", "--data"},
		{"predict", "num_beams", "--beams"}, {"predict", "texts prompt test_file", "--input"}, {"predict", "max_tokens", "--max-new-tokens"},
		{"score", "predictions preds", "--hypotheses"}, {"launch", "nproc_per_node num_processes", "--processes"}, {"export", "output_dir", "--out"},
	} {
		for _, flag := range strings.Fields(tc.flags) {
			_, err := settingsOfCommand(t, tc.command, "--"+flag, "1")
			if err == nil || exitCode(err) != exitUsage || !strings.HasPrefix(err.Error(), tc.command+": unknown flag --"+flag+", did you mean ") || !strings.Contains(err.Error(), tc.want+" (") {
				t.Errorf("%s --%s: got %v, want a line with %s", tc.command, flag, err, tc.want)
			}
		}
	}
	tree := newTree(silent())
	for flag, names := range habits {
		owners := takers(tree.root, flag)
		if owners == "" {
			t.Errorf("no command has --%s, which the table names", flag)
		}
		for _, name := range strings.Fields(names) {
			if name != spelt(name) {
				t.Errorf("%s: %q is not spelt as a flag", flag, name)
			}
		}
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
