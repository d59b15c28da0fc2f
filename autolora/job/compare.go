package job

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"autolora/autolora/runs"
	"autolora/autolora/settings"
	"autolora/torchbind"
)

const compareCommand = "compare"

// Plan returns the settings of every run of the comparison that cfg asks for,
// in the order in which they are made: all methods of one seed, then of the
// next, so that a comparison that is stopped early has whole rows. Each run has
// a folder of its own, OUT/METHOD/seed-N. With the controls, each method that
// searches ranks is followed by its own.
func Plan(cfg settings.Config) ([]settings.Config, error) {
	switch {
	case cfg.Seeds < 1:
		return nil, settings.Errorf("seeds", "got %d, want at least 1", cfg.Seeds)
	case len(cfg.Methods) == 0:
		return nil, settings.Errorf("methods", "none is given")
	}
	chosen := cfg.Methods
	if cfg.Controls {
		chosen = runs.WithControls(chosen)
	}
	with, err := parseOverrides(cfg.With, chosen)
	if err != nil {
		return nil, err
	}
	var plan []settings.Config
	for i := range cfg.Seeds {
		for _, name := range inOrder(chosen) {
			c, err := planned(cfg, name, cfg.Seed+uint64(i), with[name])
			if err != nil {
				return nil, err
			}
			plan = append(plan, c)
		}
	}
	return plan, nil
}

// inOrder returns the methods once each, in the order of the tables; those that
// there are not come first, for an error where they are planned.
func inOrder(chosen []string) []string {
	known := runs.MethodNames()
	out := slices.Clone(chosen)
	slices.SortStableFunc(out, func(a, b string) int { return slices.Index(known, a) - slices.Index(known, b) })
	return slices.Compact(out)
}

// planned returns the settings of one run.
func planned(cfg settings.Config, name string, seed uint64, with []override) (settings.Config, error) {
	folder := func(method string) string { return filepath.Join(cfg.Out, runs.SeedFolder(method, seed)) }
	c, err := cfg.Variant(name)
	if err != nil {
		return c, settings.Errorf("methods", "%w", errors.Unwrap(err))
	}
	c.Methods, c.Seeds, c.Controls, c.With = nil, 0, false, nil
	c.Seed, c.Out, c.Resume, c.Overwrite, c.RanksFile = seed, folder(name), true, false, ""
	if m, _ := runs.FindMethod(name); m.Of != "" {
		if !slices.Contains(cfg.Methods, m.Of) {
			return c, settings.Errorf("methods", "%s is made of the ranks of %s, which is not among them", name, m.Of)
		}
		c.RanksFile = filepath.Join(folder(m.Of), runs.RanksFile)
	}
	for _, w := range with {
		if err := c.Set(w.setting, w.json(c)); err != nil {
			return c, settings.Errorf("with", "%s: %w", w.text, err)
		}
	}
	return c.Resolved(), c.Check()
}

// override is a setting of one method of a comparison.
type override struct{ setting, value, text string }

// json returns the value as settings take it: a list may be as its flag has it.
func (o override) json(c settings.Config) string {
	s, known := c.Find(o.setting)
	if !known || strings.HasPrefix(o.value, "[") {
		return o.value
	}
	switch s.Value.(type) {
	case *[]string:
		list, _ := json.Marshal(strings.Split(o.value, ","))
		return string(list)
	case *[]int64, *[]float64:
		return "[" + o.value + "]"
	}
	return o.value
}

// parseOverrides reads settings of single methods, "full:lr=1e-4", each of a
// method that is compared, and returns them by method.
func parseOverrides(with, chosen []string) (map[string][]override, error) {
	all := map[string][]override{}
	for _, text := range with {
		method, assignment, _ := strings.Cut(text, ":")
		setting, value, assigned := strings.Cut(assignment, "=")
		switch {
		case !assigned || method == "" || setting == "":
			return nil, settings.Errorf("with", "got %q, want METHOD:SETTING=VALUE, as in full:lr=1e-4", text)
		case slices.Contains([]string{"out", "seed", "method", "resume", "overwrite"}, setting):
			return nil, settings.Errorf("with", "got %q: the comparison itself sets %s", text, setting)
		case !slices.Contains(chosen, method):
			return nil, settings.Errorf("with", "got %q, but %s is not compared: want one of %s", text, method, strings.Join(inOrder(chosen), ", "))
		}
		all[method] = append(all[method], override{setting, value, text})
	}
	return all, nil
}

