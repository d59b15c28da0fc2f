package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// reproduce returns a command that runs scripts/reproduce_NAME.sh with this
// program as autolora.
func reproduce(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	if _, err := exec.LookPath("bash"); err != nil {
		t.Skip("no bash")
	}
	cmd := program(t)
	cmd.Env = append(cmd.Env, "AUTOLORA="+cmd.Path)
	script := exec.CommandContext(t.Context(), "bash", append([]string{filepath.Join("..", "..", "scripts", "reproduce_"+name+".sh")}, args...)...)
	script.Env = cmd.Env
	return script
}

// With --dry-run every script plans its runs, with neither weights nor data.
func TestReproductionsArePlanned(t *testing.T) {
	for _, tc := range []struct {
		name string
		args []string
		want string // in the last line
	}{
		{"glue", []string{"--tasks", "cola,mnli"}, "in all 80 runs"}, // 2 of 8 tasks, 5 methods and 3 controls, 5 seeds
		{"glue", []string{"--small", "--tasks", "rte"}, "in all 21 runs"},
		{"e2e", nil, "in all 40 runs"},
		{"e2e", []string{"--small"}, "in all 10 runs"}, // LoRA, AutoLoRA and 3 controls, 2 seeds
		{"webnlg", []string{"--small"}, "in all 10 runs"},
		{"bionlp", []string{"--small"}, "in all 24 runs"},
		{"ablations", []string{"--small"}, "in all 24 runs"},
		{"cost", []string{"--small", "--seeds=2"}, "in all 6 runs"},
	} {
		t.Run(strings.Join(append([]string{tc.name}, tc.args...), " "), func(t *testing.T) {
			t.Parallel()
			got := run(t, reproduce(t, tc.name, append(tc.args, "--dry-run")...))
			if got.code != exitDone || got.stderr != "" {
				t.Fatalf("exit code %d: %s", got.code, got.stderr)
			}
			lines := strings.Split(strings.TrimSpace(got.stdout), "\n")
			if last := lines[len(lines)-1]; !strings.HasPrefix(last, tc.want+", about ") || strings.HasSuffix(last, "about 0 h 0 min") {
				t.Errorf("last line %q, want %q and a time", last, tc.want)
			}
		})
	}
}

func TestReproductionErrors(t *testing.T) {
	for _, tc := range []struct {
		name   string
		script string
		args   []string
		code   int
		want   string
	}{
		{"unknown flag", "glue", []string{"--smal"}, exitUsage, "unknown flag --smal"},
		{"no value", "glue", []string{"--seeds"}, exitUsage, "--seeds: a value is missing"},
		{"argument", "glue", []string{"mrpc"}, exitUsage, `unexpected argument "mrpc"`},
		{"unknown task", "glue", []string{"--tasks", "mrpc,jnlpba"}, exitUsage, `--tasks: got "jnlpba", want some of cola`},
		{"unknown method", "glue", []string{"--dry-run", "--methods", "lora,dora"}, exitUsage, `--methods: got "dora", want one of full, adapter`},
		{"not a number", "glue", []string{"--dry-run", "--seeds", "few"}, exitUsage, `--seeds: got "few", want a whole number`},
		{"wrong extra flag", "glue", []string{"--dry-run", "--", "--stepz", "3"}, exitUsage, "unknown flag --stepz"},
		{"no data, no model", "glue", []string{"--model", "nobody/nothing", "--tasks", "mrpc"}, exitFailed, "no data of mrpc"},
		{"no data of E2E", "e2e", []string{"--small"}, exitFailed, "devset.csv and testset_w_refs.csv of github.com/tuetschek/e2e-dataset"},
		{"no data of WebNLG", "webnlg", []string{"--model", "nobody/nothing"}, exitFailed, "examples/NLG/data/webnlg_challenge_2017"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := run(t, reproduce(t, tc.script, tc.args...))
			if got.code != tc.code || !strings.Contains(got.stderr, tc.want) {
				t.Errorf("exit code %d, stderr %q, want %d and %q", got.code, got.stderr, tc.code, tc.want)
			}
			if got.code == exitUsage && strings.Count(got.stderr, "\n") != 1 {
				t.Errorf("stderr %q, want one line", got.stderr)
			}
		})
	}
}

// A reproduction goes all the way to its report, and a second time it finds
// everything made.
func TestReproductionEndToEnd(t *testing.T) {
	sst2, err := filepath.Abs(filepath.Join("..", "..", "testdata", "sst2"))
	if err != nil {
		t.Fatal(err)
	}
	few := []string{"--threads", "1", "--lr", "1e-3", "--steps", "2", "--search-steps", "1", "--limit-train", "64"}
	for _, tc := range []struct {
		name  string
		flags []string
		extra []string // for autolora compare
	}{
		{"glue", []string{"--model", tinyModel(t), "--data", sst2, "--tasks", "sst2", "--methods", "lora,autolora"}, []string{"--max-length", "16", "--new-head"}},
		{"e2e", []string{"--model", tinyDecoder(t), "--data", tinyE2E(t)}, []string{"--max-length", "48", "--max-new-tokens", "8", "--metric", "bleu,rouge_l"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			out := filepath.Join(t.TempDir(), "out")
			args := slices.Concat([]string{"--small", "--seeds", "1", "--out", out}, tc.flags, []string{"--"}, few, tc.extra)
			for _, want := range []string{"[1/5] lora, seed 1", "[5/5] autolora-random, seed 1: complete"} {
				got := run(t, reproduce(t, tc.name, args...))
				if got.code != exitDone {
					t.Fatalf("exit code %d: %s", got.code, got.stderr)
				}
				if !strings.Contains(got.stderr, want) {
					t.Errorf("no %q in %s", want, got.stderr)
				}
				if _, err := os.Stat(filepath.Join(out, "report", "report.html")); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// tinyDecoder makes a folder with a tiny GPT-2 checkpoint and a tokenizer of
// its vocabulary: a token for each letter.
func tinyDecoder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"config.json", "model.safetensors"} {
		data, err := os.ReadFile(filepath.Join("..", "..", "testdata", "nn", "gpt2-tiny", name))
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(dir, name), string(data))
	}
	vocab := map[string]int{"!": 0, "<|endoftext|>": 1, "Ġ": 2} // the end's number is the fixture's; Ġ is a space
	for _, letter := range "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ|:." {
		vocab[string(letter)] = len(vocab)
	}
	text, err := json.Marshal(vocab)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, "vocab.json"), string(text))
	writeFile(t, filepath.Join(dir, "merges.txt"), "#version: 0.2\n")
	return dir
}

// tinyE2E makes a folder with E2E's official files, of a few lines.
func tinyE2E(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"trainset.csv", "devset.csv", "testset_w_refs.csv"} {
		writeFile(t, filepath.Join(dir, name), `mr,ref
"name[Ann], food[French]",Ann has French food.
"name[Bob], food[Thai]",Bob has Thai food.
"name[Bob], food[Thai]",At Bob the food is Thai.
"name[Cy], food[Greek]",Cy has Greek food.
`)
	}
	return dir
}
