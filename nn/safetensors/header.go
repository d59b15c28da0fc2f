package safetensors

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"unicode/utf8"
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
	if msg := foreign(data); msg != "" {
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
	d := newHeaderDecoder(header)
	if err := d.decode(); err != nil {
		var fe *FormatError
		if errors.As(err, &fe) {
			fe.Path = path
			return nil, nil, fe
		}
		return nil, nil, bad("bad header: %v", err)
	}
	if err := checkLayout(d.entries, int64(len(body))); err != nil {
		err.Path = path
		return nil, nil, err
	}
	tensors := make([]Tensor, len(d.entries))
	for i, e := range d.entries {
		// The capacity ends with the tensor, so that an append cannot reach its neighbour.
		tensors[i] = Tensor{Name: e.name, DType: e.dtype, Shape: e.shape, Data: body[e.begin:e.end:e.end]}
	}
	return d.metadata, tensors, nil
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

// headerDecoder walks the header token by token: encoding/json's own decoding
// into maps would let repeated keys through.
type headerDecoder struct {
	json     *json.Decoder
	metadata map[string]string
	entries  []entry
}

func newHeaderDecoder(header []byte) *headerDecoder {
	d := json.NewDecoder(bytes.NewReader(header))
	d.UseNumber()
	return &headerDecoder{json: d}
}

func (d *headerDecoder) decode() error {
	seen := make(map[string]bool)
	err := d.object(func(name string) error {
		if seen[name] {
			return fmt.Errorf("key %q appears twice", name)
		}
		seen[name] = true
		if name == metadataKey {
			return d.decodeMetadata()
		}
		e, err := d.decodeEntry(name)
		if err != nil {
			if !isSyntax(err) {
				return &FormatError{Tensor: name, Msg: err.Error()}
			}
			return err
		}
		d.entries = append(d.entries, e)
		return nil
	})
	if err != nil {
		return err
	}
	if _, err := d.json.Token(); err != io.EOF {
		return errors.New("text after the JSON object")
	}
	return nil
}

func (d *headerDecoder) decodeMetadata() error {
	d.metadata = make(map[string]string)
	return d.object(func(key string) error {
		if _, ok := d.metadata[key]; ok {
			return fmt.Errorf("%s key %q appears twice", metadataKey, key)
		}
		tok, err := d.token()
		if err != nil {
			return err
		}
		value, ok := tok.(string)
		if !ok {
			return fmt.Errorf("%s key %q is not a string", metadataKey, key)
		}
		d.metadata[key] = value
		return nil
	})
}

func (d *headerDecoder) decodeEntry(name string) (entry, error) {
	e := entry{name: name}
	fields := map[string]bool{}
	err := d.object(func(field string) error {
		if fields[field] {
			return fmt.Errorf("field %q appears twice", field)
		}
		fields[field] = true
		switch field {
		case "dtype":
			tok, err := d.token()
			if err != nil {
				return err
			}
			s, ok := tok.(string)
			if !ok || DType(s).order() < 0 {
				return fmt.Errorf("unknown dtype %s", describe(tok))
			}
			e.dtype = DType(s)
			return nil
		case "shape":
			var err error
			e.shape, err = d.integers(field)
			return err
		case "data_offsets":
			offsets, err := d.integers(field)
			if err != nil {
				return err
			}
			if len(offsets) != 2 {
				return fmt.Errorf("data_offsets %v, want two numbers", offsets)
			}
			e.begin, e.end = offsets[0], offsets[1]
			return nil
		}
		return fmt.Errorf("unknown field %q", field)
	})
	if err != nil {
		return entry{}, err
	}
	for _, field := range []string{"dtype", "shape", "data_offsets"} {
		if !fields[field] {
			return entry{}, fmt.Errorf("field %q is missing", field)
		}
	}
	return e, nil
}

// object reads one JSON object and calls member for each key, with the decoder
// standing before the value.
func (d *headerDecoder) object(member func(key string) error) error {
	tok, err := d.token()
	if err != nil {
		return err
	}
	if tok != json.Delim('{') {
		return fmt.Errorf("found %s where a JSON object should be", describe(tok))
	}
	for d.json.More() {
		tok, err := d.token()
		if err != nil {
			return err
		}
		if err := member(tok.(string)); err != nil { // Token allows nothing else as a key
			return err
		}
	}
	_, err = d.token() // the closing brace
	return err
}

// integers reads a JSON array of integers from 0 to 2⁶³-1.
func (d *headerDecoder) integers(field string) ([]int64, error) {
	tok, err := d.token()
	if err != nil {
		return nil, err
	}
	if tok != json.Delim('[') {
		return nil, fmt.Errorf("%s is %s, want an array of integers", field, describe(tok))
	}
	values := []int64{}
	for d.json.More() {
		tok, err := d.token()
		if err != nil {
			return nil, err
		}
		number, _ := tok.(json.Number)
		v, err := strconv.ParseUint(number.String(), 10, 63)
		if err != nil {
			return nil, fmt.Errorf("%s holds %s, want integers from 0 to 2^63-1", field, describe(tok))
		}
		values = append(values, int64(v))
	}
	_, err = d.token() // the closing bracket
	return values, err
}

// errSyntax marks errors of the JSON text itself, which belong to the file and
// not to the tensor in which they were met.
type errSyntax struct{ error }

func isSyntax(err error) bool {
	var s errSyntax
	return errors.As(err, &s)
}

func (d *headerDecoder) token() (json.Token, error) {
	tok, err := d.json.Token()
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, errSyntax{fmt.Errorf("not valid JSON at byte %d: %w", d.json.InputOffset(), err)}
	}
	return tok, nil
}

// describe renders a token for an error message.
func describe(tok json.Token) string {
	switch tok := tok.(type) {
	case nil:
		return "null"
	case string:
		return strconv.Quote(tok)
	}
	return fmt.Sprint(tok)
}
