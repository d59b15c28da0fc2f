package report

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"autolora/autolora/runs"
)

// writePlan leaves the compare.json of a comparison of LoRA and AutoLoRA with
// its controls and two seeds.
func writePlan(t *testing.T, dir string, changes ...string) {
	t.Helper()
	text := `{"model": "models/roberta-base", "task": "sst2", "lr": 0.1, "seed": 1, "methods": ["autolora", "lora"], "seeds": 2, "controls": true, "out": "elsewhere", "threads": 2}`
	writeFile(t, filepath.Join(dir, runs.CompareFile), strings.NewReplacer(changes...).Replace(text))
}

// What a comparison has yet to make is said in one line, be it begun or not.
func TestUnfinishedComparison(t *testing.T) {
	dir := t.TempDir()
	writePlan(t, dir)
	for _, method := range []string{"lora", "autolora"} {
		scored("sst2", method, 1, 0.8).write(t, filepath.Join(dir, method, "seed-1"))
	}
	writeFile(t, filepath.Join(dir, "autolora", "seed-2", runs.MetricsFile), "")
	rs, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, name := range []string{"lora-uniform/seed-1", "autolora-shuffled/seed-1", "autolora-random/seed-1", "lora/seed-2", "autolora/seed-2", "lora-uniform/seed-2", "autolora-shuffled/seed-2", "autolora-random/seed-2"} {
		want = append(want, filepath.Join(dir, name))
	}
	slices.Sort(want)
	if got := slices.Sorted(slices.Values(rs.Unfinished)); !slices.Equal(got, want) {
		t.Errorf("unfinished %q, want %q", got, want)
	}
	if first := Summarise(rs).Notes[0]; !strings.HasPrefix(first, "Not complete, and not counted: 8 of 10 runs: "+dir) {
		t.Errorf("note %q", first)
	}
}

// The folders of a comparison's shards are one comparison.
func TestShardsAreMerged(t *testing.T) {
	here, there := t.TempDir(), t.TempDir()
	writePlan(t, here)
	writePlan(t, there, "elsewhere", "out", "models/", "/weights/", `"threads": 2`, `"threads": 64`)
	for seed := uint64(1); seed <= 2; seed++ {
		for _, method := range []string{"autolora", "lora-uniform", "autolora-shuffled", "autolora-random"} {
			scored("sst2", method, seed, 0.8).write(t, filepath.Join(here, method, fmt.Sprint("seed-", seed)))
		}
	}
	scored("sst2", "lora", 1, 0.8).write(t, filepath.Join(there, "lora", "seed-1"))
	scored("sst2", "autolora", 1, 0.8).write(t, filepath.Join(there, "autolora", "seed-1")) // a copy
	writeFile(t, filepath.Join(there, "autolora", "seed-2", runs.MetricsFile), "")          // begun here, complete there
	writeFile(t, filepath.Join(there, "lora", "seed-2", runs.MetricsFile), "")
	rs, err := Load(here, there)
	if err != nil {
		t.Fatal(err)
	}
	if len(rs.Runs) != 9 || !slices.Equal(rs.Unfinished, []string{filepath.Join(there, "lora", "seed-2")}) {
		t.Errorf("%d runs, unfinished %q", len(rs.Runs), rs.Unfinished)
	}
	r := Summarise(rs)
	if len(r.Tasks) != 1 || len(r.Tasks[0].Methods) != 5 || len(r.Tasks[0].method("autolora").Seeds) != 2 {
		t.Errorf("tasks %+v", r.Tasks)
	}
	notes := strings.Join(r.Notes, "\n")
	for _, want := range []string{"not counted: 1 of 10 runs", filepath.Join(there, "autolora", "seed-1") + " is not counted: " + filepath.Join(here, "autolora", "seed-1") + " has the same model, task, method, seed and settings, and is newer, with same results."} {
		if !strings.Contains(notes, want) {
			t.Errorf("no %q in %s", want, notes)
		}
	}
	if strings.Contains(notes, "with different") {
		t.Errorf("notes %s", notes)
	}
}

// The same run with other results is said to differ; another comparison's runs
// do not complete this one.
func TestShardsThatDiffer(t *testing.T) {
	here, there := t.TempDir(), t.TempDir()
	writePlan(t, here)
	writePlan(t, there, `"lr": 0.1`, `"lr": 0.2`)
	scored("sst2", "lora", 1, 0.8).write(t, filepath.Join(here, "lora", "seed-1"))
	newer := scored("sst2", "lora", 1, 0.9)
	newer.config["about"] = map[string]any{"began": "2026-03-01T00:00:00Z"}
	newer.write(t, filepath.Join(there, "lora", "seed-1"))
	scored("sst2", "lora", 2, 0.9).write(t, filepath.Join(there, "lora", "seed-2"))
	rs, err := Load(here, there)
	if err != nil {
		t.Fatal(err)
	}
	if notes := strings.Join(Summarise(rs).Notes, "\n"); !strings.Contains(notes, "and is newer, with different results.") {
		t.Errorf("notes %s", notes)
	}
	if len(rs.Unfinished) != 9+8 || !slices.Contains(rs.Unfinished, filepath.Join(here, "lora", "seed-2")) {
		t.Errorf("unfinished %q", rs.Unfinished)
	}
}

func TestDamagedPlan(t *testing.T) {
	dir := t.TempDir()
	scored("sst2", "lora", 1, 0.8).write(t, filepath.Join(dir, "lora", "seed-1"))
	writeFile(t, filepath.Join(dir, runs.CompareFile), `{"methods": `)
	if _, err := Load(dir); err == nil || !strings.Contains(err.Error(), filepath.Join(dir, runs.CompareFile)) {
		t.Errorf("error %v", err)
	}
}
