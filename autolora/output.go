package autolora

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// Output is a run's folder of results. Every file in it appears whole or not
// at all, but for metrics.jsonl, which grows by whole lines.
type Output struct {
	Dir     string
	metrics *os.File
}

// The files of an output folder.
const (
	ConfigFile  = "config.json"
	MetricsFile = "metrics.jsonl"
	RanksFile   = "ranks.json"
	ResultsFile = "results.json"
	AdapterDir  = "adapter"
	ModelDir    = "model" // of full fine-tuning
)

var outputNames = []string{ConfigFile, MetricsFile, RanksFile, ResultsFile, AdapterDir, ModelDir}

// NewOutput makes the folder dir, or takes it if it is empty. With overwrite
// the results of an earlier run in it are removed; other files stay, and are
// an error without.
func NewOutput(dir string, overwrite bool) (*Output, error) {
	if dir == "" {
		return nil, errors.New("--out: no output folder is given")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("output folder: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("output folder: %w", err)
	}
	if len(entries) > 0 && !overwrite {
		return nil, fmt.Errorf("output folder %s is not empty: choose another with --out, or replace its results with --overwrite", dir)
	}
	for _, e := range entries {
		if slices.Contains(outputNames, e.Name()) {
			if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
				return nil, fmt.Errorf("output folder: %w", err)
			}
		}
	}
	metrics, err := os.OpenFile(filepath.Join(dir, MetricsFile), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, fmt.Errorf("output folder: %w", err)
	}
	return &Output{Dir: dir, metrics: metrics}, nil
}

// Path returns the path of a file in the folder.
func (o *Output) Path(name string) string { return filepath.Join(o.Dir, name) }

// Close closes metrics.jsonl.
func (o *Output) Close() error { return o.metrics.Close() }

// WriteJSON writes v, indented, as the file name.
func (o *Output) WriteJSON(name string, v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return WriteFile(o.Path(name), append(data, '\n'))
}

// Log appends one line to metrics.jsonl.
func (o *Output) Log(v any) error {
	line, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("write %s: %w", MetricsFile, err)
	}
	if _, err := o.metrics.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("write %s: %w", o.Path(MetricsFile), err)
	}
	return nil
}

// WriteFile writes data as path, whole or not at all: a temporary file in the
// same folder, synced, then renamed.
func WriteFile(path string, data []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
			err = fmt.Errorf("write %s: %w", path, err)
		}
	}()
	_, err = f.Write(data)
	if err == nil {
		err = f.Chmod(fs.FileMode(0o644))
	}
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	return err
}
