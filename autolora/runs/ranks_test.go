package runs

import (
	"strings"
	"testing"
)

func TestParseRanks(t *testing.T) {
	r, err := ParseRanks([]byte(`{"layers": [{"name": "a.query", "rank": 0}, {"name": "a.value", "rank": 5}]}`))
	if err != nil {
		t.Fatal(err)
	}
	if m := r.ByName(); m["a.query"] != 0 || m["a.value"] != 5 || r.Mean() != 2.5 {
		t.Errorf("%+v", r)
	}
	for _, c := range []struct{ text, want string }{
		{`[]`, "not a ranks file"},
		{`{}`, `no "layers"`},
		{`{"layers": [{"rank": 1}]}`, "has no name"},
		{`{"layers": [{"name": "a", "rank": -1}]}`, "rank -1"},
		{`{"layers": [{"name": "a", "rank": 1.5}]}`, "not a ranks file"},
		{`{"layers": [{"name": "a", "rank": 1}, {"name": "a", "rank": 1}]}`, "twice"},
	} {
		if _, err := ParseRanks([]byte(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", c.text, err, c.want)
		}
	}
}
