package job

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"runtime"
	"slices"
	"time"

	"autolora/autolora/runs"
	"autolora/autolora/settings"
	"autolora/data"
	"autolora/nn/peft"
	"autolora/plainjson"
	"autolora/torchbind"
)

// about is what config.json says beside the settings.
type about struct {
	Command string `json:"command"`
	Version string `json:"version"`
	Go      string `json:"go"`
	Torch   string `json:"libtorch"`
	CPU     string `json:"cpu_capability"`
	Device  string `json:"device"`
	Threads int    `json:"threads"`
	// Processes shared the run; 0 for one.
	Processes int       `json:"processes,omitempty"`
	Revision  string    `json:"revision,omitempty"`
	Began     time.Time `json:"began"`
	// Data are the SHA-256 of the files of each part, and of those of the ranks and of the adapter to cut, if there are any.
	Data map[string]string `json:"data"`
	// Chosen are the settings whose values were not given, but chosen by trials.
	Chosen []string `json:"chosen,omitempty"`
}

// savedConfig is config.json: every setting as resolved, and about.
type savedConfig struct {
	Settings settings.Config
	About    about
}

func (c savedConfig) MarshalJSON() ([]byte, error) {
	text, err := json.Marshal(c.Settings)
	if err != nil {
		return nil, err
	}
	about, err := json.Marshal(c.About)
	return slices.Concat(text[:len(text)-1], []byte(`,"about":`), about, []byte("}")), err
}

func (c *savedConfig) UnmarshalJSON(text []byte) error {
	if err := plainjson.Unmarshal(text, &c.Settings); err != nil {
		return err
	}
	return plainjson.Unmarshal(text, &struct {
		About *about `json:"about"`
	}{&c.About})
}

func (j *job) savedConfig(command string) savedConfig {
	a := about{
		Command: command, Version: Version, Revision: Commit(), Go: runtime.Version(), Torch: torchbind.Version(), CPU: torchbind.CPUCapability(),
		Device: j.session.device.String(), Threads: torchbind.NumThreads(), Began: time.Now().UTC().Truncate(time.Second), Data: fingerprints(j.session.splits.Train, j.scored),
	}
	if j.ranks != nil {
		a.Data[ranksData] = j.ranks.Fingerprint
	}
	if j.adapterSum != "" {
		a.Data[adapterData] = j.adapterSum
	}
	if n := j.session.procs.size(); n > 1 {
		a.Processes = n
	}
	return savedConfig{j.cfg, a}
}

// fingerprints returns the SHA-256 sums of the files of each part; train may be nil.
func fingerprints(train *data.Dataset, scored []*data.Dataset) map[string]string {
	sums := map[string]string{}
	if train != nil {
		sums[trainData] = train.Fingerprint
	}
	for _, d := range scored {
		sums[d.Name+d.Variant] = d.Fingerprint
	}
	return sums
}

// Keys of about.Data beside the names of dev and test sets.
const (
	trainData   = "train"
	ranksData   = "ranks"
	adapterData = "adapter"
)

// readings are the fingerprints of data that were read already, by the settings that say
// which: a comparison has many runs on the same.
type readings map[string]map[string]string

// unchanged returns an error if the data, the ranks or the adapter of a complete run have
// changed since. Where they are gone, there is nothing to compare.
func (r readings) unchanged(ctx context.Context, before *savedConfig, now settings.Config) error {
	parts := []data.Part{now.EvalOn}
	if before.About.Data[trainData] != "" {
		parts = append(parts, data.Train)
	}
	key := fmt.Sprintf("%q", []any{parts, now.Task, now.Data, now.TrainFile, now.DevFile, now.Kind, now.Text, now.Label})
	if r[key] == nil {
		splits, err := readAlone(ctx, now, parts...)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		} else if err != nil {
			return err
		}
		r[key] = fingerprints(splits.Train, slices.Concat(splits.Dev, splits.Test)) // of which one was read
	}
	sums := maps.Clone(r[key])
	if sum := before.About.Data[ranksData]; sum != "" {
		ranks, err := runs.ReadRanks(now.RanksFile)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		sums[ranksData] = cmp.Or(ranks.Fingerprint, sum)
	}
	if sum := before.About.Data[adapterData]; sum != "" {
		adapter, err := peft.Fingerprint(now.Adapter)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		sums[adapterData] = cmp.Or(adapter, sum)
	}
	return before.unchanged(sums, now.Out)
}

// unchanged returns an error if the files of the run in out have other sums now. Those
// of ranks and adapters were not kept always.
func (c savedConfig) unchanged(now map[string]string, out string) error {
	for part, sum := range c.About.Data {
		if now[part] == sum {
			continue
		}
		what := "data have"
		switch part {
		case ranksData:
			what = "ranks have"
		case adapterData:
			what = "adapter has"
		}
		return fmt.Errorf("the %s changed since the run in %s began: choose another folder", what, out)
	}
	return nil
}

// readSavedConfig reads the config.json of a run's folder; nil if there is none.
// Settings that an older version did not have are those of today's default.
func readSavedConfig(dir string) (*savedConfig, error) {
	return stored(dir, runs.ConfigFile, savedConfig{Settings: settings.Default()})
}

// stored reads a file of a folder over the values in v; nil if there is none.
func stored[T any](dir, name string, v T) (*T, error) {
	switch err := runs.ReadOnly(dir).ReadJSON(name, &v); {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	}
	return &v, nil
}

// ErrBegun says that a folder holds a run of other settings than those that are to
// go on with it.
var ErrBegun = errors.New("was begun with")

// whole are the commands that do the whole of a method: one goes on with what another
// began.
var whole = []string{"run", "train", compareCommand}

// same returns an error if an earlier session of a run was of another command, or about
// the first setting in which it differs, among those that change its results and that it
// was given.
func (c savedConfig) same(now settings.Config, command string) error {
	if before := c.About.Command; before != command && !(slices.Contains(whole, before) && slices.Contains(whole, command)) {
		return settings.Errorf("out", "the run in %s %w %s, not %s", now.Out, ErrBegun, before, command)
	}
	chooses := now.LR == settings.Auto || c.About.Command == tuneCommand
	ranks := now.RanksFile != "" && c.About.Data[ranksData] != "" // wherever the file is: unchanged compares what it says
	return sameSettings(c.Settings, now, func(s settings.Setting) bool {
		return (!ranks || s.Name != "ranks") && (!chooses || !slices.Contains(c.About.Chosen, s.Name)) && (now.DType != settings.AutoWord || s.Name != "dtype")
	})
}

// sameSettings is same among those settings that which reports.
func sameSettings(before, now settings.Config, which func(settings.Setting) bool) error {
	a, b := settings.Differing(before, now, func(s settings.Setting) bool { return s.Effect != settings.Bookkeeping && which(s) })
	if a == nil {
		return nil
	}
	if a.Name == "search-lr" { // which follows lr, if that is what differs
		if lr, its := settings.Differing(before, now, func(s settings.Setting) bool { return s.Name == "lr" && which(s) }); lr != nil {
			a, b = lr, its
		}
	}
	return settings.Errorf(a.Name, "got %s, but the run in %s %w %s", b.Words(), now.Out, ErrBegun, a.Words())
}
