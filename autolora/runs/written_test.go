package runs

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// write makes a file of the user's own, and its folders.
func write(t *testing.T, content string, path ...string) {
	t.Helper()
	file := filepath.Join(path...)
	must(t, os.MkdirAll(filepath.Dir(file), 0o777))
	must(t, os.WriteFile(file, []byte(content), 0o666))
}

// files returns what is in dir, but for what is not for people.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.Name() == Own:
			return fs.SkipDir
		case d.IsDir():
			return nil
		}
		data, err := os.ReadFile(path)
		rel, _ := filepath.Rel(dir, path)
		all[rel] = string(data)
		return err
	}))
	return all
}

// begin begins a run in dir.
func begin(t *testing.T, dir string, again, overwrite bool) (*Folder, error) {
	t.Helper()
	f, err := Open(dir)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { f.held.Close() }) // as a killed process does; an error if it is closed already
	if err := f.Begin(again, overwrite); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, f.WriteJSON(ConfigFile, "settings")
}

// adapter writes an adapter of that content.
func (f *Folder) adapter(content string) error {
	return f.Make(AdapterDir, func(path string) error {
		err := os.Mkdir(path, 0o777)
		for _, name := range []string{"weights", "README.md"} {
			err = errors.Join(err, os.WriteFile(filepath.Join(path, name), []byte(name+content), 0o666))
		}
		return err
	})
}

// complete does all that a run does.
func complete(t *testing.T, f *Folder, content string) {
	t.Helper()
	must(t, f.Log("line "+content))
	must(t, f.WriteJSON(Checkpoint+"/state", "checkpoint"))
	must(t, f.Grow(TensorBoard+"/events", func(path string) error { return os.WriteFile(path, []byte("events "+content), 0o666) }))
	must(t, f.adapter(content))
	must(t, f.WriteJSON(ResultsFile, content))
	must(t, f.Finish())
	must(t, f.Close())
}

func run(t *testing.T, dir, content string, overwrite bool) {
	t.Helper()
	f, err := begin(t, dir, false, overwrite)
	must(t, err)
	complete(t, f, content)
}

func resultsOf(content string) map[string]string {
	return map[string]string{
		"config.json": "\"settings\"\n", "metrics.jsonl": "\"line " + content + "\"\n", "results.json": "\"" + content + "\"\n",
		"adapter/weights": "weights" + content, "adapter/README.md": "README.md" + content, "tensorboard/events": "events " + content,
	}
}

func same(t *testing.T, dir string, want map[string]string) {
	t.Helper()
	if got := files(t, dir); !maps.Equal(got, want) {
		t.Errorf("the folder has\n%q, want\n%q", got, want)
	}
}

// The results of a run go when those of the next are complete, and not before;
// other files stay.
func TestOverwrite(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "out")
	run(t, dir, "first", false)
	write(t, "mine", dir, "notes.txt")
	want := resultsOf("first")
	want["notes.txt"] = "mine"
	same(t, dir, want)

	if _, err := begin(t, dir, false, false); !errors.Is(err, ErrNotEmpty) {
		t.Errorf("error %v, want %v", err, ErrNotEmpty)
	}
	if _, err := begin(t, dir, true, false); !errors.Is(err, ErrNotEmpty) {
		t.Errorf("error %v, want %v", err, ErrNotEmpty)
	}
	same(t, dir, want)

	f, err := begin(t, dir, false, true)
	must(t, err)
	same(t, dir, want)
	must(t, f.Close()) // before its first step
	if Where(dir) != dir {
		t.Error("what is no more than a beginning was kept")
	}
	run(t, dir, "second", true)
	want = resultsOf("second")
	want["notes.txt"] = "mine"
	same(t, dir, want)
	if Where(dir) != dir {
		t.Error("the folder of the second run is still there")
	}
}

