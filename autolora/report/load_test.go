package report

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"autolora/autolora/runs"
	"autolora/data/metrics"
)

// Load finds runs in any layout, once each, and says which are not finished.
func TestLoad(t *testing.T) {
	dir := t.TempDir()
	scored("sst2", "lora", 1, 0.8).write(t, filepath.Join(dir, "a"))
	scored("sst2", "lora", 2, 0.8).write(t, filepath.Join(dir, "deep", "er", "b"))
	scored("mrpc", "lora", 1, 0.8).write(t, filepath.Join(dir, "a", "nested"))
	scored("sst2", "adapter", 3, 0.8).write(t, filepath.Join(dir, runs.MethodAdapter, "seed-3")) // as compare names folders
	writeFile(t, filepath.Join(dir, "a", runs.AdapterDir, "adapter_config.json"), "{}")
	writeFile(t, filepath.Join(dir, "stopped", runs.MetricsFile), "")
	writeFile(t, filepath.Join(dir, "stopped", runs.Checkpoint, "state.json"), "{}")
	writeFile(t, filepath.Join(dir, "model", "config.json"), "{}")
	writeFile(t, filepath.Join(dir, "tune", runs.ShardFolder(2), runs.MetricsFile), "")   // a part of a run
	scored("sst2", "lora", 4, 0.8).write(t, filepath.Join(dir, runs.ShardFolder(1), "c")) // a comparison's, so called by its user
	if err := os.Symlink(dir, filepath.Join(t.TempDir(), "link")); err != nil {
		t.Fatal(err)
	}
	rs, err := Load(dir, filepath.Join(dir, "deep"), dir+"/a/../a")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, r := range rs.Runs {
		rel, err := filepath.Rel(dir, r.Dir)
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, rel)
	}
	if want := []string{"adapter/seed-3", "a", "deep/er/b", "shard-1/c", "a/nested"}; !slices.Equal(found, want) {
		t.Errorf("found %q, want %q", found, want)
	}
	if want := []string{filepath.Join(dir, "stopped")}; !slices.Equal(rs.Unfinished, want) || rs.Replaced != nil {
		t.Errorf("unfinished %q, replaced %v", rs.Unfinished, rs.Replaced)
	}
	if notes := strings.Join(Summarise(rs).Notes, "\n"); !strings.Contains(notes, "Not complete, and not counted: 1 of 6 runs: "+filepath.Join(dir, "stopped")) {
		t.Errorf("notes: %s", notes)
	}
}

func TestLoadThroughLink(t *testing.T) {
	dir, link := t.TempDir(), filepath.Join(t.TempDir(), "link")
	scored("sst2", "lora", 1, 0.8).write(t, filepath.Join(dir, "a"))
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	if rs, err := Load(link); err != nil || len(rs.Runs) != 1 {
		t.Errorf("%+v, %v", rs, err)
	}
}

// Of equal runs the newest counts, by config.json or the file's time.
func TestDuplicates(t *testing.T) {
	dir := t.TempDir()
	for name, began := range map[string]string{"old": "2026-01-01T00:00:00Z", "new": "2026-03-01T00:00:00Z", "older": "2025-01-01T00:00:00Z"} {
		f := scored("sst2", "lora", 1, map[string]float64{"old": 0.1, "new": 0.9, "older": 0.2}[name])
		f.config["about"] = map[string]any{"began": began}
		f.write(t, filepath.Join(dir, name))
	}
	other := scored("sst2", "lora", 1, 0.5) // another model: another run
	other.config["model"] = "roberta-large"
	other.write(t, filepath.Join(dir, "large"))
	rs, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(rs.Runs) != 2 || rs.Runs[0].Results.Scores["accuracy"] != 0.9 || rs.Runs[1].Model() != "roberta-large" || len(rs.Replaced) != 2 {
		t.Fatalf("%+v", rs)
	}
	for _, d := range rs.Replaced {
		if filepath.Base(d.Newer) != "new" {
			t.Errorf("%+v", d)
		}
	}
	if notes := Summarise(rs).Notes; !strings.Contains(strings.Join(notes, "\n"), "is not counted: "+filepath.Join(dir, "new")+" has the same model, task, method, seed and settings, and is newer") {
		t.Errorf("notes: %q", notes)
	}
}

