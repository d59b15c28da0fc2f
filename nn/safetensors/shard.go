package safetensors

import (
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"autolora/atomicfile"
)

// WriteSharded writes a model's tensors into the folder dir, which is made if
// needed, in Hugging Face form: one model.safetensors if their data fits into
// maxShardBytes, else model-00001-of-0000N.safetensors and so on, and
// model.safetensors.index.json. Tensors fill the shards in the order given; one
// larger than maxShardBytes gets a shard of its own. The index is written last,
// so that a checkpoint cut short is never taken for a whole one.
//
// The metadata goes into every file. It is an error if dir already holds
// weights, since leftovers of another checkpoint would make this one unreadable.
func WriteSharded(dir string, maxShardBytes int64, metadata map[string]string, tensors []Tensor) error {
	if maxShardBytes <= 0 {
		return fmt.Errorf("write %s: shard size %d, want a positive number of bytes", dir, maxShardBytes)
	}
	if err := makeEmptyOfWeights(dir); err != nil {
		return fmt.Errorf("write %s: %w", dir, plain(err))
	}
	shards, total := split(tensors, maxShardBytes)
	if len(shards) <= 1 {
		return Write(filepath.Join(dir, singleName), metadata, tensors)
	}
	if _, _, err := encodeHeader(nil, tensors); err != nil { // a name given twice may be in two shards
		return fmt.Errorf("write %s: %w", dir, err)
	}
	weightMap := make(map[string]string, len(tensors))
	for i, shard := range shards {
		name := fmt.Sprintf("model-%05d-of-%05d.safetensors", i+1, len(shards))
		if err := Write(filepath.Join(dir, name), metadata, shard); err != nil {
			return err
		}
		for _, t := range shard {
			weightMap[t.Name] = name
		}
	}
	index := filepath.Join(dir, indexName)
	return atomicfile.Write(index, func(w io.Writer) error { return writeIndex(w, total, weightMap) })
}

// split cuts tensors into runs of at most maxBytes, and returns the total size.
func split(tensors []Tensor, maxBytes int64) (shards [][]Tensor, total int64) {
	size := int64(0) // of the last shard
	for _, t := range tensors {
		n := int64(len(t.Data))
		if shards == nil || size+n > maxBytes {
			shards = append(shards, nil)
			size = 0
		}
		last := len(shards) - 1
		shards[last] = append(shards[last], t)
		size += n
		total += n
	}
	return shards, total
}

func writeIndex(w io.Writer, total int64, weightMap map[string]string) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(map[string]any{"metadata": map[string]int64{"total_size": total}, "weight_map": weightMap})
}

// makeEmptyOfWeights makes dir if it is not there, and refuses one that holds
// files which [OpenCheckpoint] would read.
func makeEmptyOfWeights(dir string) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		if name := f.Name(); name == indexName || strings.HasSuffix(name, ".safetensors") {
			return fmt.Errorf("folder already holds %s: %w", name, fs.ErrExist)
		}
	}
	return nil
}
