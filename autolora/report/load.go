package report

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"autolora/autolora/runs"
	"autolora/foreign"
	"autolora/plainjson"
)

// Run is what one run left in its folder.
type Run struct {
	Dir      string
	Results  runs.Results
	Settings map[string]any // of config.json, by the names of their flags; nil without one
	Ranks    *runs.Ranks    // nil where there are none
	Grid     *runs.Grid     // nil but for a grid search
	Pruning  *runs.Pruning  // nil but for a pruning
	Tune     *runs.Tune     // nil without trials of settings
	Losses   *runs.Losses   // held-out, of every example; nil where an earlier version made the run
	Curves   Curves
	Began    time.Time // as config.json says; without it, when results.json was written

	chosen []string // settings that trials chose
	with   string   // the settings that set it apart from others: "lr 0.002"
}

// Model returns the name of the model without its folder: "roberta-base".
func (r *Run) Model() string {
	if model, ok := r.Settings["model"].(string); ok {
		return filepath.Base(filepath.Clean(model))
	}
	return "unknown model"
}

// number returns a setting that is a number; 0 where it is not known.
func (r *Run) number(setting string) float64 {
	v, _ := r.Settings[setting].(float64)
	return v
}

// Runs is the runs in some folders.
type Runs struct {
	Runs       []*Run
	Unfinished []string     // folders of runs without results, begun or, by a comparison's plan, still to begin
	Replaced   []Duplicated // runs that do not count, for a newer one takes their place

	plans []*plan
}

// Duplicated is a run of the same model, task, method, seed and settings as a
// newer one.
type Duplicated struct {
	Dir     string `json:"dir"`
	Newer   string `json:"newer"`   // the folder that counts
	Results string `json:"results"` // "same", or "different" scores or parameters
}

// Load reads every run in the folders dirs and below them: each folder with a
// results.json, in whatever layout. A run that was not finished is listed by
// its folder, and so is one that a comparison has yet to make; what its shards
// left in several folders is one comparison. Of runs of the same model, task,
// method, seed and settings the newest counts. It is an error if a file of a finished run
// cannot be read, or there is no run at all.
func Load(dirs ...string) (*Runs, error) {
	found := &Runs{}
	seen := make(map[string]bool)
	for _, dir := range dirs {
		root, err := filepath.EvalSymlinks(dir)
		if err == nil {
			root, err = filepath.Abs(root)
		}
		if err != nil {
			return nil, fmt.Errorf("report: %w", err)
		}
		err = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			switch {
			case errors.Is(err, fs.ErrNotExist):
				return nil // removed meanwhile, by a run that goes on
			case err != nil || !entry.IsDir() || seen[path]:
				return err
			case entry.Name() == runs.Own: // a run there is not complete
				return fs.SkipDir
			}
			seen[path] = true
			return found.read(filepath.Join(dir, strings.TrimPrefix(path, root)))
		})
		if err != nil {
			return nil, fmt.Errorf("report: %w", err)
		}
	}
	if len(found.Runs) == 0 {
		unfinished := ""
		if len(found.Unfinished) > 0 {
			unfinished = "; unfinished: " + strings.Join(found.Unfinished, ", ")
		}
		return nil, fmt.Errorf("report: no finished run in %s: a finished run's folder has a %s%s", strings.Join(dirs, ", "), runs.ResultsFile, unfinished)
	}
	found.addPlanned()
	found.follow()
	found.replace()
	return found, nil
}