// Compare makes every run of the plan, or of a shard's share of it, that is not
// complete in its folder yet, going on where an earlier session was stopped. A
// run that fails for reasons of its own, as one that diverges, does not keep the
// others from being made; the error names the first of them in the end.
func Compare(ctx context.Context, host Host, cfg settings.Config, plan []settings.Config) (err error) {
	model, err := modelFolder(ctx, cfg.Model)
	if err == nil {
		err = checkOut(cfg, model)
	}
	if err == nil && host.Processes.Writes() {
		err = openComparison(cfg)
		defer func() {
			if err != nil {
				err = errors.Join(err, runs.Discard(cfg.Out, runs.CompareFile))
			}
		}()
	}
	if err := host.Processes.agree(err); err != nil {
		return err
	}
	rep := host.Processes.reporter(host.Reporter)
	var failed []error
	read := readings{}
	for i, c := range plan {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("stopped before run %d of %d: %w; the same command goes on from there", i+1, len(plan), err)
		}
		title := fmt.Sprintf("%s, seed %d", c.Method, c.Seed)
		if err := followRate(rateSource(plan, c), &c); err != nil {
			rep.Note(fmt.Sprintf("%s failed: %v", title, err))
			failed = append(failed, fmt.Errorf("%s: %w", title, err))
			continue
		}
		done, err := completeRun(ctx, host.Processes, c, compareCommand, read)
		if err != nil {
			return err
		}
		if done != nil {
			rep.Note(fmt.Sprintf("[%d/%d] %s: complete", i+1, len(plan), title))
			continue
		}
		rep.Note(fmt.Sprintf("[%d/%d] %s", i+1, len(plan), title))
		if err := torchbind.ResetPeakMemory(); err != nil {
			return err
		}
		_, err = do(ctx, host, c, compareCommand, (*job).perform)
		switch {
		case err != nil && ctx.Err() != nil:
			return fmt.Errorf("run %d of %d (%s): %w; the same command goes on from there", i+1, len(plan), title, err)
		case err != nil && ownFault(err):
			rep.Note(fmt.Sprintf("%s failed: %v", title, err))
			failed = append(failed, fmt.Errorf("%s: %w", title, err))
		case err != nil:
			return fmt.Errorf("run %d of %d (%s): %w", i+1, len(plan), title, err)
		}
	}
	if n, shown := len(failed), 3; n > 0 {
		if n > shown { // they were noted
			failed = append(failed[:shown], fmt.Errorf("and %d more", n-shown))
		}
		return fmt.Errorf("%d of %d runs failed: %w", n, len(plan), errors.Join(failed...))
	}
	return nil
}

// followRate gives a run whose learning rate is to be chosen that of another run of the
// comparison, in the folder from.
func followRate(from string, c *settings.Config) error {
	if from == "" {
		return nil
	}
	results, err := stored(from, runs.ResultsFile, runs.Results{})
	if err != nil {
		return err
	}
	if results == nil || results.LR == 0 {
		return fmt.Errorf("it is to train at the learning rate that is chosen in %s, which is not complete", from)
	}
	c.LR = results.LR
	*c = c.Resolved()
	return nil
}

// rateSource returns the folder of the run whose learning rate a run of the plan takes;
// "" for one that has its own, or chooses it: each method chooses once, with the first
// seed, and a control trains at the rate of the run that it is a control of.
func rateSource(plan []settings.Config, c settings.Config) string {
	if c.LR != settings.Auto {
		return ""
	}
	if c.RanksFile != "" {
		return filepath.Dir(c.RanksFile)
	}
	first := slices.IndexFunc(plan, func(p settings.Config) bool { return p.Method == c.Method })
	if plan[first].Out == c.Out {
		return ""
	}
	return plan[first].Out
}

// ownFault reports whether an error is of one run, and not of the comparison's
// settings or the machine.
func ownFault(err error) bool {
	return diverged(err) || errors.Is(err, torchbind.ErrOutOfMemory)
}

// openComparison makes the folder of a comparison, or takes the one of an
// earlier session or another shard: compare.json in it says what it is.
func openComparison(cfg settings.Config) error {
	if cfg.Out == "" {
		return settings.Errorf("out", "no output folder is given")
	}
	before, err := readComparison(cfg.Out)
	if err != nil {
		return err
	}
	if before != nil {
		// These say which runs are made, or have a say only in runs of their own.
		before.Methods, before.Seeds, before.Controls, before.With = cfg.Methods, cfg.Seeds, cfg.Controls, cfg.With
		if err := sameSettings(guessedAs(*before, cfg), guessedAs(cfg, *before), func(settings.Setting) bool { return true }); err != nil {
			return err
		}
	}
	text, err := json.MarshalIndent(cfg, "", "  ")
	if err != nil {
		return err
	}
	text = append(text, '\n')
	if now, err := os.ReadFile(filepath.Join(cfg.Out, runs.CompareFile)); err == nil && bytes.Equal(now, text) {
		return nil
	}
	folder, err := runs.Open(cfg.Out)
	if err != nil {
		return err
	}
	return errors.Join(folder.Write(runs.CompareFile, text), folder.Close())
}

// readComparison reads the compare.json of a comparison's folder; nil if the
// folder is new or empty. Settings that an older version did not have are those
// of today's default.
func readComparison(dir string) (*settings.Config, error) {
	// The folder is listed first: whoever makes anything else in it wrote
	// compare.json before.
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("output folder: %w", err)
	}
	if cfg, err := stored(dir, runs.CompareFile, settings.Default()); cfg != nil || err != nil {
		return cfg, err
	}
	// Another shard may be writing its compare.json just now.
	other := func(e fs.DirEntry) bool { return e.Name() != runs.Own }
	if slices.ContainsFunc(entries, other) {
		return nil, fmt.Errorf("output folder %s is not empty, and is not of a comparison: choose another", dir)
	}
	return nil, nil
}
