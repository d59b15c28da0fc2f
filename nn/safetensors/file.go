package safetensors

import (
	"fmt"
	"maps"
	"slices"
	"syscall"

	"autolora/foreign"
)

// File is an open safetensors file. Lookups may run at the same time; Close may
// not run beside them.
type File struct {
	path     string
	metadata map[string]string
	tensors  map[string]Tensor
	names    []string
	mapped   []byte // nil when the data came from Parse
}

// Open maps the file at path into memory, read-only, and checks all of it
// against the format. Pages are read when a tensor's data is first touched.
//
// Every bound is checked against the file's size at this moment. If another
// process truncates the file in place while it is open, touching the lost part
// ends this process with SIGBUS, as with any mapped file; programs that replace
// a file by renaming, as [Write] does, are safe.
func Open(path string) (*File, error) {
	data, err := mapFile(path)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	f, err := Parse(path, data)
	if err != nil {
		_ = syscall.Munmap(data)
		return nil, err
	}
	f.mapped = data
	return f, nil
}

// Parse checks a whole file held in data, which the tensors then share. The
// name stands for the path in errors.
func Parse(name string, data []byte) (*File, error) {
	metadata, tensors, err := parse(name, data)
	if err != nil {
		return nil, err
	}
	f := &File{path: name, metadata: metadata, tensors: make(map[string]Tensor, len(tensors))}
	for _, t := range tensors {
		f.tensors[t.Name] = t
	}
	f.names = slices.Sorted(maps.Keys(f.tensors))
	return f, nil
}

// Metadata returns a copy of the header's free-form strings, nil if it has none.
func (f *File) Metadata() map[string]string { return maps.Clone(f.metadata) }

// Names returns the names of all tensors, sorted.
func (f *File) Names() []string { return slices.Clone(f.names) }

// Tensor looks a tensor up by name. Its Data lies in the mapping: it must not
// be written to, and is valid until Close.
func (f *File) Tensor(name string) (Tensor, bool) {
	t, ok := f.tensors[name]
	return t, ok
}

// Forget lets go of the memory that reading has filled: what is read after it comes
// from the file again.
func (f *File) Forget() {
	if f.mapped != nil {
		_ = syscall.Madvise(f.mapped, syscall.MADV_DONTNEED) // else the memory stays
	}
}

// Close unmaps the file. All tensor data taken from it becomes invalid, and
// later lookups find nothing. Closing twice is harmless.
func (f *File) Close() error {
	data := f.mapped
	f.mapped, f.tensors, f.names = nil, nil, nil
	if data == nil {
		return nil
	}
	if err := syscall.Munmap(data); err != nil {
		return fmt.Errorf("close %s: %w", f.path, err)
	}
	return nil
}

// mapFile maps all of a regular file read-only; nil for an empty one, of which
// nothing can be mapped.
func mapFile(path string) ([]byte, error) {
	f, err := foreign.Open(path)
	if err != nil {
		return nil, plain(err)
	}
	defer f.Close()
	st, err := f.Stat()
	switch {
	case err != nil:
		return nil, plain(err)
	case st.Size() == 0:
		return nil, nil
	}
	data, err := syscall.Mmap(int(f.Fd()), 0, int(st.Size()), syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map %d bytes: %w", st.Size(), err)
	}
	return data, nil
}