func TestLoadErrors(t *testing.T) {
	for _, tc := range []struct {
		name   string
		damage func(dir string)
		want   []string
	}{
		{"half-written results", func(dir string) { writeFile(t, filepath.Join(dir, "run", runs.ResultsFile), `{"task": "sst2", "me`) }, []string{"run/results.json", "unexpected end"}},
		{"other JSON", func(dir string) { writeFile(t, filepath.Join(dir, "run", runs.ResultsFile), `{"results": []}`) }, []string{"run/results.json", "not the results of a run"}},
		{"wrong type", func(dir string) { writeFile(t, filepath.Join(dir, "run", runs.ResultsFile), `{"task": 1}`) }, []string{"run/results.json", "got a number, want a text"}},
		{"config", func(dir string) { writeFile(t, filepath.Join(dir, "run", runs.ConfigFile), `{"model"`) }, []string{"run/config.json", "unexpected end"}},
		{"ranks", func(dir string) { writeFile(t, filepath.Join(dir, "run", runs.RanksFile), `{"layers": []}`) }, []string{"run/ranks.json", "not a ranks file"}},
		{"grid", func(dir string) { writeFile(t, filepath.Join(dir, "run", runs.GridFile), `[`) }, []string{"run/grid.json"}},
		{"confusion of other classes", func(dir string) {
			writeFile(t, filepath.Join(dir, "run", runs.ResultsFile), `{"task": "a", "method": "lora", "classes": [{"class": "x"}], "confusion": [[1, 2], [3, 4]]}`)
		}, []string{"run/results.json", "the confusion matrix of 2 rows is not one of 1 classes"}},
		{"a row of confusion", func(dir string) {
			writeFile(t, filepath.Join(dir, "run", runs.ResultsFile), `{"task": "a", "method": "lora", "classes": [{"class": "x"}], "confusion": [[1, 2]]}`)
		}, []string{"run/results.json", "the confusion matrix of 1 rows"}},
		{"choice of trials", func(dir string) {
			writeFile(t, filepath.Join(dir, "run", runs.TuneFile), `{"trials": [{"settings": {}, "loss": 1}], "chosen": {"loss": 1}, "choice": 7}`)
		}, []string{"run/tune.json", `"choice"`}},
		{"best of trials", func(dir string) {
			writeFile(t, filepath.Join(dir, "run", runs.TuneFile), `{"trials": [{"settings": {}, "loss": 1}, {"settings": {}}], "chosen": {"loss": 1}, "best": 1}`)
		}, []string{"run/tune.json", `"best"`}},
		{"seeds of a comparison", func(dir string) {
			writeFile(t, filepath.Join(dir, runs.CompareFile), `{"methods": ["lora"], "seeds": 1000000000000}`)
		}, []string{runs.CompareFile, "got 1000000000000 seeds, want at most 1000"}},
		{"line of metrics", func(dir string) {
			writeFile(t, filepath.Join(dir, "run", runs.MetricsFile), `{"phase":"train","step":1}`+"\n"+`{"phase":`+"\n")
		}, []string{"run/metrics.jsonl: line 2", "unexpected end"}},
		{"nothing finished", func(dir string) {
			writeFile(t, filepath.Join(dir, "run", runs.MetricsFile), "")
			if err := os.Remove(filepath.Join(dir, "run", runs.ResultsFile)); err != nil {
				t.Fatal(err)
			}
		}, []string{"no finished run", "unfinished: ", "/run"}},
		{"no folder", func(dir string) {
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
		}, []string{"no such file"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			scored("sst2", "lora", 1, 0.8).write(t, filepath.Join(dir, "run"))
			tc.damage(dir)
			_, err := Load(dir)
			if err == nil || strings.Contains(err.Error(), "\n") {
				t.Fatalf("error %v", err)
			}
			for _, want := range tc.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q, want %q in it", err, want)
				}
			}
		})
	}
}

