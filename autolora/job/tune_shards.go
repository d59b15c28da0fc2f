package job

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"autolora/autolora/runs"
	"autolora/human"
)

// errShareDone ends a shard that has nothing more to do.
var errShareDone = errors.New("the trials are complete")

// shardFolder returns the folder in which a shard works: the first in that of the
// results, the others below it.
func shardFolder(home string, index int) string {
	if index == 1 {
		return home
	}
	return filepath.Join(home, runs.ShardFolder(index))
}

// merge takes the trials of a tune.json at path.
func (t *tuning) merge(before *runs.Tune, path string) error {
	same := len(before.Trials) == len(t.Trials) && slices.Equal(before.Rungs, t.Rungs) && before.Shards == t.Shards
	for i := 0; same && i < len(t.Trials); i++ {
		var compact bytes.Buffer // the file is indented
		same = json.Compact(&compact, before.Trials[i].Settings) == nil && compact.String() == string(t.Trials[i].Settings) && len(before.Trials[i].Rungs) <= len(t.Rungs)
	}
	if !same {
		return fmt.Errorf("%s is of another plan than this one: it was changed, or written by an earlier version or with other shards: choose another folder", path)
	}
	for i, trial := range before.Trials {
		for rung := len(t.Trials[i].Rungs); rung < len(trial.Rungs); rung++ {
			t.Trials[i].Reach(rung, trial.Rungs[rung])
		}
	}
	return nil
}

// owner returns the shard that makes a trial's part of a rung.
func (t *tuning) owner(n, rung int) int { return slices.Index(t.Survivors(rung), n)%t.shard.Of + 1 }

// folder returns where a shard works.
func (t *tuning) folder(shard int) string {
	if shard == t.shard.Index {
		return t.out.Dir
	}
	return shardFolder(t.home, shard)
}

// look is how long a shard waits before it looks again for what the others have made.
var look = time.Second

// wait waits until all trials of a rung are made, and takes those of other shards. It
// gives up when nothing has come from them for as many looks as processes wait seconds
// for each other.
func (t *tuning) wait(rung int, members []int) error {
	mark := fmt.Sprintf("wait-%d", rung+1)
	switch {
	case t.resumed == nil:
		if err := t.enter(mark); err != nil {
			return err
		}
	case !t.completed(mark):
		t.resumed.close()
		t.resumed = nil
	}
	for left, idle := -1, 0; ; idle++ {
		missing := map[int]int{} // trials of each shard
		for _, n := range members {
			if len(t.Trials[n].Rungs) <= rung {
				missing[t.owner(n, rung)]++
			}
		}
		total := 0
		for _, shard := range slices.Sorted(maps.Keys(missing)) {
			total += missing[shard]
			if err := t.visit(shard); err != nil {
				return err
			}
		}
		switch {
		case total == 0:
			return nil
		case left < 0:
			t.session.rep.Note(fmt.Sprintf("rung %d: waiting for %s of other shards", rung+1, human.Count(total, "trial")))
		case total < left:
			idle = 0
		case idle > t.cfg.ProcessTimeout:
			shards := slices.Sorted(maps.Keys(missing))
			return &ResumableError{fmt.Errorf("rung %d lacks %s of other shards (%v), and none has come for %v: start those, and this one again", rung+1, human.Count(total, "trial"), shards, time.Duration(t.cfg.ProcessTimeout)*time.Second)}
		}
		left = total
		select {
		case <-t.ctx.Done():
			return &ResumableError{fmt.Errorf("stopped while waiting for other shards: %w", t.ctx.Err())}
		case <-time.After(look):
		}
	}
}

// visit takes the trials of another shard, as far as it has made them.
func (t *tuning) visit(shard int) error {
	dir := shardFolder(t.home, shard)
	before, err := readSavedConfig(dir)
	if err != nil || before == nil { // it has not begun
		return err
	}
	own := t.savedConfig(tuneCommand)
	if err := before.same(own.Settings, tuneCommand); err != nil {
		return err
	}
	if !maps.Equal(before.About.Data, own.About.Data) {
		return fmt.Errorf("shard %d has other data than this one: want the same files for all", shard)
	}
	made, err := runs.ReadTune(dir)
	if err != nil || made == nil {
		return err
	}
	return t.merge(made, filepath.Join(dir, runs.TuneFile))
}
