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
	maps.DeleteFunc(settings, func(name string, _ any) bool {
		return slices.Contains(ownSettings, name) || slices.Contains([]string{"data", "train", "dev"}, name) // paths of a machine
	})
	p := &plan{dir: dir, of: fmt.Sprint(filepath.Base(said.Model), settings)}
	methods := said.Methods
	if said.Controls {
		methods = runs.WithControls(methods)
	}
	slices.SortFunc(methods, byMethod)
	methods = slices.Compact(methods)
	for seed := said.Seed; seed < said.Seed+said.Seeds; seed++ {
		for _, method := range methods {
			p.runs = append(p.runs, runs.SeedFolder(method, seed))
		}
	}
	return p, nil
}

// addPlanned adds the runs of comparisons that are complete in none of their
// folders to those that are unfinished, each once.
func (rs *Runs) addPlanned(all []*plan) {
	finished := make(map[string]bool)
	for _, r := range rs.Runs {
		finished[r.Dir] = true
	}
	begun := rs.Unfinished
	rs.Unfinished = nil
	known := make(map[string]bool) // folders of comparisons
	var lacking []string
	listed := make(map[string]bool) // runs of comparisons
	for _, c := range all {
		for _, name := range c.runs {
			known[filepath.Join(c.dir, name)] = true
			if listed[c.of+name] {
				continue
			}
			listed[c.of+name] = true
			var places []string // of the run in the comparison's folders
			for _, other := range all {
				if other.of == c.of {
					places = append(places, filepath.Join(other.dir, name))
				}
			}
			if slices.ContainsFunc(places, func(dir string) bool { return finished[dir] }) {
				continue
			}
			place := max(0, slices.IndexFunc(places, func(dir string) bool { return slices.Contains(begun, dir) }))
			lacking = append(lacking, places[place])
		}
	}
	for _, dir := range begun {
		if !known[dir] {
			rs.Unfinished = append(rs.Unfinished, dir)
		}
	}
	rs.Unfinished = append(rs.Unfinished, lacking...)
}
