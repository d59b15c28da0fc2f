package job

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"

	"autolora/autolora/runs"
	"autolora/autolora/settings"
	"autolora/autolora/tensorboard"
)

// openFolder opens the output folder, in all processes at the same place of the
// run.
func (j *job) openFolder(command string) error {
	config := j.savedConfig(command)
	if err := j.session.procs.same(config, j.session.arch); err != nil {
		return err
	}
	var err error
	if j.session.procs.Writes() {
		err = j.ownFolder(config)
	}
	if err := j.session.procs.agree(err); err != nil {
		return err
	}
	if !j.session.procs.Writes() {
		j.out = runs.ReadOnly(j.cfg.Out)
		err = j.findCheckpoint(config)
	}
	if err := j.session.procs.agree(err); err != nil {
		return err
	}
	place := "the start"
	if c := j.resumed; c != nil {
		place = fmt.Sprintf("step %d of %s", c.Step, c.Phase)
	}
	places, err := gather(j.session.procs, place)
	if err != nil {
		return err
	}
	for i, p := range places {
		if p != places[0] {
			return settings.Errorf("resume", "process 0 finds the run in %s at %s, process %d at %s: the folder has to be on a file system that all processes share", j.cfg.Out, places[0], i, p)
		}
	}
	return nil
}

// ownFolder opens a new folder, or with --resume the one of an earlier session
// of the same run, which goes on where its checkpoint stands.
func (j *job) ownFolder(config savedConfig) (err error) {
	if j.cfg.TensorBoard {
		defer func() {
			if err == nil {
				j.events, err = tensorboard.New(j.out.Path(runs.TensorBoard))
			}
		}()
	}
	if err := j.findCheckpoint(config); err != nil {
		return err
	}
	if c := j.resumed; c != nil {
		if c.Version != Version {
			j.session.rep.Note(fmt.Sprintf("the checkpoint was written by version %s, this is %s: results may differ from those of one version", c.Version, Version))
		}
		j.session.rep.Note(fmt.Sprintf("going on after step %d of %s", c.Step, c.Phase))
		j.out, err = runs.Reopen(j.cfg.Out, c.Metrics)
		return err
	}
	if j.out, err = runs.Create(j.cfg.Out, j.cfg.Overwrite || j.cfg.Resume && holdsOnlyRun(j.cfg.Out)); err != nil {
		return err
	}
	return j.out.WriteJSON(runs.ConfigFile, config)
}

// closeFolder closes the output folder and an unused checkpoint.
func (j *job) closeFolder() {
	if j.resumed != nil {
		j.resumed.close()
	}
	if j.events != nil {
		j.events.Close()
	}
	if j.out != nil {
		j.out.Close()
	}
}

// findCheckpoint opens the checkpoint of an earlier session of this run, if
// there is one and the run is to go on, and takes its results.
func (j *job) findCheckpoint(now savedConfig) error {
	if !j.cfg.Resume {
		return nil
	}
	before, err := readSavedConfig(j.cfg.Out)
	if err != nil || before == nil {
		return err
	}
	if err := sameSettings(before.Settings, now.Settings); err != nil {
		return err
	}
	if !maps.Equal(before.About.Data, now.About.Data) {
		return fmt.Errorf("the data have changed since the run in %s began: choose another folder", j.cfg.Out)
	}
	if j.resumed, err = openCheckpoint(j.cfg.Out); j.resumed != nil {
		j.results = j.resumed.Results
	}
	return err
}

// completeRun returns the outcome of a run that is in cfg.Out and complete; nil
// if there is none.
func completeRun(cfg settings.Config) (*Outcome, error) {
	before, err := readSavedConfig(cfg.Out)
	if err != nil || before == nil {
		return nil, err
	}
	results, err := stored(cfg.Out, runs.ResultsFile, runs.Results{})
	if err != nil || results == nil {
		return nil, err
	}
	if err := sameSettings(before.Settings, cfg); err != nil {
		return nil, err
	}
	folder := runs.Folder{Dir: cfg.Out}
	if err := folder.Finish(); err != nil { // it was killed just before
		return nil, err
	}
	out := &Outcome{Results: results}
	for _, name := range runs.Names {
		if _, err := os.Stat(folder.Path(name)); err == nil {
			out.Files = append(out.Files, name)
		}
	}
	if slices.Contains(out.Files, runs.RanksFile) {
		ranks, err := runs.ReadRanks(folder.Path(runs.RanksFile))
		if err != nil {
			return nil, err
		}
		out.Ranks = &ranks
	}
	return out, nil
}

// holdsOnlyRun reports whether a folder holds nothing but what a run writes.
func holdsOnlyRun(dir string) bool {
	entries, err := os.ReadDir(dir)
	return err == nil && !slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return !runs.Owns(e.Name()) })
}

// completed reports whether an earlier session completed the phase: the
// checkpoint is of a later one.
func (j *job) completed(phase string) bool { return j.resumed != nil && j.resumed.Phase != phase }

// enter marks the beginning of a phase that follows another, so that what is
// complete is not done again. The marker has no tensors.
func (j *job) enter(phase string) error {
	if j.cfg.SaveEvery == 0 {
		return nil
	}
	size, err := j.out.SyncMetrics()
	if err != nil {
		return err
	}
	return saveCheckpoint(j.out, progress{Phase: phase, Results: j.results, Metrics: size, Version: Version}, nil)
}

// replaced returns the path of a folder that the run writes, having removed what
// an earlier session left there.
func (j *job) replaced(name string) (string, error) {
	path := j.out.Path(name)
	if err := os.RemoveAll(path); err != nil {
		return "", fmt.Errorf("output folder: %w", err)
	}
	return path, nil
}
