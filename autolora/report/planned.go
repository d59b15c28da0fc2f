package report

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"

	"autolora/autolora/runs"
)

// plan is what a compare.json says: the runs that are to be in its
// folder, or in those of other shards of the same comparison.
type plan struct {
	dir  string
	of   string   // settings, the same in all folders of one comparison
	runs []string // METHOD/seed-N, in the order in which they are made
}

// readPlan reads the compare.json in dir.
func readPlan(dir string) (*plan, error) {
	path := filepath.Join(dir, runs.CompareFile)
	var said struct {
		Model    string   `json:"model"`
		Methods  []string `json:"methods"`
		Seed     uint64   `json:"seed"`
		Seeds    uint64   `json:"seeds"`
		Controls bool     `json:"controls"`
	}
	var settings map[string]any
	if err := readJSON(path, &said); err != nil {
		return nil, err
	}
	if err := readJSON(path, &settings); err != nil {
		return nil, err
	}
	maps.DeleteFunc(settings, func(name string, _ any) bool { return !changesResults(name) || isPath(name) })
	p := &plan{dir: dir, of: fmt.Sprint(filepath.Base(said.Model), settings)}
	methods := said.Methods
	if said.Controls {
		methods = runs.WithControls(methods)
	}
	slices.SortFunc(methods, byMethod)
	for seed := said.Seed; seed < said.Seed+said.Seeds; seed++ {
		for _, method := range slices.Compact(methods) {
			p.runs = append(p.runs, runs.SeedFolder(method, seed))
		}
	}
	return p, nil
}

// addPlanned adds the runs of comparisons that are complete in none of their
// folders to those that are unfinished, each once.
func (rs *Runs) addPlanned(plans []*plan) {
	places := make(map[string][]string) // of a run of a comparison, in the comparison's folders
	var order []string
	begun := rs.Unfinished
	for _, p := range plans {
		for _, name := range p.runs {
			key, dir := p.of+name, filepath.Join(p.dir, name)
			if places[key] == nil {
				order = append(order, key)
			}
			places[key] = append(places[key], dir)
			rs.Unfinished = slices.DeleteFunc(slices.Clone(rs.Unfinished), func(other string) bool { return other == dir })
		}
	}
	for _, key := range order {
		finished := slices.ContainsFunc(rs.Runs, func(r *Run) bool { return slices.Contains(places[key], r.Dir) })
		if !finished {
			i := max(0, slices.IndexFunc(places[key], func(dir string) bool { return slices.Contains(begun, dir) }))
			rs.Unfinished = append(rs.Unfinished, places[key][i])
		}
	}
}
