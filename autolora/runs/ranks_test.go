package runs

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
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
		{`{"layers": [{"name": "a", "rank": 1}], "k": 65537}`, "k is 65537, want 0 to 65536"},
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

// Ranks that somebody names may be behind a link or a pipe; of a folder that somebody
// else may have made they are neither.
func TestRanksOfAFolder(t *testing.T) {
	dir := t.TempDir()
	write(t, `{"layers": [{"name": "a", "rank": 1}]}`, dir, "elsewhere")
	out, piped := filepath.Join(dir, "out"), filepath.Join(dir, "piped")
	must(t, os.Mkdir(out, 0o777))
	must(t, os.Symlink("../elsewhere", filepath.Join(out, RanksFile)))
	must(t, os.Mkdir(piped, 0o777))
	must(t, syscall.Mkfifo(filepath.Join(piped, RanksFile), 0o666))
	if r, err := ReadRanks(out); err != nil || len(r.Layers) != 1 {
		t.Errorf("named: %+v, %v", r, err)
	}
	if _, err := ReadOnly(out).Ranks(); err == nil || !strings.Contains(err.Error(), "out of its folder") {
		t.Errorf("a link: error %v", err)
	}
	if _, err := ReadOnly(piped).Ranks(); err == nil || !strings.Contains(err.Error(), "is not a regular file") {
		t.Errorf("a pipe: error %v", err)
	}
}
