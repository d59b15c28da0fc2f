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
	"autolora/torchbind"
)

// Plan returns the settings of every run of the comparison that cfg asks for,
// in the order in which they are made: all methods of one seed, then of the
// next, so that a comparison that is stopped early has whole rows. Each run has
// a folder of its own, OUT/METHOD/seed-N. With the controls, AutoLoRA is
// followed by uniform LoRA at the parameters that it found and by its own ranks
// permuted over the layers.
func Plan(cfg Config) ([]Config, error) {
	switch {
	case cfg.Seeds < 1:
		return nil, fmt.Errorf("--seeds: got %d, want at least 1", cfg.Seeds)
	case len(cfg.Methods) == 0:
		return nil, errors.New("--methods: none is given")
	}
	chosen := cfg.Methods
	if cfg.Controls {
		chosen = runs.WithControls(chosen)
	}
	var plan []Config
	for i := range cfg.Seeds {
		for _, name := range inOrder(chosen) {
			c, err := planned(cfg, name, cfg.Seed+uint64(i))
			if err != nil {
				return nil, err
			}
			plan = append(plan, c)
		}
	}
	return plan, checkWith(cfg.With, chosen)
}

// inOrder returns the methods once each, in the order of the tables.
func inOrder(chosen []string) []string {
	var out []string
	for _, m := range methods {
		if slices.Contains(chosen, m.name) {
			out = append(out, m.name)
		}
	}
	for _, name := range chosen {
		if _, err := methodOf(name); err != nil {
			out = append(out, name) // an error, where it is planned
		}
	}
	return out
}

// planned returns the settings of one run.
func planned(cfg Config, name string, seed uint64) (Config, error) {
	folder := func(method string) string { return filepath.Join(cfg.Out, runs.SeedFolder(method, seed)) }
	c, err := Variant(cfg, name)
	if err != nil {
		return c, fmt.Errorf("--methods: %w", err)
	}
	c.Methods, c.Seeds, c.Controls, c.With = nil, 0, false, nil
	c.Seed, c.Out, c.Resume, c.Overwrite, c.RanksFile = seed, folder(name), true, false, ""
	if m, _ := methodOf(name); m.ranks == derived {
		if !slices.Contains(cfg.Methods, runs.MethodAutoLoRA) {
			return c, fmt.Errorf("--methods: %s is made of the ranks of %s, which is not among them", name, runs.MethodAutoLoRA)
		}
		c.RanksFile = filepath.Join(folder(runs.MethodAutoLoRA), runs.RanksFile)
	}
	for _, w := range cfg.With {
		o, err := parseOverride(w)
		if err != nil {
			return c, err
		}
		if o.method != name {
			continue
		}
		if err := c.Set(o.setting, o.value); err != nil {
			return c, fmt.Errorf("--with %s: %w", w, err)
		}
	}
	return c, c.Check()
}

// override is a setting of one method of a comparison: "full:lr=1e-4".
type override struct {
	method, setting string
	value           json.RawMessage
}

func parseOverride(text string) (override, error) {
	name, assignment, ok := strings.Cut(text, ":")
	setting, value, assigned := strings.Cut(assignment, "=")
	if !ok || !assigned || name == "" || setting == "" {
		return override{}, fmt.Errorf("--with: got %q, want METHOD:SETTING=VALUE, as in full:lr=1e-4", text)
	}
	if slices.Contains([]string{"out", "seed", "method", "resume", "overwrite"}, setting) {
		return override{}, fmt.Errorf("--with: got %q: the comparison itself sets %s", text, setting)
	}
	raw := json.RawMessage(value)
	if !json.Valid(raw) {
		quoted, err := json.Marshal(value)
		if err != nil {
			return override{}, err
		}
		raw = quoted
	}
	return override{name, setting, raw}, nil
}

