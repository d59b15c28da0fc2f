package report

import (
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"autolora/autolora/settings"
)

// allSettings is the table, with its defaults, byName its entries by their names of
// today and before.
var allSettings, byName = func() ([]settings.Setting, map[string]settings.Setting) {
	defaults := settings.Default()
	all, byName := defaults.Settings(), make(map[string]settings.Setting)
	for _, s := range all {
		byName[s.Earlier], byName[s.Name] = s, s
	}
	delete(byName, "")
	return all, byName
}()

// about returns what is known of a setting; nothing depends on a name that is
// none.
func about(name string) settings.Setting {
	if s, ok := byName[name]; ok {
		return s
	}
	return settings.Setting{Name: name, Effect: settings.Bookkeeping}
}

// changesResults reports whether runs that differ in a setting differ for that.
func changesResults(name string) bool {
	effect := about(name).Effect
	return effect == settings.Result || effect == settings.Measure
}

// isShared reports whether scores of methods that differ in a setting cannot be
// compared.
func isShared(name string) bool { return about(name).Effect == settings.Measure }

// isDecoding reports whether a setting says how texts are generated.
func isDecoding(name string) bool { return about(name).Group == settings.Generation }

// isPath reports whether a setting is a path of one machine.
func isPath(name string) bool { return isShared(name) && about(name).PerProcess }

// setting returns the value of a setting in words; "" where it is not known. Of
// a path only the last part counts: the folders above differ from machine to
// machine.
func (r *Run) setting(name string) string {
	switch v := r.Settings[name].(type) {
	case nil:
		return ""
	case []any:
		var all []string
		for _, one := range v {
			all = append(all, fmt.Sprint(one))
		}
		return strings.Join(all, "+") // between commas
	case float64:
		if v == math.Trunc(v) {
			return strconv.FormatFloat(v, 'f', -1, 64) // a million is 1e+06 otherwise
		}
	case string:
		if isPath(name) && v != "" {
			return filepath.Base(v)
		}
	}
	return fmt.Sprint(r.Settings[name])
}

// given is setting, but "auto" of what trials chose: runs by one procedure are alike,
// whatever it came to. It is "" where the run's command does not read it, or it was
// left open.
func (r *Run) given(name string) string {
	s := about(name)
	switch {
	case slices.Contains(r.chosen, name):
		return settings.AutoWord
	case !r.reads(name), s.Unset != "" && fmt.Sprint(r.Settings[name]) == s.String():
		return ""
	case name == "eval-every" && r.Settings["keep"] != settings.KeepBest && r.number("patience") == 0: // which looks, and changes nothing
		return ""
	}
	return r.setting(name)
}

// reads reports whether the command of the run reads a setting.
func (r *Run) reads(name string) bool {
	if r.Pruning != nil {
		return about(name).Readers.Has(settings.Prune)
	}
	return about(name).Readers&settings.Jobs != 0
}

// values returns the values that those runs have of a setting which read it.
func values(of []*Run, name string) []string { return distinct(of, name, (*Run).setting) }

func distinct(of []*Run, name string, setting func(*Run, string) string) []string {
	var values []string
	for _, r := range of {
		if _, ok := r.Settings[name]; ok && r.reads(name) && !slices.Contains(values, setting(r, name)) {
			values = append(values, setting(r, name))
		}
	}
	return values
}

// unequal returns the settings in which runs differ, of those that count.
func unequal(of []*Run, counts func(setting string) bool) []string {
	var names []string
	for _, s := range allSettings {
		if counts(s.Name) && len(distinct(of, s.Name, (*Run).given)) > 1 {
			names = append(names, s.Name)
		}
	}
	return names
}

// setApart finds the runs of a method on a task that are no seeds of each other,
// for their settings differ, and says by which. All methods' runs of that task
// are set apart by these.
func setApart(all []*Run) {
	for _, ofTask := range groups(all, func(a, b *Run) bool { return a.Model() == b.Model() && a.Results.Task == b.Results.Task }) {
		var differ []string
		for _, ofMethod := range groups(ofTask, func(a, b *Run) bool { return a.Results.Method == b.Results.Method }) {
			differ = append(differ, unequal(ofMethod, changesResults)...)
			// Prunings with one seed are of one adapter, or of several; with several seeds each has its own.
			for _, ofSeed := range groups(ofMethod, func(a, b *Run) bool { return a.Results.Seed == b.Results.Seed }) {
				differ = append(differ, unequal(ofSeed, func(name string) bool { return name == "adapter" })...)
			}
		}
		others := otherFiles(ofTask)
		differ = append(differ, others...)
		slices.Sort(differ)
		differ = slices.Compact(differ)
		ownRate := func(r *Run) bool { rate := r.given("search-lr"); return rate != "" && rate != r.given("lr") }
		if slices.Contains(differ, "lr") && !slices.ContainsFunc(ofTask, ownRate) {
			differ = slices.DeleteFunc(differ, func(name string) bool { return name == "search-lr" }) // it follows lr
		}
		for _, r := range ofTask {
			var with []string
			for _, name := range differ {
				v := r.given(name)
				if slices.Contains(others, name) {
					v = fmt.Sprint(r.Settings[name])
				}
				if v != "" {
					with = append(with, name+" "+v)
				}
			}
			r.with = strings.Join(with, ", ")
		}
	}
}

// otherFiles returns which of the settings train and dev name, among runs on own data, files
// of one name with other data, in other folders: they go by the whole path.
func otherFiles(of []*Run) (names []string) {
	for _, name := range []string{"train", "dev"} {
		sums := map[string]string{} // by the last part of the path
		for _, r := range of {
			part := name
			if name == "dev" {
				part = r.Results.Task + "/dev"
			}
			about, _ := r.Settings["about"].(map[string]any)
			data, _ := about["data"].(map[string]any)
			sum, _ := data[part].(string)
			path, _ := r.Settings[name].(string)
			if sum == "" || path == "" {
				continue
			}
			base := filepath.Base(path)
			if before, known := sums[base]; known && before != sum {
				names = append(names, name)
				break
			}
			sums[base] = sum
		}
	}
	return names
}
