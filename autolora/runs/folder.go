package runs

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"autolora/atomicfile"
	"autolora/foreign"
	"autolora/plainjson"
)

// Folder is a folder of results that this process writes. Every file in it
// appears whole or not at all, but for those that grow by whole lines.
//
// What was written into it is on a list, by size and sum, in its folder [Own].
// Nothing else is ever removed or replaced.
type Folder struct {
	Dir string // where it works: the folder that was asked for, or one below it

	home     string   // the folder that was asked for
	made     []string // folders that were made for it, the innermost first
	held     *os.File // the lock; nil without
	written  written
	fresh    bool // what this session has written is no more than the beginning of a run
	logged   bool // metrics.jsonl has a line
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
	TuneFile    = "tune.json" // trials of settings, and what was chosen
	TuneDir     = "tune"      // states of trials
	ResultsFile = "results.json"
	LossesFile  = "losses.json" // the loss of every example that was evaluated
	PruneFile   = "prune.json"  // sizes to which an adapter was cut, and their losses
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
var Names = []string{ConfigFile, MetricsFile, RanksFile, GridFile, TuneFile, TuneDir, PruneFile, ResultsFile, LossesFile, HypothesesFile, AdapterDir, ModelDir, Checkpoint, TensorBoard, ReportFile}

// ShardFolder is the folder in which a shard of a choice by trials works, below that
// of the first.
func ShardFolder(index int) string { return fmt.Sprintf("%s%d", shardPrefix, index) }

// IsShard reports whether that is the name of a shard's folder.
func IsShard(name string) bool { return strings.HasPrefix(name, shardPrefix) }

const shardPrefix = "shard-"

// Own is the folder in a folder of results that is not for people: the list of
// what was written, the lock, and what is being written.
const Own = ".autolora"

// What is in the folder Own.
const (
	listFile = "written.json"
	lockFile = "lock"
	tempDir  = "tmp"  // what is being written, under the names of one session
	nextDir  = "next" // the folder of a run that will replace the one that is there
	doneDir  = "done" // the same, complete: it takes that one's place
)

// Where is the folder in which the run of a folder of results works: that folder,
// or where an earlier run's results stay until it is complete, one below it.
func Where(dir string) string {
	if next := filepath.Join(dir, Own, nextDir); isFolder(next) {
		return next
	}
	return dir
}

// Below returns a folder in dir, at most four levels deep, with a file of that name, or ""
// if there is none: a comparison has one for each run.
func Below(dir, name string) string {
	for level := "[^.]*"; strings.Count(level, "*") <= 4; level = filepath.Join(level, "[^.]*") {
		if found, err := filepath.Glob(filepath.Join(dir, level, name)); err == nil && len(found) > 0 {
			return filepath.Dir(found[0])
		}
	}
	return ""
}

// isFolder reports whether there is a folder, and not only a link to one.
func isFolder(path string) bool {
	info, err := os.Lstat(path)
	return err == nil && info.IsDir()
}

func isThere(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// Open makes the folder dir, if it is missing, and keeps other processes from
// writing there until it is closed. What a session left half-done that was
// killed is done, or goes.
func Open(dir string) (*Folder, error) {
	if dir == "" {
		return nil, errors.New("no output folder is given")
	}
	dir = filepath.Clean(dir)
	f := &Folder{Dir: dir, home: dir}
	if err := f.open(); err != nil {
		f.undo()
		if f.held != nil {
			f.held.Close()
		}
		if errors.Is(err, ErrInUse) {
			return nil, err
		}
		return nil, fmt.Errorf("output folder: %w", err)
	}
	return f, nil
}

func (f *Folder) open() (err error) {
	own := filepath.Join(f.home, Own)
	for at := own; !isThere(at); at = filepath.Dir(at) {
		f.made = append(f.made, at)
	}
	if err := os.MkdirAll(own, 0o777); err != nil {
		return err
	}
	if !isFolder(own) {
		return fmt.Errorf("%s is no folder: it cannot be one of autolora", own)
	}
	if f.held, err = lock(f.home); err != nil {
		return err
	}
	if f.written, err = readWritten(f.home); err != nil {
		return err
	}
	entries, err := os.ReadDir(own)
	for _, e := range entries {
		if e.Name() == tempDir || strings.HasPrefix(e.Name(), "."+listFile+".") { // of package atomicfile
			err = errors.Join(err, os.RemoveAll(filepath.Join(own, e.Name())))
		}
	}
	return errors.Join(err, f.swap())
}

// Locked reports whether other processes are kept from writing: there are file
// systems that cannot.
func (f *Folder) Locked() bool { return f.readOnly || f.held != nil }

// Begin begins a run in the folder. It must be new or empty, but for what a run
// left that was killed before its first step. With again the run is one that was
// killed before it had saved anything, and what it left goes. With overwrite the
// results of an earlier run may be there: they go when the new ones are complete,
// and until then the run works in a folder below. Files that no run wrote stay;
// where a run writes, they are an error.
func (f *Folder) Begin(again, overwrite bool) error {
	earlier, others, err := f.entries()
	if err != nil {
		return fmt.Errorf("output folder: %w", err)
	}
	next := filepath.Join(f.home, Own, nextDir)
	beside := again && isFolder(next)
	switch {
	case beside, len(earlier) == 0 && (overwrite || !others):
	case overwrite:
		if err := f.Replaceable(earlier...); err != nil {
			return fmt.Errorf("output folder: %w", err)
		}
		beside = true
	case others || !f.lost(earlier, again):
		return fmt.Errorf("output folder %s %w", f.home, ErrNotEmpty)
	}
	if err = os.RemoveAll(next); err == nil {
		if beside {
			f.Dir, f.written = next, written{}
			err = os.MkdirAll(filepath.Join(next, Own), 0o777)
		} else {
			err = f.Remove(earlier...)
		}
	}
	if err == nil {
		f.fresh = true
		err = f.enter(MetricsFile, firstBytes(nil))
	}
	if err == nil {
		f.metrics, err = os.OpenFile(f.Path(MetricsFile), os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o666)
	}
	if err != nil {
		return fmt.Errorf("output folder: %w", err)
	}
	return nil
}

// ErrNotEmpty says that a folder for a new run holds something.
var ErrNotEmpty = errors.New("is not empty")

// entries returns the names of a run's files in the folder, and whether there are
// others.
func (f *Folder) entries() (names []string, others bool, err error) {
	entries, err := os.ReadDir(f.home)
	for _, e := range entries {
		if slices.Contains(Names, e.Name()) {
			names = append(names, e.Name())
		} else if e.Name() != Own && !IsShard(e.Name()) {
			others = true
		}
	}
	return names, others, err
}

// lost reports whether nothing is lost with these files: a run wrote them that
// was not completed, to be begun again, or that never took a step.
func (f *Folder) lost(names []string, again bool) bool {
	for _, name := range names {
		foreign, err := f.written.foreign(f.home, name)
		if err != nil || foreign != "" || name == ResultsFile {
			return false
		}
		if info, err := os.Stat(filepath.Join(f.home, name)); !again && name != ConfigFile && (err != nil || name != MetricsFile || info.Size() > 0) {
			return false
		}
	}
	return true
}

// Beside reports whether the run works in a folder below the one that was asked
// for.
func (f *Folder) Beside() bool { return !f.readOnly && f.Dir != f.home }

// Reopen goes on with a run that was stopped. Its metrics.jsonl is cut to
// metricsSize: what came later is done again.
func (f *Folder) Reopen(metricsSize int64) error {
	if f.Dir = Where(f.home); f.Beside() {
		var err error
		if f.written, err = readWritten(f.Dir); err != nil {
			return fmt.Errorf("output folder: %w", err)
		}
	}
	metrics, err := os.OpenFile(f.Path(MetricsFile), os.O_WRONLY|os.O_APPEND|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return fmt.Errorf("output folder: %w", err)
	}
	info, err := metrics.Stat()
	if err == nil && info.Size() < metricsSize {
		err = fmt.Errorf("%s has %d bytes, the checkpoint was written at %d: it was changed", f.Path(MetricsFile), info.Size(), metricsSize)
	}
	if err == nil {
		err = metrics.Truncate(metricsSize)
	}
	if err != nil {
		metrics.Close()
		return fmt.Errorf("output folder: %w", err)
	}
	f.metrics, f.logged = metrics, metricsSize > 0
	return nil
}

// Replaceable returns an error about the first file at these names, or below
// them, that was not written into the folder.
func (f *Folder) Replaceable(names ...string) error {
	for _, name := range names {
		foreign, err := f.written.foreign(f.Dir, name)
		if err != nil {
			return err
		}
		if foreign != "" {
			return &ForeignError{foreign}
		}
	}
	return nil
}

// ForeignError says that a file is where a command writes, and nothing that it
// wrote there.
type ForeignError struct{ Path string }

func (e *ForeignError) Error() string {
	return fmt.Sprintf("%s was not written by autolora, or was changed since, and is not replaced: move it away, or choose another folder", e.Path)
}

// Remove removes what was written at these names.
func (f *Folder) Remove(names ...string) error {
	if f.readOnly {
		return nil
	}
	for _, name := range names {
		if err := f.written.remove(f.Dir, name); err != nil {
			return err
		}
	}
	return f.written.save(f.Dir)
}

// enter puts what a file may hold on the list.
func (f *Folder) enter(name string, c content) error {
	f.written.add(written{name: {c}})
	return f.written.save(f.Dir)
}

// Make puts the file or folder in place that fill makes, at another path, in
// place of what was written there under that name. Its path in the folder is
// name, with slashes.
func (f *Folder) Make(name string, fill func(path string) error) error {
	return f.put(name, false, fill)
}

// Grow is Make for a file that is kept open and grows.
func (f *Folder) Grow(name string, fill func(path string) error) error {
	return f.put(name, true, fill)
}

func (f *Folder) put(name string, grows bool, fill func(path string) error) error {
	if f.readOnly {
		return nil
	}
	temp := filepath.Join(f.Dir, Own, tempDir)
	if err := os.Mkdir(temp, 0o777); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("write %s: %w", f.Path(name), err)
	}
	temp = filepath.Join(temp, filepath.Base(name))
	defer os.RemoveAll(temp)
	err := fill(temp)
	if err == nil {
		err = f.place(name, temp, grows)
	}
	if own := (*fs.PathError)(nil); errors.As(err, &own) && own.Path == temp {
		err = own.Err // of a name that nobody knows
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", f.Path(name), err)
	}
	return nil
}

// place gives what is at temp the name.
func (f *Folder) place(name, temp string, grows bool) error {
	to := f.Path(name)
	switch info, err := os.Lstat(to); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	case info.IsDir():
		if err := f.Replaceable(name); err != nil {
			return err
		}
	case f.written[name] == nil:
		return &ForeignError{to}
	}
	fresh, err := f.written.enter(name, temp, grows)
	if err != nil {
		return err
	}
	f.fresh = f.fresh && (name == ConfigFile || isIn(name, TensorBoard))
	if err := f.written.save(f.Dir); err != nil {
		return err
	}
	if info, err := os.Lstat(to); err == nil && info.IsDir() {
		if err := f.written.remove(f.Dir, name); err != nil {
			return err
		}
	} else if err := os.MkdirAll(filepath.Dir(to), 0o777); err != nil {
		return err
	}
	if err := atomicfile.Rename(temp, to); err != nil {
		return err
	}
	f.written.forget(name)
	f.written.add(fresh)
	return nil
}

