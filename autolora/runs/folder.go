package runs

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"autolora/atomicfile"
)

// Folder is a run's folder of results. Every file in it appears whole or not
// at all, but for metrics.jsonl, which grows by whole lines.
type Folder struct {
	Dir      string
	metrics  *os.File
	readOnly bool
}

// ReadOnly returns the folder as seen by a process that leaves the writing to
// another: what writes does nothing.
func ReadOnly(dir string) *Folder { return &Folder{Dir: dir, readOnly: true} }

// Writes reports whether what is written into the folder is kept.
func (f *Folder) Writes() bool { return !f.readOnly }

// The files of an output folder.
const (
	ConfigFile  = "config.json"
	MetricsFile = "metrics.jsonl"
	RanksFile   = "ranks.json"
	GridFile    = "grid.json" // configurations of a grid search and their scores
	ResultsFile = "results.json"
	// HypothesesFile has what was generated, a line for every example.
	HypothesesFile = "hypotheses.txt"
	AdapterDir     = "adapter"
	ModelDir       = "model" // of full fine-tuning
	Checkpoint     = "checkpoint"
	TensorBoard    = "tensorboard"
	ReportFile     = "report.html"

	// CompareFile is the settings of a comparison, above the folders of its runs.
	CompareFile = "compare.json"
)

// Names lists the files and folders that a run writes.
var Names = []string{ConfigFile, MetricsFile, RanksFile, GridFile, ResultsFile, HypothesesFile, AdapterDir, ModelDir, Checkpoint, TensorBoard, ReportFile}

// Create makes the folder dir, or takes it if it is empty. With overwrite
// the results of an earlier run in it are removed; other files stay, and are
// an error without.
func Create(dir string, overwrite bool) (*Folder, error) {
	if dir == "" {
		return nil, errors.New("no output folder is given")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("output folder: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("output folder: %w", err)
	}
	if len(entries) > 0 && !overwrite {
		return nil, fmt.Errorf("output folder %s %w", dir, ErrNotEmpty)
	}
	if err := remove(dir, Owns); err != nil {
		return nil, fmt.Errorf("output folder: %w", err)
	}
	metrics, err := os.OpenFile(filepath.Join(dir, MetricsFile), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, fmt.Errorf("output folder: %w", err)
	}
	return &Folder{Dir: dir, metrics: metrics}, nil
}

// ErrNotEmpty says that a folder for a new run holds something.
var ErrNotEmpty = errors.New("is not empty")

// Reopen opens the folder of a run that was stopped, to go on with it. Its
// metrics.jsonl is cut to metricsSize: what came later is done again.
func Reopen(dir string, metricsSize int64) (*Folder, error) {
	if err := remove(dir, temporary); err != nil {
		return nil, fmt.Errorf("output folder: %w", err)
	}
	path := filepath.Join(dir, MetricsFile)
	metrics, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, fmt.Errorf("output folder: %w", err)
	}
	info, err := metrics.Stat()
	if err == nil && info.Size() < metricsSize {
		err = fmt.Errorf("%s has %d bytes, the checkpoint was written at %d: it was changed", path, info.Size(), metricsSize)
	}
	if err == nil {
		err = metrics.Truncate(metricsSize)
	}
	if err != nil {
		metrics.Close()
		return nil, fmt.Errorf("output folder: %w", err)
	}
	return &Folder{Dir: dir, metrics: metrics}, nil
}

// Owns reports whether a run writes a file or folder of that name, or left it
// behind when it was killed.
func Owns(name string) bool { return slices.Contains(Names, name) || temporary(name) }

// temporary reports whether name is what package atomicfile calls a file or folder
// in the writing.
func temporary(name string) bool {
	return slices.ContainsFunc(Names, func(final string) bool {
		return strings.HasPrefix(name, "."+final+".")
	})
}

// remove removes the files and folders in dir whose names are unwanted.
func remove(dir string, unwanted func(name string) bool) error {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		if unwanted(e.Name()) {
			err = errors.Join(err, os.RemoveAll(filepath.Join(dir, e.Name())))
		}
	}
	return err
}

// Path returns the path of a file in the folder.
func (f *Folder) Path(name string) string { return filepath.Join(f.Dir, name) }

// Close closes metrics.jsonl.
func (f *Folder) Close() error {
	if f.readOnly {
		return nil
	}
	return f.metrics.Close()
}

// WriteJSON writes v, indented, as the file name.
func (f *Folder) WriteJSON(name string, v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return f.Write(name, append(data, '\n'))
}

// Write writes data as the file name.
func (f *Folder) Write(name string, data []byte) error {
	if f.readOnly {
		return nil
	}
	return atomicfile.WriteFile(f.Path(name), data)
}

// ReadJSON reads the file name into v. The error is fs.ErrNotExist where there
// is none.
func (f *Folder) ReadJSON(name string, v any) error {
	data, err := os.ReadFile(f.Path(name))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("%s: not what a run writes: %w", f.Path(name), err)
	}
	return nil
}

// Finish removes what a complete run needs no more: its checkpoint, and what
// was half-written when it was killed.
func (f *Folder) Finish() error {
	if f.readOnly {
		return nil
	}
	err := errors.Join(os.RemoveAll(f.Path(Checkpoint)), remove(f.Dir, temporary))
	if err != nil {
		return fmt.Errorf("output folder: %w", err)
	}
	return nil
}

// Log appends one line to metrics.jsonl.
func (f *Folder) Log(v any) error {
	if f.readOnly {
		return nil
	}
	line, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("write %s: %w", MetricsFile, err)
	}
	if _, err := f.metrics.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("write %s: %w", f.Path(MetricsFile), err)
	}
	return nil
}

// SyncMetrics flushes metrics.jsonl to the disk and returns its size in bytes.
func (f *Folder) SyncMetrics() (int64, error) {
	if f.readOnly {
		return 0, nil
	}
	err := f.metrics.Sync()
	var info fs.FileInfo
	if err == nil {
		info, err = f.metrics.Stat()
	}
	if err != nil {
		return 0, fmt.Errorf("%s: %w", f.Path(MetricsFile), err)
	}
	return info.Size(), nil
}
