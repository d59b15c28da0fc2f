package job

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"autolora/autolora"
	"autolora/autolora/runs"
	"autolora/nn/safetensors"
	"autolora/plainjson"
	"autolora/torchbind"
)

// checkpointFile is the one file of the folder runs.Checkpoint: the tensors of
// the phase under way, and in its metadata the progress. It is replaced whole,
// so that a kill at any point leaves the one before.
const checkpointFile = "state.safetensors"

// Keys of the checkpoint's metadata.
const (
	progressKey = "progress"
	digestKey   = "sha256" // of the progress, and of all tensors in the order of their names
)

// progress is how far a run has come. The phases before Phase are complete.
type progress struct {
	Phase    string            `json:"phase"`
	Step     int               `json:"step"`   // steps of Phase done; at 0 there are no tensors
	Orders   [][]byte          `json:"orders"` // places of the loaders in their data
	Counters autolora.Counters `json:"counters"`
	Results  runs.Results      `json:"results"` // so far
	Metrics  int64             `json:"metrics"` // size of metrics.jsonl
	Version  string            `json:"version"` // of the program
}

// checkpoint is a progress and the tensors that belong to it.
type checkpoint struct {
	progress
	path string
	file *safetensors.File
}

// checkpointName is the checkpoint's name in the folder of its run.
const checkpointName = runs.Checkpoint + "/" + checkpointFile

// saveCheckpoint replaces the checkpoint of that name in the folder.
func saveCheckpoint(out *runs.Folder, name string, p progress, tensors []autolora.NamedTensor) error {
	if !out.Writes() {
		return nil
	}
	stored := make([]safetensors.Tensor, len(tensors))
	for i, t := range tensors {
		stored[i] = safetensors.Tensor{Name: t.Name, DType: storedTypes[t.Value.DType()], Shape: slices.Clone(t.Value.Shape()), Data: t.Value.Bytes()}
	}
	text, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("write checkpoint: %w", err)
	}
	metadata := map[string]string{progressKey: string(text), digestKey: digest(string(text), stored)}
	err = out.Make(name, func(path string) error { return safetensors.Write(path, metadata, stored) })
	if err != nil {
		return fmt.Errorf("checkpoint: %w; the one before it, if any, stays", err)
	}
	return nil
}

var storedTypes = map[torchbind.DType]safetensors.DType{torchbind.Float32: safetensors.F32, torchbind.Float64: safetensors.F64}

// digest hashes a checkpoint, progress and tensors: what a disk damaged, or a
// hand changed, is found out.
func digest(progress string, tensors []safetensors.Tensor) string {
	tensors = slices.Clone(tensors)
	slices.SortFunc(tensors, func(a, b safetensors.Tensor) int { return cmp.Compare(a.Name, b.Name) })
	h := sha256.New()
	fmt.Fprintf(h, "%q\n", progress)
	for _, t := range tensors {
		fmt.Fprintf(h, "%q %s %v\n", t.Name, t.DType, t.Shape)
		h.Write(t.Data)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// openCheckpoint reads the checkpoint of that name of a run's folder; nil if it has
// none. It is to be closed.
func openCheckpoint(dir, name string) (*checkpoint, error) {
	path := filepath.Join(dir, filepath.FromSlash(name))
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	damaged := func(err error) error {
		return fmt.Errorf("the checkpoint %s cannot be read: %w; nothing was changed: restore the file, or remove it to start this run anew", path, err)
	}
	file, err := safetensors.Open(path)
	if err != nil {
		return nil, damaged(err)
	}
	c := &checkpoint{path: path, file: file}
	if err := c.read(); err != nil {
		file.Close()
		return nil, damaged(err)
	}
	return c, nil
}

func (c *checkpoint) read() error {
	metadata := c.file.Metadata()
	var tensors []safetensors.Tensor
	for _, name := range c.file.Names() {
		t, _ := c.file.Tensor(name)
		tensors = append(tensors, t)
	}
	if got, want := digest(metadata[progressKey], tensors), metadata[digestKey]; got != want {
		return fmt.Errorf("its SHA-256 sum is %s, want %s", got, cmp.Or(want, "one in it"))
	}
	if err := plainjson.Unmarshal([]byte(metadata[progressKey]), &c.progress); err != nil {
		return fmt.Errorf("its progress is not readable: %w", err)
	}
	return nil
}

func (c *checkpoint) close() { c.file.Close() }

// restore copies the stored tensors into those of a search or a training.
func (c *checkpoint) restore(tensors []autolora.NamedTensor) error {
	s := torchbind.NewScope()
	defer s.Close()
	if got, want := len(c.file.Names()), len(tensors); got != want {
		return fmt.Errorf("checkpoint %s: it has %d tensors, want %d: it is of another run", c.path, got, want)
	}
	for _, t := range tensors {
		shape, dtype := t.Value.Shape(), t.Value.DType()
		stored, ok := c.file.Tensor(t.Name)
		if !ok || stored.DType != storedTypes[dtype] || !slices.Equal(stored.Shape, shape) {
			return fmt.Errorf("checkpoint %s: %q: got %s %v, want %v %v: it is of another run", c.path, t.Name, stored.DType, stored.Shape, dtype, shape)
		}
		torchbind.NoGrad(func() { t.Value.CopyInPlace(torchbind.FromBytes(s, stored.Data, dtype, shape, torchbind.CPU)) })
	}
	return nil
}
