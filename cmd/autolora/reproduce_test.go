package main

import (
	"os"
	"os/exec"
	"path/filepath"
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
		{"glue", nil, "in all 280 runs"}, // 8 tasks, 5 methods and 2 controls, 5 seeds
		{"glue", []string{"--small"}, "in all 105 runs"},
		{"glue", []string{"--model", "roberta-large", "--tasks", "mrpc,qqp,sst2"}, "in all 105 runs"},
		{"bionlp", nil, "in all 35 runs"},
		{"bionlp", []string{"--small"}, "in all 21 runs"},
		{"ablations", []string{"--small"}, "in all 24 runs"},
		{"cost", nil, "in all 9 runs"},
		{"cost", []string{"--small", "--seeds=2"}, "in all 6 runs"},
	} {
		t.Run(strings.Join(append([]string{tc.name}, tc.args...), " "), func(t *testing.T) {
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
		name string
		args []string
		code int
		want string
	}{
		{"unknown flag", []string{"--smal"}, exitUsage, "unknown flag --smal"},
		{"no value", []string{"--seeds"}, exitUsage, "--seeds: a value is missing"},
		{"argument", []string{"mrpc"}, exitUsage, `unexpected argument "mrpc"`},
		{"unknown task", []string{"--tasks", "mrpc,jnlpba"}, exitUsage, `--tasks: got "jnlpba", want some of cola`},
		{"unknown method", []string{"--dry-run", "--methods", "lora,dora"}, exitUsage, `unknown method "dora"`},
		{"not a number", []string{"--dry-run", "--seeds", "few"}, exitUsage, `--seeds: got "few", want a whole number`},
		{"wrong extra flag", []string{"--dry-run", "--", "--stepz", "3"}, exitUsage, "unknown flag --stepz"},
		{"no data, no model", []string{"--model", "nobody/nothing", "--tasks", "mrpc"}, exitFailed, "no data of mrpc"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := run(t, reproduce(t, "glue", tc.args...))
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
	out := filepath.Join(t.TempDir(), "out")
	data, err := filepath.Abs(filepath.Join("..", "..", "testdata", "sst2"))
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"--small", "--model", tinyModel(t), "--data", data, "--tasks", "sst2", "--methods", "lora,autolora", "--seeds", "1", "--out", out,
		"--", "--steps", "2", "--search-steps", "1", "--limit-train", "64", "--max-length", "16", "--threads", "1", "--new-head"}
	for _, want := range []string{"[1/4] lora, seed 1", "[4/4] autolora-shuffled, seed 1: complete"} {
		got := run(t, reproduce(t, "glue", args...))
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
}
