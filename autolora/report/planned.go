package report

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"

	"autolora/autolora/runs"
	"autolora/autolora/settings"
)

// plan is what a compare.json says: the runs that are to be in its
// folder, or in those of other shards of the same comparison.
type plan struct {
	dir  string
	of   string   // settings, the same in all folders of one comparison
	runs []string // METHOD/seed-N, in the order in which they are made
	auto bool     // their learning rates are chosen by trials
}

// readPlan reads the compare.json in dir.
func readPlan(dir string) (*plan, error) {
	in := runs.ReadOnly(dir)
	var said struct {
		Model    string   `json:"model"`
		Methods  []string `json:"methods"`
		Seed     uint64   `json:"seed"`
		Seeds    uint64   `json:"seeds"`
		Controls bool     `json:"controls"`
	}
	var values map[string]any
	for _, v := range []any{&said, &values} {
		if err := in.ReadJSON(runs.CompareFile, v); err != nil {
			return nil, err
		}
	}
	if said.Seeds > settings.MaxSeeds {
		return nil, fmt.Errorf("%s: got %d seeds, want at most %d", in.Path(runs.CompareFile), said.Seeds, settings.MaxSeeds)
	}
	maps.DeleteFunc(values, func(name string, _ any) bool { return !changesResults(name) || isPath(name) })
	p := &plan{dir: dir, of: fmt.Sprint(filepath.Base(said.Model), values), auto: values["lr"] == settings.AutoWord}
	methods := said.Methods
	if said.Controls {
		methods = runs.WithControls(methods)
	}
	slices.SortFunc(methods, byMethod)
	for i := range said.Seeds {
		for _, method := range slices.Compact(methods) {
			p.runs = append(p.runs, runs.SeedFolder(method, said.Seed+i))
		}
	}
	return p, nil
}

// addPlanned adds the runs of comparisons that are complete in none of their
// folders to those that are unfinished, each once: where it was begun, or in
// the first folder.
func (rs *Runs) addPlanned() {
	places := make(map[string][]string) // of a run of a comparison, in the comparison's folders
	var order []string
	begun := rs.Unfinished
	for _, p := range rs.plans {
		for _, name := range p.runs {
			key := p.of + name
			if places[key] == nil {
				order = append(order, key)
			}
			places[key] = append(places[key], filepath.Join(p.dir, name))
		}
	}
	planned := slices.Concat(slices.Collect(maps.Values(places))...)
	rs.Unfinished = slices.DeleteFunc(slices.Clone(begun), func(dir string) bool { return slices.Contains(planned, dir) })
	for _, key := range order {
		if !slices.ContainsFunc(rs.Runs, func(r *Run) bool { return slices.Contains(places[key], r.Dir) }) {
			i := max(0, slices.IndexFunc(places[key], func(dir string) bool { return slices.Contains(begun, dir) }))
			rs.Unfinished = append(rs.Unfinished, places[key][i])
		}
	}
}

// follow notes that in a comparison whose methods choose their learning rates by trials
// all runs have chosen ones, also those that took what another run had chosen.
func (rs *Runs) follow() {
	for _, p := range rs.plans {
		for _, r := range rs.Runs {
			if name, err := filepath.Rel(p.dir, r.Dir); p.auto && err == nil && slices.Contains(p.runs, name) {
				r.chosen = append(r.chosen, "lr", "search-lr")
			}
		}
	}
}
