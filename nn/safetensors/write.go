package safetensors

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"unicode/utf8"

	"autolora/atomicfile"
)

// Write writes tensors to a file at path, replacing any file that is there. The
// bytes are those of the safetensors library's save_file for the same tensors;
// metadata keys are sorted (the library leaves their order to chance). Nil
// metadata leaves the entry out.
//
// The file is written beside path under another name, flushed to disk and
// renamed, so that path holds the old file or the whole new one. Writing
// tensors that are mapped from path itself is therefore safe.
func Write(path string, metadata map[string]string, tensors []Tensor) error {
	return atomicfile.Write(path, func(w io.Writer) error { return Encode(w, metadata, tensors) })
}

// Encode writes tensors to w in the form that [Write] gives a file.
func Encode(w io.Writer, metadata map[string]string, tensors []Tensor) error {
	header, sorted, err := encodeHeader(metadata, tensors)
	if err != nil {
		return err
	}
	if _, err := w.Write(header); err != nil {
		return err
	}
	for _, t := range sorted {
		if _, err := w.Write(t.Data); err != nil {
			return err
		}
	}
	return nil
}

// encodeHeader returns the length and the header, and the tensors in the order
// of their data: by descending dtype, so that every tensor is aligned to its
// element size, then by name.
func encodeHeader(metadata map[string]string, tensors []Tensor) ([]byte, []Tensor, error) {
	sorted := slices.Clone(tensors)
	slices.SortFunc(sorted, func(a, b Tensor) int {
		return cmp.Or(cmp.Compare(b.DType.order(), a.DType.order()), cmp.Compare(a.Name, b.Name))
	})
	h := make([]byte, 8, 8+128*(1+len(sorted)))
	h = append(h, '{')
	if metadata != nil {
		h = append(appendString(h, metadataKey), ":{"...)
		for i, key := range slices.Sorted(maps.Keys(metadata)) {
			if !utf8.ValidString(key) || !utf8.ValidString(metadata[key]) {
				return nil, nil, fmt.Errorf("metadata key %q: not valid UTF-8", key)
			}
			if i > 0 {
				h = append(h, ',')
			}
			h = append(appendString(h, key), ':')
			h = appendString(h, metadata[key])
		}
		h = append(h, '}')
	}
	seen := make(map[string]bool, len(sorted))
	end := int64(0)
	for i, t := range sorted {
		if err := writable(t, seen); err != nil {
			return nil, nil, fmt.Errorf("tensor %q: %w", t.Name, err)
		}
		seen[t.Name] = true
		if i > 0 || metadata != nil {
			h = append(h, ',')
		}
		h = append(appendString(h, t.Name), `:{"dtype":"`...)
		h = append(append(h, t.DType...), `","shape":[`...)
		for j, d := range t.Shape {
			if j > 0 {
				h = append(h, ',')
			}
			h = strconv.AppendInt(h, d, 10)
		}
		h = append(h, `],"data_offsets":[`...)
		h = append(strconv.AppendInt(h, end, 10), ',')
		end += int64(len(t.Data))
		h = append(strconv.AppendInt(h, end, 10), "]}"...)
	}
	h = append(h, '}')
	for len(h)%8 != 0 {
		h = append(h, ' ')
	}
	if len(h)-8 > maxHeader {
		return nil, nil, fmt.Errorf("header of %d bytes is over the format's limit of %d", len(h)-8, maxHeader)
	}
	binary.LittleEndian.PutUint64(h, uint64(len(h)-8))
	return h, sorted, nil
}

// writable says why t cannot be in a file beside the tensors in seen.
func writable(t Tensor, seen map[string]bool) error {
	size, err := byteSize(t.DType, t.Shape)
	switch {
	case err != nil:
		return err
	case size != int64(len(t.Data)):
		return fmt.Errorf("%d bytes of data, want %d for %s %v", len(t.Data), size, t.DType, t.Shape)
	case t.Name == metadataKey:
		return errors.New("the format reserves this name")
	case !utf8.ValidString(t.Name):
		return errors.New("name is not valid UTF-8")
	case seen[t.Name]:
		return errors.New("given twice")
	}
	return nil
}

// appendString appends s as JSON in the spelling of Rust's serde_json, which
// escapes only what JSON demands. Go's encoding/json escapes more.
func appendString(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	for i := range len(s) {
		switch c := s[i]; c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\b':
			b = append(b, `\b`...)
		case '\f':
			b = append(b, `\f`...)
		case '\n':
			b = append(b, `\n`...)
		case '\r':
			b = append(b, `\r`...)
		case '\t':
			b = append(b, `\t`...)
		default:
			if c < 0x20 {
				b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
			} else {
				b = append(b, c)
			}
		}
	}
	return append(b, '"')
}
