package safetensors

import (
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"unicode/utf8"

	"autolora/plainjson"
)

const (
	// maxHeader is the reference library's limit on the header, in bytes.
	maxHeader = 100_000_000
	// metadataKey is the one header entry that is not a tensor.
	metadataKey = "__metadata__"
)

// entry is a tensor as the header describes it: its data lies at
// [begin, end) of the bytes after the header.
type entry struct {
	name       string
	dtype      DType
	shape      []int64
	begin, end int64
}

// parse checks the whole file in data and returns its metadata and its tensors
// in the order of their data, which they share with data.
func parse(path string, data []byte) (map[string]string, []Tensor, error) {
	bad := func(format string, args ...any) error {
		return &FormatError{Path: path, Msg: fmt.Sprintf(format, args...)}
	}
	if msg := otherFormat(data); msg != "" {
		return nil, nil, bad("%s", msg)
	}
	if len(data) < 8 {
		return nil, nil, bad("file has %d bytes, a safetensors file starts with an 8-byte header length", len(data))
	}
	n := binary.LittleEndian.Uint64(data)
	if n > maxHeader {
		return nil, nil, bad("header length %d is over the format's limit of %d: not a safetensors file, or a damaged one", n, maxHeader)
	}
	if have := uint64(len(data) - 8); n > have {
		return nil, nil, bad("file is truncated: its header has %d bytes, of which %d are missing", n, n-have)
	}
	header, body := data[8:8+n], data[8+n:]
	if n == 0 || header[0] != '{' {
		return nil, nil, bad("header does not start with '{': not a safetensors file, or a damaged one")
	}
	if !utf8.Valid(header) {
		return nil, nil, bad("header is not valid UTF-8")
	}
	metadata, entries, err := parseHeader(header)
	if err != nil {
		var fe *FormatError
		if errors.As(err, &fe) {
			fe.Path = path
			return nil, nil, fe
		}
		return nil, nil, bad("bad header: %v", err)
	}
	if err := checkLayout(entries, int64(len(body))); err != nil {
		err.Path = path
		return nil, nil, err
	}
	tensors := make([]Tensor, len(entries))
	for i, e := range entries {
		// The capacity ends with the tensor, so that an append cannot reach its neighbour.
		tensors[i] = Tensor{Name: e.name, DType: e.dtype, Shape: e.shape, Data: body[e.begin:e.end:e.end]}
	}
	return metadata, tensors, nil
}

// checkLayout sorts entries by their data and checks that they tile exactly
// have bytes.
func checkLayout(entries []entry, have int64) *FormatError {
	slices.SortFunc(entries, func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.begin, b.begin), cmp.Compare(a.end, b.end))
	})
	end := int64(0)
	for i, e := range entries {
		bad := func(format string, args ...any) *FormatError {
			return &FormatError{Tensor: e.name, Msg: fmt.Sprintf(format, args...)}
		}
		size, err := byteSize(e.dtype, e.shape)
		switch {
		case err != nil:
			return bad("%v", err)
		case e.begin > e.end:
			return bad("data_offsets [%d, %d] run backwards", e.begin, e.end)
		case e.end-e.begin != size:
			return bad("data_offsets [%d, %d] hold %d bytes, want %d for %s %v", e.begin, e.end, e.end-e.begin, size, e.dtype, e.shape)
		case e.begin > end:
			return bad("data_offsets [%d, %d] leave a hole: the data before end at %d", e.begin, e.end, end)
		case e.begin < end:
			return bad("data_offsets [%d, %d] overlap tensor %q, which ends at %d", e.begin, e.end, entries[i-1].name, end)
		}
		end = e.end
	}
	switch {
	case have < end:
		return &FormatError{Msg: fmt.Sprintf("file is truncated: %d of its %d data bytes are missing", end-have, end)}
	case have > end:
		return &FormatError{Msg: fmt.Sprintf("file has %d bytes after the last tensor's data", have-end)}
	}
	return nil
}

// parseHeader reads the header's JSON.
func parseHeader(header []byte) (metadata map[string]string, entries []entry, err error) {
	all, err := plainjson.Members(header)
	if err != nil {
		return nil, nil, err
	}
	for _, m := range all {
		if m.Key == metadataKey {
			if metadata, err = parseMetadata(m.Value); err != nil {
				return nil, nil, err
			}
			continue
		}
		e, err := parseEntry(m)
		if err != nil {
			return nil, nil, &FormatError{Tensor: m.Key, Msg: err.Error()}
		}
		entries = append(entries, e)
	}
	return metadata, entries, nil
}

func parseMetadata(data []byte) (map[string]string, error) {
	all, err := plainjson.Members(data)
	if err != nil {
		return nil, fmt.Errorf("%s %w", metadataKey, err)
	}
	metadata := make(map[string]string, len(all))
	for _, m := range all {
		value, ok := textOf(m)
		if !ok {
			return nil, fmt.Errorf("%s key %q is not a string", metadataKey, m.Key)
		}
		metadata[m.Key] = value
	}
	return metadata, nil
}

func parseEntry(tensor plainjson.Member) (entry, error) {
	e := entry{name: tensor.Key}
	fields, err := plainjson.Members(tensor.Value)
	if err != nil {
		return entry{}, err
	}
	missing := []string{"dtype", "shape", "data_offsets"}
	for _, f := range fields {
		if !slices.Contains(missing, f.Key) {
			return entry{}, fmt.Errorf("unknown field %q", f.Key)
		}
		missing = slices.DeleteFunc(missing, func(key string) bool { return key == f.Key })
		if f.Key == "dtype" {
			dtype, _ := textOf(f)
			if e.dtype = DType(dtype); e.dtype.order() < 0 {
				return entry{}, fmt.Errorf("unknown dtype %s", plainjson.Short(f.Value))
			}
			continue
		}
		numbers, err := integers(f)
		switch {
		case err != nil:
			return entry{}, err
		case f.Key == "shape":
			e.shape = numbers
		case len(numbers) != 2:
			return entry{}, fmt.Errorf("data_offsets %v, want two numbers", numbers)
		default:
			e.begin, e.end = numbers[0], numbers[1]
		}
	}
	if len(missing) > 0 {
		return entry{}, fmt.Errorf("field %q is missing", missing[0])
	}
	return e, nil
}

// textOf returns a value that is a string.
func textOf(m plainjson.Member) (text string, ok bool) {
	err := plainjson.Unmarshal(m.Value, &text)
	return text, err == nil && m.Value[0] == '"' // null is no error
}

// integers returns a value that is an array of integers from 0 to 2⁶³-1.
func integers(m plainjson.Member) ([]int64, error) {
	var all []json.RawMessage
	if err := plainjson.Unmarshal(m.Value, &all); err != nil || all == nil {
		return nil, fmt.Errorf("%s is %s, want an array of integers", m.Key, plainjson.Short(m.Value))
	}
	values := make([]int64, len(all))
	for i, raw := range all {
		v, err := strconv.ParseUint(string(raw), 10, 63)
		if err != nil {
			return nil, fmt.Errorf("%s holds %s, want integers from 0 to 2^63-1", m.Key, plainjson.Short(raw))
		}
		values[i] = int64(v)
	}
	return values, nil
}
