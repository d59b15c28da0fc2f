package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"autolora/autolora/report"
	"autolora/autolora/runs"
)

// runFolder leaves a finished run in dir.
func runFolder(t *testing.T, dir, method string, seed int, accuracy float64) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, runs.ResultsFile), fmt.Sprintf(
		`{"task": "sst2", "method": %q, "seed": %d, "primary": "accuracy", "scores": {"accuracy": %v}, "parameters": {"adapter": 29952, "head": 770}, "seconds": {"train": 60}}`,
		method, seed, accuracy))
}

func TestReport(t *testing.T) {
	dir := t.TempDir()
	for seed, accuracy := range []float64{0.83, 0.84, 0.85} {
		runFolder(t, filepath.Join(dir, "a", "autolora", fmt.Sprint(seed)), runs.MethodAutoLoRA, seed, accuracy)
		runFolder(t, filepath.Join(dir, "b", "uniform", fmt.Sprint(seed)), runs.MethodUniform, seed, accuracy+0.01*float64(seed-1))
	}
	a, b, out := filepath.Join(dir, "a"), filepath.Join(dir, "b"), filepath.Join(dir, "made", "report")

	got := here(t, "report", a, b, "--out", out)
	if got.code != 0 || got.stderr != "" {
		t.Fatalf("exit code %d, stderr %q", got.code, got.stderr)
	}
	for _, want := range []string{
		"AutoLoRA, spread evenly      29,952      84.0 ± 2.0\n",
		"AutoLoRA is equal to LoRA of the same size, spread evenly (3 seeds, 95 %\ninterval −2.5 to 2.5): not more than the chance of seeds.",
		"AutoLoRA minus the others, paired over seeds\n",
		"page        " + filepath.Join(out, report.PageFile) + "\n",
	} {
		if !strings.Contains(got.stdout, want) {
			t.Errorf("%q is not in\n%s", want, got.stdout)
		}
	}
	for _, name := range []string{report.PageFile, report.MarkdownFile, report.JSONFile, "scores.png", "scores.svg"} {
		if info, err := os.Stat(filepath.Join(out, name)); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}

	got = here(t, "report", a, "--json")
	var r struct {
		Tasks []struct{ Methods []struct{ Method string } }
	}
	if err := json.Unmarshal([]byte(got.stdout), &r); err != nil || len(r.Tasks) != 1 || len(r.Tasks[0].Methods) != 1 {
		t.Errorf("%v: %s%s", err, got.stdout, got.stderr)
	}
	written, err := os.ReadFile(filepath.Join(a, "report", report.JSONFile))
	if err != nil || string(written) != got.stdout {
		t.Errorf("report.json is not what --json prints: %v", err)
	}
}

func TestReportErrors(t *testing.T) {
	empty, half := t.TempDir(), t.TempDir()
	writeFile(t, filepath.Join(half, runs.ResultsFile), `{"task": "ss`)
	for _, tc := range []struct {
		name string
		args []string
		code int
		want string
	}{
		{"no folder", []string{"report"}, exitUsage, "report: DIR… is missing"},
		{"unknown flag", []string{"report", "--outt", "x"}, exitUsage, "did you mean --out?"},
		{"nothing there", []string{"report", empty}, exitFailed, "no finished run in " + empty},
		{"damaged", []string{"report", half}, exitFailed, filepath.Join(half, runs.ResultsFile)},
		{"missing", []string{"report", filepath.Join(empty, "none")}, exitFailed, "no such file or directory"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := here(t, tc.args...)
			line, rest, ok := strings.Cut(got.stderr, "\n")
			if got.code != tc.code || !ok || rest != "" || !strings.Contains(line, tc.want) {
				t.Errorf("exit code %d, want %d; stderr %q, want one line with %q", got.code, tc.code, got.stderr, tc.want)
			}
		})
	}
	if entries, err := os.ReadDir(empty); err != nil || slices.ContainsFunc(entries, func(e os.DirEntry) bool { return e.Name() == "report" }) {
		t.Errorf("a report of nothing was written: %v", err)
	}
}
