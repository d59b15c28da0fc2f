package runs

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// Folder is a run's folder of results. Every file in it appears whole or not
// at all, but for metrics.jsonl, which grows by whole lines.
type Folder struct {
	Dir     string
	metrics *os.File
}

// The files of an output folder.
const (
	ConfigFile  = "config.json"
	MetricsFile = "metrics.jsonl"
	RanksFile   = "ranks.json"
	GridFile    = "grid.json" // configurations of a grid search and their scores
	ResultsFile = "results.json"
	AdapterDir  = "adapter"
	ModelDir    = "model" // of full fine-tuning
	Checkpoint  = "checkpoint"
)

// Names lists the files and folders that a run writes.
var Names = []string{ConfigFile, MetricsFile, RanksFile, GridFile, ResultsFile, AdapterDir, ModelDir, Checkpoint}

// Create makes the folder dir, or takes it if it is empty. With overwrite
// the results of an earlier run in it are removed; other files stay, and are
// an error without.
func Create(dir string, overwrite bool) (*Folder, error) {
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
		if slices.Contains(Names, e.Name()) {
			if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
				return nil, fmt.Errorf("output folder: %w", err)
			}
		}
	}
	metrics, err := os.OpenFile(filepath.Join(dir, MetricsFile), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, fmt.Errorf("output folder: %w", err)
	}
	return &Folder{Dir: dir, metrics: metrics}, nil
}

// Path returns the path of a file in the folder.
func (f *Folder) Path(name string) string { return filepath.Join(f.Dir, name) }

// Close closes metrics.jsonl.
func (f *Folder) Close() error { return f.metrics.Close() }

// WriteJSON writes v, indented, as the file name.
func (f *Folder) WriteJSON(name string, v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return WriteFile(f.Path(name), append(data, '\n'))
}

// Log appends one line to metrics.jsonl.
func (f *Folder) Log(v any) error {
	line, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("write %s: %w", MetricsFile, err)
	}
	if _, err := f.metrics.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("write %s: %w", f.Path(MetricsFile), err)
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