// Path returns the path of a file in the folder.
func (f *Folder) Path(name string) string { return filepath.Join(f.Dir, name) }

// Close leaves the folder to others. What is no more than the beginning of a run
// goes, and the folder with it if it was made for that.
func (f *Folder) Close() error {
	if f.readOnly {
		return nil
	}
	var err error
	if f.metrics != nil {
		err = f.metrics.Close()
	}
	os.Remove(filepath.Join(f.Dir, Own, tempDir))
	err = errors.Join(err, f.undo())
	if f.held != nil {
		err = errors.Join(err, f.held.Close())
	}
	return err
}

// undo removes what is not worth keeping.
func (f *Folder) undo() (err error) {
	switch {
	case f.fresh && f.Beside():
		err = os.RemoveAll(f.Dir)
	case f.fresh:
		err = f.Remove(ConfigFile, MetricsFile, TensorBoard)
	}
	own := filepath.Join(f.home, Own)
	if f.Beside() || f.written == nil || len(f.written) > 0 || isThere(filepath.Join(own, nextDir)) || isThere(filepath.Join(own, doneDir)) {
		return err
	}
	err = errors.Join(err, os.RemoveAll(own))
	for _, dir := range f.made {
		os.Remove(dir) // but for one that has something else by now
	}
	return err
}