// A last line that a crash cut off does not count, nor what a resumed run went
// back on.
func TestCurves(t *testing.T) {
	path := filepath.Join(t.TempDir(), runs.MetricsFile)
	writeFile(t, path, strings.Join([]string{
		`{"phase":"search","step":10,"loss":0.5,"val_loss":0.6,"ratio":0.01,"ranks":[1,2,6],"alpha":[[0.5,0.5]]}`,
		`{"phase":"search","step":20,"loss":0.4,"ranks":[0,0,0],"alpha":[[0.4,0.6]]}`,
		`{"phase":"search","step":30,"loss":9}`, `{"phase":"search","step":20,"loss":0.3,"alpha":[[0.3,0.7]]}`,
		``, `{"phase":"train","step":5,"loss":null,"budget":48}`, `{"phase":"grid-1","step":5,"loss":7}`, `{"phase":"eval","step":0,"scores":{"f1":null}}`,
		`{"phase":"train","step":6,"lo`,
	}, "\n"))
	c, err := readCurves(path)
	if err != nil {
		t.Fatal(err)
	}
	show := func(phase string) (lines []string) {
		for _, r := range c[phase] {
			lines = append(lines, fmt.Sprint(r.Step, loss(r), validationLoss(r), logRatio(r), ranks(r), budget(r), r.Alpha))
		}
		return lines
	}
	if got, want := show("search"), []string{"10 [0.5] [0.6] [-2] [1 2 6] [] [[0.5 0.5]]", "20 [0.3] [] [] [] [] [[0.3 0.7]]"}; !slices.Equal(got, want) {
		t.Errorf("search %q, want %q", got, want)
	}
	if got, want := show("train"), []string{"5 [] [] [] [] [48] []"}; !slices.Equal(got, want) {
		t.Errorf("train %q, want %q", got, want)
	}
}

// Long searches show enough of the α, evenly.
func TestAlphaIsThinned(t *testing.T) {
	r := Run{Curves: Curves{"search": {{Phase: "search", Alpha: [][]float64{{}}}}}} // of a damaged file
	for step := 1; step <= 5000; step++ {
		r.Curves.add(runs.Record{Phase: "search", Step: step, Alpha: [][]float64{{float64(step)}}})
	}
	kept := r.loggedAlpha()
	if n := len(kept); n > 80 || n < 40 {
		t.Errorf("%d points", n)
	}
	for i, p := range kept {
		if p.Step != 1+63*i || p.Alpha[0][0] != float64(p.Step) {
			t.Errorf("point %d: %+v", i, p)
		}
	}
}

func TestSmooth(t *testing.T) {
	points := func(values ...float64) *Run {
		r := &Run{Curves: Curves{}}
		for i, v := range values {
			r.Curves.add(runs.Record{Phase: "train", Step: 10 * (i + 1), Loss: &v})
		}
		return r
	}
	for _, tc := range []struct {
		name   string
		series []*Run
		n      int
		want   string
	}{
		{"few points stay", []*Run{points(3, 1, 2)}, 60, "[{10 3} {20 1} {30 2}]"},
		{"mean of spans", []*Run{points(3, 1, 2, 6)}, 2, "[{15 2} {35 4}]"},
		{"mean of runs", []*Run{points(3, 1), points(5, 3)}, 60, "[{10 4} {20 2}]"},
		{"what is not known is left out", []*Run{points(math.NaN(), 1), points(5, math.Inf(1))}, 60, "[{10 5} {20 1}]"},
		{"nothing", []*Run{{}, points(math.NaN())}, 60, "[]"},
	} {
		if got := fmt.Sprint(smooth(tc.series, "train", tc.n, mean, loss)); got != tc.want {
			t.Errorf("%s: got %s, want %s", tc.name, got, tc.want)
		}
	}
}

// A search alone has no scores: it counts with its ranks.
func TestSearchAlone(t *testing.T) {
	dir := t.TempDir()
	f := scored("sst2", runs.MethodAutoLoRA, 1, 0)
	f.results.Scores, f.results.Steps = nil, runs.StepCount{Search: 300}
	f.ranks = ranksOf(8, 3, 4, 0, 8)
	f.write(t, dir)
	r := load(t, dir)
	if got := r.Headlines(); len(got) != 1 || got[0] != "SST-2: AutoLoRA has no score." {
		t.Errorf("headlines %q", got)
	}
	if len(r.Tasks[0].Ranks) != 1 || r.Tasks[0].Ranks[0].Mean != 3.75 {
		t.Errorf("ranks %+v", r.Tasks[0].Ranks)
	}
}

// An undefined score is said to be so, and left out.
func TestUndefinedScore(t *testing.T) {
	dir := t.TempDir()
	for seed, v := range []float64{0.5, math.NaN(), 0.7} {
		f := scored("cola", "lora", uint64(seed), v)
		f.results.Scores = metrics.Scores{"matthews": v, "accuracy": 0.7}
		f.write(t, filepath.Join(dir, fmt.Sprint(seed)))
	}
	r := load(t, dir)
	s := r.Tasks[0].Methods[0].Scores["matthews"]
	if s.N != 2 || s.Mean != 0.6 {
		t.Errorf("%+v", s)
	}
	if notes := strings.Join(r.Notes, "\n"); !strings.Contains(notes, "CoLA: LoRA: the score is undefined with seed 1 and left out of the mean.") {
		t.Errorf("notes %s", notes)
	}
}