// What no run wrote, or somebody changed, is neither removed nor replaced, by
// whatever name and in whatever folder.
func TestForeignFilesStay(t *testing.T) {
	for _, tt := range []struct {
		name    string
		run     bool // was here before
		path    string
		content string
	}{
		{"a config of another program", false, "config.json", "{}"},
		{"a model", false, "model/model.safetensors", "weights"},
		{"an empty file", false, "results.json", ""},
		{"beside an adapter", true, "adapter/notes.txt", "mine"},
		{"a changed card", true, "adapter/README.md", "README.mdfirst, and more"},
		{"a card of the same size", true, "adapter/README.md", "README.mdFIRST"},
		{"metrics", true, "metrics.jsonl", "\"line other\"\n"},
		{"events below a folder", true, "tensorboard/mine/events", "x"},
		{"a checkpoint that was copied here", true, "checkpoint/state", "x"},
		{"generated texts", true, "hypotheses.txt", "a"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "out")
			if tt.run {
				run(t, dir, "first", false)
			}
			write(t, tt.content, dir, tt.path)
			before := files(t, dir)
			for _, again := range []bool{false, true} {
				_, err := begin(t, dir, again, true)
				var foreign *ForeignError
				if !errors.As(err, &foreign) || foreign.Path != filepath.Join(dir, tt.path) || strings.Contains(err.Error(), "\n") {
					t.Errorf("overwriting: error %v", err)
				}
				if _, err := begin(t, dir, again, false); !errors.Is(err, ErrNotEmpty) {
					t.Errorf("error %v", err)
				}
			}
			must(t, Settle(dir))
			if got := files(t, dir); !maps.Equal(got, before) {
				t.Errorf("the folder has\n%q, want\n%q", got, before)
			}
			if !tt.run && isThere(filepath.Join(dir, Own)) {
				t.Error("a folder that was refused has something new in it")
			}
		})
	}
	t.Run("behind a link", func(t *testing.T) {
		dir, elsewhere := filepath.Join(t.TempDir(), "out"), t.TempDir()
		run(t, dir, "first", false)
		must(t, os.Rename(filepath.Join(dir, AdapterDir), filepath.Join(elsewhere, "adapter")))
		must(t, os.Symlink(filepath.Join(elsewhere, "adapter"), filepath.Join(dir, AdapterDir)))
		if _, err := begin(t, dir, false, true); !errors.As(err, new(*ForeignError)) {
			t.Errorf("error %v", err)
		}
		if len(files(t, elsewhere)) != 2 {
			t.Error("files behind the link are gone")
		}
	})
	t.Run("a list of somebody else's", func(t *testing.T) {
		dir := t.TempDir()
		write(t, "precious", dir, "precious")
		out := filepath.Join(dir, "out")
		run(t, out, "first", false)
		list, err := readWritten(out)
		must(t, err)
		_, err = list.enter("../precious", filepath.Join(dir, "precious"), false)
		must(t, err)
		must(t, list.save(out))
		run(t, out, "second", true)
		if !isThere(filepath.Join(dir, "precious")) {
			t.Error("a list in a folder removed a file out of it")
		}
	})
	t.Run("no list", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "out")
		run(t, dir, "first", false)
		write(t, "null", dir, Own, listFile)
		if _, err := begin(t, dir, false, true); !errors.As(err, new(*ForeignError)) {
			t.Errorf("error %v", err)
		}
		must(t, os.RemoveAll(filepath.Join(dir, Own)))
		if _, err := begin(t, dir, false, true); !errors.As(err, new(*ForeignError)) {
			t.Errorf("error %v", err)
		}
		same(t, dir, resultsOf("first"))
	})
	t.Run("a broken list", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "out")
		run(t, dir, "first", false)
		for _, text := range []string{"{", `{"a": [{"size": "x"}]}`} {
			write(t, text, dir, Own, listFile)
			if _, err := begin(t, dir, false, true); err == nil || !strings.Contains(err.Error(), listFile) || strings.Contains(err.Error(), "Go ") {
				t.Errorf("error %v", err)
			}
		}
		same(t, dir, resultsOf("first"))
	})
	t.Run("changed while the next run worked", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "out")
		run(t, dir, "first", false)
		f, err := begin(t, dir, false, true)
		must(t, err)
		must(t, f.Log("x"))
		must(t, f.WriteJSON(ResultsFile, "second"))
		write(t, "mine", dir, "adapter", "README.md")
		if err := f.Finish(); !errors.As(err, new(*ForeignError)) {
			t.Errorf("error %v", err)
		}
		must(t, f.Close())
		if got := files(t, dir); got["adapter/README.md"] != "mine" || got["results.json"] != "\"first\"\n" {
			t.Errorf("the folder has %q", got)
		}
		must(t, os.Remove(filepath.Join(dir, "adapter", "README.md")))
		must(t, Settle(dir))
		same(t, dir, map[string]string{"config.json": "\"settings\"\n", "metrics.jsonl": "\"x\"\n", "results.json": "\"second\"\n"})
	})
}