// Finish removes what a complete run needs no more: its checkpoint, and the
// results of an earlier one, whose place it takes.
func (f *Folder) Finish() error {
	if f.readOnly {
		return nil
	}
	err := f.written.settle(f.Dir)
	if err == nil {
		err = f.Remove(Checkpoint)
	}
	if err == nil && f.Beside() {
		next := f.Dir
		f.Dir = f.home
		if f.written, err = readWritten(f.home); err == nil {
			err = atomicfile.Rename(next, filepath.Join(f.home, Own, doneDir))
		}
		if err == nil {
			err = f.swap()
		}
	}
	if err != nil {
		return fmt.Errorf("output folder: %w", err)
	}
	return nil
}

// Settle finishes the run in the folder dir if it was killed when it was complete
// but for that.
func Settle(dir string) error {
	results := filepath.Join(dir, ResultsFile)
	if !isThere(filepath.Join(dir, Own, doneDir)) && !(isThere(results) && isThere(filepath.Join(dir, Checkpoint))) {
		return nil
	}
	f, err := Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Remove(Checkpoint), f.Close())
}

// Discard removes a folder that holds nothing but the file name, which was written
// into it.
func Discard(dir, name string) error {
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 || entries[0].Name() != Own || entries[1].Name() != name {
		return nil // it is not there, or not to be touched
	}
	f, err := Open(dir)
	if err != nil {
		return err
	}
	f.made = []string{filepath.Join(f.home, Own), f.home}
	return errors.Join(f.Remove(name), f.Close())
}

