package job

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"slices"

	"autolora/autolora/runs"
	"autolora/autolora/settings"
	"autolora/autolora/tensorboard"
	"autolora/data"
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
		j.out = runs.ReadOnly(runs.Where(j.cfg.Out))
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
			return fmt.Errorf("process 0 finds the run in %s at %s, process %d at %s: the folder has to be on a file system that all processes share", j.cfg.Out, places[0], i, p)
		}
	}
	return nil
}

// ownFolder opens a new folder, or with --resume the one of an earlier session
// of the same run, which goes on where its checkpoint stands.
func (j *job) ownFolder(config savedConfig) (err error) {
	if j.out, err = runs.Open(j.cfg.Out); err != nil {
		return err
	}
	if !j.out.Locked() {
		j.session.rep.Note(fmt.Sprintf("the file system of %s has no locks: see to it that no other run works there", j.cfg.Out))
	}
	if err := j.findCheckpoint(config); err != nil {
		return err
	}
	if c := j.resumed; c != nil {
		if c.Version != Version {
			j.session.rep.Note(fmt.Sprintf("the checkpoint was written by version %s, this is %s: results may differ from those of one version", c.Version, Version))
		}
		j.session.rep.Note(fmt.Sprintf("going on after step %d of %s", c.Step, c.Phase))
		err = j.out.Reopen(c.Metrics)
	} else if err = j.out.Begin(j.cfg.Resume, j.cfg.Overwrite); err == nil {
		err = j.out.WriteJSON(runs.ConfigFile, config)
	}
	if err != nil {
		return err
	}
	if j.out.Beside() {
		j.session.rep.Note(fmt.Sprintf("the earlier results in %s stay until this run is complete, which works in %s", j.cfg.Out, j.out.Dir))
	}
	if !j.cfg.TensorBoard {
		return nil
	}
	return j.out.Grow(runs.TensorBoard+"/"+tensorboard.Name(), func(path string) error {
		j.events, err = tensorboard.Create(path)
		return err
	})
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
	dir := runs.Where(j.cfg.Out)
	before, err := readSavedConfig(dir)
	if err != nil || before == nil {
		return err
	}
	if err := before.same(now.Settings, now.About.Command); err != nil {
		return err
	}
	if err := before.unchanged(now.About.Data, j.cfg.Out); err != nil {
		return err
	}
	if j.resumed, err = openCheckpoint(dir, checkpointName); j.resumed != nil {
		j.results = j.resumed.Results
	}
	return err
}

// completeRun returns the outcome of a command's run that is in cfg.Out and complete;
// nil if there is none.
func completeRun(ctx context.Context, procs *Processes, cfg settings.Config, command string, read readings) (*Outcome, error) {
	var err error
	if procs.Writes() {
		err = runs.Settle(cfg.Out)
	}
	if err := procs.agree(err); err != nil {
		return nil, err
	}
	if runs.Where(cfg.Out) != cfg.Out { // another run is to replace it
		return nil, nil
	}
	before, err := readSavedConfig(cfg.Out)
	if err != nil || before == nil {
		return nil, err
	}
	results, err := stored(cfg.Out, runs.ResultsFile, runs.Results{})
	if err != nil || results == nil {
		return nil, err
	}
	if length, _ := cfg.Find("max-length"); length.IsDefault() {
		cfg.MaxLength = min(cfg.MaxLength, before.Settings.MaxLength) // see fitLength
	}
	if err = before.same(guessedAs(cfg, before.Settings), command); err == nil {
		err = read.unchanged(ctx, before, cfg)
	}
	if err := procs.agree(err); err != nil {
		return nil, err
	}
	folder, out := runs.ReadOnly(cfg.Out), &Outcome{Results: results}
	for _, name := range runs.Names {
		if _, err := os.Stat(folder.Path(name)); err == nil {
			out.Files = append(out.Files, name)
		}
	}
	if slices.Contains(out.Files, runs.RanksFile) {
		ranks, err := folder.Ranks()
		if err != nil {
			return nil, err
		}
		out.Ranks = &ranks
	}
	out.Pruning, err = stored(cfg.Out, runs.PruneFile, runs.Pruning{})
	return out, err
}

// guessedAs returns cfg with what another session says or guessed of the same files, where it does not say it.
func guessedAs(cfg, before settings.Config) settings.Config {
	if kind, err := data.ParseKind(string(cmp.Or(cfg.Kind, before.Kind))); err == nil {
		cfg.Kind = kind
	}
	if len(cfg.Text) == 0 {
		cfg.Text = before.Text
	}
	cfg.Label = cmp.Or(cfg.Label, before.Label)
	return cfg
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
	return saveCheckpoint(j.out, checkpointName, progress{Phase: phase, Results: j.results, Metrics: size, Version: Version}, nil)
}

// checkOut returns an error if the output folder is, holds or lies in something that
// the run reads.
func checkOut(cfg settings.Config, model string) error {
	return runs.Apart(cfg.Out,
		runs.Input{What: "model", Path: model}, runs.Input{What: "data", Path: cfg.Data}, runs.Input{What: "training data", Path: cfg.TrainFile},
		runs.Input{What: "dev data", Path: cfg.DevFile}, runs.Input{What: "ranks", Path: cfg.RanksFile}, runs.Input{What: "adapter", Path: cfg.Adapter}, runs.Input{What: "paraphrases", Path: cfg.Paraphrases},
		runs.Input{What: "word lists", Path: cfg.Meteor})
}
