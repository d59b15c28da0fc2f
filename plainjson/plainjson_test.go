package plainjson

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// inner reads itself, as types of other packages do.
type inner struct{ N int }

func (i *inner) UnmarshalJSON(data []byte) error {
	if err := json.Unmarshal(data, &i.N); err != nil {
		return fmt.Errorf("inner: %w", err)
	}
	return nil
}

func TestUnmarshalErrors(t *testing.T) {
	type object struct {
		Size   int64
		Short  int8
		ID     uint32
		Rate   float64
		Name   string
		On     bool
		List   []int
		Map    map[string]string
		Deep   struct{ Part *int }
		Inner  inner
		Middle []inner
	}
	for text, want := range map[string]string{
		`{"Size": "8"}`:           "Size: got a text, want an integer",
		`{"Size": 1.5}`:           "Size: got 1.5, want an integer",
		`{"Short": 300}`:          "Short: got 300, want an integer of at most 8 bits",
		`{"ID": -1}`:              "ID: got -1, want an integer from 0 to 2^32-1",
		`{"Rate": [1]}`:           "Rate: got a list, want a number",
		`{"Name": 3}`:             "Name: got a number, want a text",
		`{"On": {}}`:              "On: got an object, want true or false",
		`{"List": true}`:          "List: got true or false, want a list",
		`{"Map": {"a": 1}}`:       "Map: got a number, want a text",
		`{"Map": []}`:             "Map: got a list, want an object",
		`{"Deep": {"Part": "x"}}`: "Deep.Part: got a text, want an integer",
		`{"Inner": "x"}`:          "inner: got a text, want an integer",
		`{"Middle": [{}]}`:        "inner: got an object, want an integer",
		`[]`:                      "got a list, want an object",
	} {
		var v object
		err := Unmarshal([]byte(text), &v)
		if err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
		if !errors.As(err, new(*json.UnmarshalTypeError)) {
			t.Errorf("%s: %v is no error of encoding/json", text, err)
		}
		if twice := Plain(err); twice.Error() != want {
			t.Errorf("%s: twice %v", text, twice)
		}
	}
	if err := Unmarshal([]byte(`{"Size":`), new(object)); err == nil || strings.Contains(err.Error(), "Go") {
		t.Error(err)
	}
	if err := Unmarshal([]byte(`{"Size": 8}`), new(object)); err != nil {
		t.Error(err)
	}
}

func TestLoosen(t *testing.T) {
	for text, want := range map[string]string{
		`{"r": "8", "a": 16.0, "b": "1e-5", "c": [" 2 "], "d": {"e": "True"}, "f": "false"}`: `{"a":16,"b":1e-5,"c":[2],"d":{"e":true},"f":false}{"r":8}`,
		`["x", "", null, "0x10", "nan", "1.5.6", "-", "007", "\"8\""]`:                       `["x","",null,"0x10","nan","1.5.6","-","007","\"8\""]`,
		`12345678901234567`: `12345678901234567`,
		`1e3`:               `1000`,
		`1e300`:             `1e300`,
		`not JSON`:          `not JSON`,
	} {
		want = strings.ReplaceAll(want, "}{", ",")
		if got := string(Loosen([]byte(text))); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

func TestFalsy(t *testing.T) {
	for text, want := range map[string]bool{
		"null": true, "false": true, "0": true, "0.0": true, `""`: true, "[ ]": true, "{\n}": true,
		"true": false, "1": false, "0.5": false, `"0"`: false, "[0]": false, `{"a": null}`: false,
	} {
		if got := Falsy([]byte(text)); got != want {
			t.Errorf("%s: got %v", text, got)
		}
	}
}

func TestMembers(t *testing.T) {
	all, err := Members([]byte(`{"b": [1], "a": {"b": 2}}`))
	if err != nil || len(all) != 2 || all[0].Key != "b" || string(all[1].Value) != `{"b": 2}` {
		t.Errorf("got %q, %v", all, err)
	}
	for text, want := range map[string]string{
		`[]`: "found [] where a JSON object should be", `{"a":1,"a":2}`: `key "a" appears twice`, `{"a":1}x`: "text after the JSON object",
		`{"a":1`: "not valid JSON at byte", ``: "not valid JSON at byte 0",
	} {
		if _, err := Members([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", text, err, want)
		}
	}
}