// swap puts a complete run in the place of an earlier one. A session that is
// killed in between leaves both lists, by which the next one does the rest: what
// the complete run wrote and is no longer in its folder has its place, and
// results.json comes last.
func (f *Folder) swap() error {
	done := filepath.Join(f.home, Own, doneDir)
	if !isFolder(done) {
		return nil
	}
	fresh, err := readWritten(done)
	if err != nil {
		return err
	}
	f.written.add(fresh)
	if isThere(filepath.Join(done, ResultsFile)) {
		if err := f.Replaceable(Names...); err != nil {
			return fmt.Errorf("the new results are complete in %s, and take their place with the next command: %w", done, err)
		}
		if err := f.written.save(f.home); err != nil {
			return err
		}
		if err := f.drop(ResultsFile); err != nil { // until the last, no run is complete
			return err
		}
		names := slices.DeleteFunc(slices.Clone(Names), func(name string) bool { return name == ResultsFile })
		for _, name := range append(names, ResultsFile) {
			if err := f.take(name, done, fresh); err != nil {
				return err
			}
		}
	}
	for _, name := range Names {
		f.written.forget(name)
	}
	f.written.add(fresh)
	return errors.Join(f.written.save(f.home), os.RemoveAll(done))
}

// take puts a file or folder of the complete run done in its place.
func (f *Folder) take(name, done string, fresh written) error {
	from := filepath.Join(done, name)
	if isThere(from) {
		return errors.Join(f.drop(name), atomicfile.Rename(from, f.Path(name)))
	}
	if foreign, err := fresh.foreign(f.home, name); foreign == "" || err != nil {
		return err // it is in its place already
	}
	return f.drop(name)
}

// drop removes what was written at name, and leaves it on the list.
func (f *Folder) drop(name string) error { return maps.Clone(f.written).remove(f.home, name) }

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
	return f.Make(name, func(path string) error { return os.WriteFile(path, data, 0o666) })
}

// MaxFile bounds a file of a run: a hundred bytes a layer, or a step of
// metrics.jsonl.
const MaxFile = 1 << 30

// ReadJSON reads the file name into v. The error is fs.ErrNotExist where there
// is none.
func (f *Folder) ReadJSON(name string, v any) error {
	data, err := foreign.ReadFile(f.Path(name), MaxFile)
	if err != nil {
		return err
	}
	if err := plainjson.Unmarshal(data, v); err != nil {
		return fmt.Errorf("%s: not what a run writes: %w: if it is damaged, remove its folder or run it anew", f.Path(name), err)
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
	line = append(line, '\n')
	if !f.logged {
		f.fresh, f.logged = false, true
		if err := f.enter(MetricsFile, firstBytes(line)); err != nil {
			return fmt.Errorf("write %s: %w", f.Path(MetricsFile), err)
		}
	}
	if _, err := f.metrics.Write(line); err != nil {
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