// read reads the run and the plan of a comparison in a folder, if there are any.
func (rs *Runs) read(dir string) error {
	p, err := readPlan(dir)
	if err == nil {
		rs.plans = append(rs.plans, p)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	r, err := readRun(dir)
	if err == nil {
		rs.Runs = append(rs.Runs, r)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	} else if _, err := os.Stat(filepath.Join(dir, runs.MetricsFile)); err == nil && !runs.IsShard(filepath.Base(dir)) { // a run makes it first, and a part of one
		rs.Unfinished = append(rs.Unfinished, dir)
	}
	return nil
}

// replace leaves the newest of equal runs, in the order of the tables.
func (rs *Runs) replace() {
	type key struct {
		model, task, with, method string
		seed                      uint64
	}
	setApart(rs.Runs)
	newest := make(map[key]*Run)
	keyOf := func(r *Run) key {
		return key{r.Model(), r.Results.Task, r.with, r.Results.Method, r.Results.Seed}
	}
	for _, r := range rs.Runs {
		if other := newest[keyOf(r)]; other == nil || r.Began.After(other.Began) {
			newest[keyOf(r)] = r
		}
	}
	rs.Runs = slices.DeleteFunc(rs.Runs, func(r *Run) bool {
		counts := newest[keyOf(r)]
		if counts != r {
			d := Duplicated{r.Dir, counts.Dir, "different"}
			if fmt.Sprint(r.Results.Scores, r.Results.Parameters) == fmt.Sprint(counts.Results.Scores, counts.Results.Parameters) { // NaN is NaN
				d.Results = "same"
			}
			rs.Replaced = append(rs.Replaced, d)
		}
		return counts != r
	})
	slices.SortStableFunc(rs.Runs, func(a, b *Run) int {
		_, placeA := taskOf(a.Results.Task)
		_, placeB := taskOf(b.Results.Task)
		return cmp.Or(cmp.Compare(a.Model(), b.Model()), cmp.Compare(placeA, placeB), cmp.Compare(a.Results.Task, b.Results.Task),
			cmp.Compare(a.number("parameters"), b.number("parameters")), cmp.Compare(a.with, b.with), byMethod(a.Results.Method, b.Results.Method), cmp.Compare(a.Results.Seed, b.Results.Seed))
	})
}

// readRun reads the files of a finished run. Only its results must be there.
func readRun(dir string) (*Run, error) {
	r := &Run{Dir: dir}
	in := runs.ReadOnly(dir)
	if err := in.ReadJSON(runs.ResultsFile, &r.Results); err != nil {
		return nil, err
	}
	if r.Results.Task == "" || r.Results.Method == "" {
		return nil, fmt.Errorf("%s: not the results of a run: \"task\" or \"method\" is missing", in.Path(runs.ResultsFile))
	}
	if err := r.Results.Check(); err != nil {
		return nil, fmt.Errorf("%s: not what a run writes: %w", in.Path(runs.ResultsFile), err)
	}
	ranks, noRanks := in.Ranks()
	if noRanks == nil {
		r.Ranks = &ranks
	}
	losses, noLosses := runs.ReadLosses(dir)
	if noLosses == nil {
		r.Losses = &losses
	}
	var noCurves error
	r.Curves, noCurves = readCurves(in.Path(runs.MetricsFile))
	var noTune error
	r.Tune, noTune = runs.ReadTune(dir)
	for _, err := range []error{in.ReadJSON(runs.ConfigFile, &r.Settings), in.ReadJSON(runs.GridFile, &r.Grid), in.ReadJSON(runs.PruneFile, &r.Pruning), noTune, noRanks, noLosses, noCurves} {
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	about, _ := r.Settings["about"].(map[string]any)
	began, _ := about["began"].(string)
	chosen, _ := about["chosen"].([]any)
	for _, name := range chosen {
		r.chosen = append(r.chosen, fmt.Sprint(name))
	}
	if about["command"] == methodTune { // whatever it chose to train
		r.Results.Method = methodTune
	}
	var err error
	if r.Began, err = time.Parse(time.RFC3339, began); err != nil {
		info, err := os.Stat(in.Path(runs.ResultsFile))
		if err != nil {
			return nil, err
		}
		r.Began = info.ModTime()
	}
	return r, nil
}

// readCurves reads a metrics.jsonl. A last line without its end, as a crash
// leaves it, does not count.
func readCurves(path string) (Curves, error) {
	text, err := foreign.ReadFile(path, runs.MaxFile)
	c, n := Curves{}, 0
	for line := range bytes.Lines(text) {
		n++
		if len(bytes.TrimSpace(line)) == 0 || !bytes.HasSuffix(line, []byte("\n")) {
			continue
		}
		var record runs.Record
		if err := plainjson.Unmarshal(line, &record); err != nil {
			return c, fmt.Errorf("%s: line %d: %w", path, n, err)
		}
		c.add(record)
	}
	return c, err
}