// A folder that comes from somebody else leads to no file outside of it.
func TestLinksOutOfTheFolder(t *testing.T) {
	for _, name := range []string{Own, Own + "/" + lockFile, Own + "/" + tempDir, Own + "/" + nextDir, Own + "/" + doneDir, MetricsFile, AdapterDir, Checkpoint} {
		dir, elsewhere := filepath.Join(t.TempDir(), "out"), filepath.Join(t.TempDir(), "elsewhere")
		run(t, dir, "first", false)
		for _, file := range append([]string{"lock/x", "tmp/x", "weights", "state", "x/y"}, Names...) {
			write(t, "mine", elsewhere, file)
		}
		to := elsewhere
		if name == MetricsFile || filepath.Base(name) == lockFile {
			to = filepath.Join(elsewhere, "weights")
		}
		before := files(t, elsewhere)
		link := filepath.Join(dir, name)
		must(t, os.RemoveAll(link))
		must(t, os.Symlink(to, link))
		for _, again := range []bool{false, true} {
			f, err := Open(dir)
			if err != nil {
				continue
			}
			if again {
				_ = f.Reopen(0)
			} else if f.Begin(false, true) == nil {
				_ = f.WriteJSON(ConfigFile, "x")
				_ = f.Log("x")
			}
			must(t, f.Close())
		}
		_ = Settle(dir)
		if after := files(t, elsewhere); !maps.Equal(after, before) {
			t.Errorf("%s: the folder behind the link has\n%q, want\n%q", name, after, before)
		}
	}
}

// A folder that was made for a run that ended before its first step is not left in
// the way, nor are those above it; a folder that was there stays.
func TestBeginningsGo(t *testing.T) {
	parent := t.TempDir()
	f, err := begin(t, filepath.Join(parent, "a", "b", "out"), false, false)
	must(t, err)
	must(t, f.Grow(TensorBoard+"/events", func(path string) error { return os.WriteFile(path, []byte("head"), 0o666) }))
	must(t, f.Close())
	if entries, _ := os.ReadDir(parent); len(entries) > 0 {
		t.Errorf("left %v", entries)
	}
	there := filepath.Join(parent, "there")
	must(t, os.Mkdir(there, 0o777))
	f, err = begin(t, there, false, false)
	must(t, err)
	must(t, f.Close())
	if entries, err := os.ReadDir(there); len(entries) > 0 || err != nil {
		t.Errorf("left %v, %v", entries, err)
	}
	if _, err := Open(filepath.Join(parent, "there")); err != nil {
		t.Error(err)
	}
}

// A run that was killed at its beginning is in nobody's way; one that was killed
// later can be begun again only where that is asked for.
func TestKilledRuns(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "out")
	for range 2 {
		f, err := begin(t, dir, false, false)
		must(t, err)
		must(t, f.held.Close()) // killed
	}
	f, err := begin(t, dir, false, false)
	must(t, err)
	must(t, f.Log("step"))
	must(t, f.Log("step"))
	must(t, f.held.Close())
	if _, err := begin(t, dir, false, false); !errors.Is(err, ErrNotEmpty) {
		t.Errorf("error %v", err)
	}
	f, err = begin(t, dir, true, false)
	must(t, err)
	complete(t, f, "whole")
	same(t, dir, resultsOf("whole"))
	if entries, err := os.ReadDir(filepath.Join(dir, Own)); err != nil || len(entries) > 3 {
		t.Errorf("left %v, %v", entries, err)
	}
}

// A run beside an earlier one goes on after a kill where it was.
func TestReopenBeside(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "out")
	run(t, dir, "first", false)
	f, err := begin(t, dir, false, true)
	must(t, err)
	must(t, f.Log("one"))
	size, err := f.SyncMetrics()
	must(t, err)
	must(t, f.Log("lost"))
	must(t, f.held.Close()) // killed
	must(t, Settle(dir))
	same(t, dir, resultsOf("first"))
	if Where(dir) == dir {
		t.Fatal("the second run is not found")
	}
	f, err = Open(dir)
	must(t, err)
	must(t, f.Reopen(size))
	must(t, f.Log("two"))
	must(t, f.WriteJSON(ResultsFile, "second"))
	must(t, f.Finish())
	must(t, f.Close())
	same(t, dir, map[string]string{"config.json": "\"settings\"\n", "metrics.jsonl": "\"one\"\n\"two\"\n", "results.json": "\"second\"\n"})
}

// One run takes the place of another whatever the moment at which it is killed:
// a step of it fails, as if the process had ended there, and the next session does
// the rest.
func TestSwapKilled(t *testing.T) {
	names := []string{ConfigFile, MetricsFile, AdapterDir, TensorBoard, ResultsFile} // that a run has here, in the order of swap
	for cut := range len(names) + 2 {
		dir := filepath.Join(t.TempDir(), "out")
		run(t, dir, "first", false)
		write(t, "mine", dir, "notes.txt")
		f, err := begin(t, dir, false, true)
		must(t, err)
		must(t, f.Log("line second"))
		must(t, f.Grow(TensorBoard+"/events", func(path string) error { return os.WriteFile(path, []byte("events second"), 0o666) }))
		must(t, f.adapter("second"))
		must(t, f.WriteJSON(ResultsFile, "second"))
		must(t, f.written.settle(f.Dir))
		must(t, f.written.save(f.Dir))
		must(t, f.held.Close())

		// What swap does, up to some step.
		done := filepath.Join(dir, Own, doneDir)
		must(t, os.Rename(f.Dir, done))
		f, err = &Folder{Dir: dir, home: dir}, nil
		f.written, err = readWritten(dir)
		must(t, err)
		fresh, err := readWritten(done)
		must(t, err)
		f.written.add(fresh)
		must(t, f.written.save(dir))
		if cut > 0 {
			must(t, f.drop(ResultsFile))
		}
		for i, name := range names {
			if i+1 < cut {
				must(t, f.take(name, done, fresh))
			}
		}

		must(t, Settle(dir))
		want := resultsOf("second")
		want["notes.txt"] = "mine"
		same(t, dir, want)
		if isThere(done) {
			t.Errorf("cut %d: the folder of the new results is left", cut)
		}
		run(t, dir, "third", true) // the list is whole
	}
}