// checkWith makes sure that every --with is for a method that is compared.
func checkWith(with, chosen []string) error {
	for _, w := range with {
		o, err := parseOverride(w)
		if err != nil {
			return err
		}
		if !slices.Contains(chosen, o.method) {
			return fmt.Errorf("--with: got %q, but %s is not compared: want one of %s", w, o.method, strings.Join(inOrder(chosen), ", "))
		}
	}
	return nil
}

// Set sets the setting that JSON and the flags call name.
func (c *Config) Set(name string, value json.RawMessage) error {
	entry, err := json.Marshal(map[string]json.RawMessage{name: value})
	if err != nil {
		return err
	}
	decoder := json.NewDecoder(bytes.NewReader(entry))
	decoder.DisallowUnknownFields()
	var wrong *json.UnmarshalTypeError
	switch err = decoder.Decode(c); {
	case errors.As(err, &wrong):
		return fmt.Errorf("%q: got %s, want a value of type %v", name, value, wrong.Type)
	case err != nil:
		return fmt.Errorf("unknown setting %q", name)
	}
	return nil
}

// Compare makes every run of the plan, or of a shard's share of it, that is not
// complete in its folder yet, going on where an earlier session was stopped. A
// run that fails for reasons of its own, as one that diverges, does not keep the
// others from being made; the error names them all in the end.
func Compare(ctx context.Context, cfg Config, plan []Config, rep Reporter) error {
	var err error
	if cfg.Processes.Writes() {
		err = openComparison(cfg)
	}
	if err := cfg.Processes.agree(err); err != nil {
		return err
	}
	rep = cfg.Processes.reporter(rep)
	var failed []error
	for i, c := range plan {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("stopped before run %d of %d: %w; the same command goes on from there", i+1, len(plan), err)
		}
		title := fmt.Sprintf("%s, seed %d", c.Method, c.Seed)
		done, err := completeRun(c)
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
		_, err = newJob(ctx, c, "compare", rep, (*job).perform)
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
	if failed != nil {
		return fmt.Errorf("%d of %d runs failed: %w", len(failed), len(plan), errors.Join(failed...))
	}
	return nil
}

// ownFault reports whether an error is of one run, and not of the comparison's
// settings or the machine.
func ownFault(err error) bool {
	return errors.As(err, new(*DivergedError)) || errors.Is(err, torchbind.ErrOutOfMemory)
}

// openComparison makes the folder of a comparison, or takes the one of an
// earlier session or another shard: compare.json in it says what it is.
func openComparison(cfg Config) error {
	if cfg.Out == "" {
		return errors.New("--out: no output folder is given")
	}
	before, err := readComparison(cfg.Out)
	if err != nil {
		return err
	}
	if before != nil {
		// These say which runs are made, or have a say only in runs of their own.
		before.Methods, before.Seeds, before.Controls, before.With = cfg.Methods, cfg.Seeds, cfg.Controls, cfg.With
		if err := sameSettings(*before, cfg); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(cfg.Out, 0o755); err != nil {
		return fmt.Errorf("output folder: %w", err)
	}
	folder := runs.Folder{Dir: cfg.Out}
	return folder.WriteJSON(runs.CompareFile, cfg)
}

// readComparison reads the compare.json of a comparison's folder; nil if the
// folder is new or empty. Settings that an older version did not have are those
// of today's default.
func readComparison(dir string) (*Config, error) {
	// The folder is listed first: whoever makes anything else in it wrote
	// compare.json before.
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("output folder: %w", err)
	}
	folder := runs.Folder{Dir: dir}
	cfg := DefaultConfig()
	switch err := folder.ReadJSON(runs.CompareFile, &cfg); {
	case err == nil:
		return &cfg, nil
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	// Another shard may be writing its compare.json just now.
	other := func(e fs.DirEntry) bool { return !strings.HasPrefix(e.Name(), "."+runs.CompareFile+".") }
	if slices.ContainsFunc(entries, other) {
		return nil, fmt.Errorf("output folder %s is not empty, and is not of a comparison: choose another with --out", dir)
	}
	return nil, nil
}
