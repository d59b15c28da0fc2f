// Package plainjson reads JSON that people and other programs have written. Its
// errors say what was found and what is wanted in the words of the file, where
// those of encoding/json name the types of Go.
package plainjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"
)

// Unmarshal is json.Unmarshal with plain errors.
func Unmarshal(data []byte, v any) error { return Plain(json.Unmarshal(data, v)) }

// Plain returns an error of encoding/json in plain words, and any other as it is.
// It matches, with errors.As, the error that it was.
func Plain(err error) error {
	var typeError *json.UnmarshalTypeError
	if direct, ok := err.(*json.UnmarshalTypeError); ok {
		return kindError{direct}
	}
	if !errors.As(err, &typeError) || errors.As(err, new(kindError)) {
		return err
	}
	return fmt.Errorf("%s%w", strings.TrimSuffix(err.Error(), typeError.Error()), kindError{typeError})
}

// kindError is an error about a value of the wrong kind.
type kindError struct{ *json.UnmarshalTypeError }

func (e kindError) Unwrap() error { return e.UnmarshalTypeError }

func (e kindError) Error() string {
	found := e.Value
	switch kind, _, _ := strings.Cut(found, " "); {
	case kind == "bool":
		found = "true or false"
	case kind == "number" && kind != found:
		found = strings.TrimPrefix(found, "number ")
	case kind == "array":
		found = "a list"
	case kind == "object":
		found = "an object"
	case kind == "string":
		found = "a text"
	case kind == "number":
		found = "a number"
	}
	message := fmt.Sprintf("got %s, want %s", found, wanted(e.Type))
	if e.Field != "" {
		message = e.Field + ": " + message
	}
	return message
}

func wanted(t reflect.Type) string {
	switch kind := t.Kind(); kind {
	case reflect.Pointer:
		return wanted(t.Elem())
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		if t.Bits() == 64 {
			return "an integer"
		}
		return fmt.Sprintf("an integer of at most %d bits", t.Bits())
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return fmt.Sprintf("an integer from 0 to 2^%d-1", t.Bits())
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		return "a text"
	case reflect.Slice, reflect.Array:
		return "a list"
	}
	return "an object"
}

// Loosen returns data with every text that is a number or a truth value in
// another program's eyes ("8", "True") as that, and every whole number without a
// fraction (8.0): settings that went through a form or a command line. Data that
// are not JSON are returned as they are.
func Loosen(data []byte) []byte {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var value any
	if d.Decode(&value) != nil {
		return data
	}
	loose, err := json.Marshal(loosen(value))
	if err != nil {
		return data
	}
	return loose
}

func loosen(value any) any {
	switch v := value.(type) {
	case map[string]any:
		for key, inner := range v {
			v[key] = loosen(inner)
		}
	case []any:
		for i, inner := range v {
			v[i] = loosen(inner)
		}
	case string:
		switch text := strings.TrimSpace(v); text {
		case "true", "True":
			return true
		case "false", "False":
			return false
		default:
			if json.Valid([]byte(text)) && text[0] != '"' && strings.Trim(text, "+-.0123456789eE") == "" {
				return loosen(json.Number(text))
			}
		}
	case json.Number:
		if f, err := v.Float64(); err == nil && f == float64(int64(f)) && strings.ContainsAny(string(v), ".eE") {
			return json.Number(strconv.FormatInt(int64(f), 10))
		}
	}
	return value
}

// Falsy reports whether Python takes a JSON value for false.
func Falsy(raw []byte) bool {
	switch strings.Join(strings.Fields(string(raw)), "") {
	case "null", "false", "0", "0.0", `""`, "[]", "{}":
		return true
	}
	return false
}

// Member is a key of a JSON object and its value.
type Member struct {
	Key   string
	Value json.RawMessage
}

// Members returns those of a JSON object, in its order. Decoding into a map would
// let a key through that is there twice.
func Members(data []byte) ([]Member, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	var all []Member
	seen := make(map[string]bool)
	tok, err := d.Token()
	if err == nil && tok != json.Delim('{') {
		return nil, fmt.Errorf("found %s where a JSON object should be", Short(data))
	}
	for err == nil && d.More() {
		var m Member
		if tok, err = d.Token(); err != nil {
			break
		}
		m.Key = tok.(string) // Token allows nothing else as a key
		if seen[m.Key] {
			return nil, fmt.Errorf("key %q appears twice", m.Key)
		}
		seen[m.Key] = true
		err = d.Decode(&m.Value)
		all = append(all, m)
	}
	if err == nil {
		_, err = d.Token() // the closing brace
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, fmt.Errorf("not valid JSON at byte %d: %w", d.InputOffset(), err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("text after the JSON object")
	}
	return all, nil
}

// Object writes members as an object, in their order.
func Object(members []Member) json.RawMessage {
	b := []byte{'{'}
	for i, m := range members {
		if i > 0 {
			b = append(b, ',')
		}
		key, _ := json.Marshal(m.Key) // a text, which never fails
		b = append(append(append(b, key...), ':'), m.Value...)
	}
	return append(b, '}')
}

// Short shows a JSON value in a line of an error.
func Short(raw []byte) string {
	return fmt.Sprintf("%.40s", strings.Join(strings.Fields(string(raw)), " "))
}