// A second process is told who works in a folder; the lock ends with the first,
// however that ends.
func TestLock(t *testing.T) {
	if dir := os.Getenv("AUTOLORA_TEST_HOLD"); dir != "" {
		f, err := Open(dir)
		must(t, err)
		os.Stdout.WriteString("held\n")
		time.Sleep(time.Minute)
		f.Close()
	}
	dir := filepath.Join(t.TempDir(), "out")
	other := exec.Command(os.Args[0], "-test.run", "^TestLock$")
	other.Env = append(os.Environ(), "AUTOLORA_TEST_HOLD="+dir)
	said, err := other.StdoutPipe()
	must(t, err)
	must(t, other.Start())
	defer other.Process.Kill()
	_, err = said.Read(make([]byte, 5))
	must(t, err)
	host, _ := os.Hostname()
	_, err = Open(dir)
	if !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), host) || !strings.Contains(err.Error(), "since 2") || strings.Contains(err.Error(), "\n") {
		t.Errorf("error %v", err)
	}
	must(t, other.Process.Kill())
	_ = other.Wait()
	f, err := Open(dir)
	must(t, err)
	must(t, f.Close())
}

func TestApart(t *testing.T) {
	dir := t.TempDir()
	at := func(path string) string { return filepath.Join(dir, path) }
	for _, path := range []string{"project/model/config.json", "project/train.csv", "data/train.tsv", "outs/x"} {
		write(t, "", dir, path)
	}
	for link, to := range map[string]string{"link": "project/model", "up": "project", "project/linked-out": at("outs"), "outs/back": at("project/model")} {
		must(t, os.Symlink(to, at(link)))
	}
	t.Chdir(at("project"))
	for _, tt := range []struct{ out, in, how string }{
		{"model", at("project/model"), "is"},
		{"../project/./model/", "model", "is"},
		{at("link"), "model", "is"},
		{".", "model", "holds"},
		{"..", "model", "holds"},
		{at("up"), at("link"), "holds"},
		{"model/out", "model", "lies in"},
		{"model/a/b/../c", "model", "lies in"},
		{at("link") + "/new", "model", "lies in"},
		{"model/new", at("link"), "lies in"},
		{at("outs/back/new/deep"), "model", "lies in"},
		{"linked-out/new", at("outs"), "lies in"},
		{".", "train.csv", "holds"},
		{"train.csv", "train.csv", "is"},
		{at("outs"), at("outs/back"), "holds"}, // the link to it
		{"out", "model", ""},
		{"out", "train.csv", ""},
		{"model2", "model", ""},
		{at("outs/new"), "model", ""},
		{"linked-out", "model", ""},
		{"out", "none", ""},
		{"out", "", ""},
	} {
		err := Apart(tt.out, Input{"model", tt.in})
		if tt.how == "" && err != nil || tt.how != "" && (err == nil || !strings.Contains(err.Error(), " "+tt.how+" the model ")) {
			t.Errorf("%s and %s: error %v, want %q", tt.out, tt.in, err, tt.how)
		}
	}
	for _, tt := range []struct {
		out, in string
		ok      bool
	}{
		{"train.csv", "train.csv", false},
		{at("up") + "/train.csv", "train.csv", false},
		{"model/config.json", "model", false},
		{at("link") + "/config.json", "model", false},
		{"model/new.jsonl", "model", true},
		{"new.csv", "train.csv", true},
		{"train.csv", "model", true},
		{"train.csv", "", true},
	} {
		if err := Aside(tt.out, Input{"input", tt.in}); (err == nil) != tt.ok {
			t.Errorf("%s and %s: error %v", tt.out, tt.in, err)
		}
	}
	must(t, os.Link("train.csv", "hard.csv"))
	if err := Aside("hard.csv", Input{"input", "train.csv"}); err == nil {
		t.Error("the same file by another name is taken")
	}
}
