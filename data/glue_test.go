package data

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"autolora/data/datatest"
)

func loadGLUE(t *testing.T, name, dir string, parts ...Part) *Splits {
	t.Helper()
	s, err := LoadTask(name, dir, parts...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestGLUELayouts reads the fixtures of all tasks, 12 rows a file, in both layouts and from the task's own folder.
func TestGLUELayouts(t *testing.T) {
	for _, g := range glueTasks {
		t.Run(g.Name, func(t *testing.T) {
			official := loadGLUE(t, g.Name, "testdata/glue", Train, Dev, Test)
			for _, dir := range []string{"testdata/hub", "testdata/hub/" + g.Name, "testdata/glue/" + g.inside} {
				other := loadGLUE(t, g.inside, dir, Train, Dev, Test)
				compareDatasets(t, official.Train, other.Train)
				for i := range official.Dev {
					compareDatasets(t, official.Dev[i], other.Dev[i])
				}
				for i := range official.Test {
					compareDatasets(t, official.Test[i], other.Test[i])
				}
			}
			variants := max(1, len(g.variants))
			if len(official.Dev) != variants || len(official.Test) != variants {
				t.Errorf("%d dev and %d test sets, want %d", len(official.Dev), len(official.Test), variants)
			}
			if !official.Train.Labelled() || official.Test[0].Labelled() {
				t.Error("train should have labels, test none")
			}
			if len(official.Notes) != 0 {
				t.Errorf("notes %q", official.Notes)
			}
		})
	}
}

func compareDatasets(t *testing.T, a, b *Dataset) {
	t.Helper()
	if a.Name != b.Name || a.Variant != b.Variant || a.Kind != b.Kind || !slices.Equal(a.Labels, b.Labels) {
		t.Fatalf("%s %q %s %q differs from %s %q %s %q", a.Name, a.Variant, a.Kind, a.Labels, b.Name, b.Variant, b.Kind, b.Labels)
	}
	if a.Len() != 12 || b.Len() != 12 {
		t.Fatalf("%s: %d and %d examples, want 12", a.Name, a.Len(), b.Len())
	}
	for i := range a.Examples {
		x, y := a.Examples[i], b.Examples[i]
		x.File, x.Line, y.File, y.Line = "", 0, "", 0
		if math.IsNaN(x.Value) && math.IsNaN(y.Value) {
			x.Value, y.Value = 0, 0
		}
		if !reflect.DeepEqual(x, y) {
			t.Fatalf("%s: example %d: %+v differs from %+v", a.Name, i, x, y)
		}
	}
}

func TestGLUEExamples(t *testing.T) {
	s := loadGLUE(t, "MRPC", "testdata/glue", Train)
	want := Example{
		Text: `Amrozi accused his brother , whom he called " the witness " , of deliberately distorting his evidence .`,
		Pair: `Referring to him as only " the witness " , Amrozi accused his brother of deliberately distorting his evidence .`, HasPair: true,
		Label: 1, File: "testdata/glue/MRPC/train.tsv", Line: 2,
	}
	if got := s.Train.Examples[0]; !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	file := fixture(t, "glue/MRPC/train.tsv")
	sum := sha256.Sum256([]byte(file))
	if s.Train.Fingerprint != hex.EncodeToString(sum[:]) {
		t.Errorf("fingerprint %s, want %x", s.Train.Fingerprint, sum)
	}
	hub := loadGLUE(t, "mrpc", "testdata/hub", Train).Train // in two files
	if len(hub.Files) != 2 || hub.Examples[6].Line != 1 || hub.Examples[6].File != hub.Files[1] {
		t.Errorf("files %q, example 6 is %s", hub.Files, hub.Examples[6].Where())
	}
	if got, want := hub.Examples[7].Where(), filepath.FromSlash("testdata/hub/mrpc/train-00001-of-00002.parquet: row 2"); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	stsb := loadGLUE(t, "STS-B", "testdata/hub", Dev).Dev[0]
	if ex := stsb.Examples[1]; ex.Value != 4.75 || stsb.Labels != nil || stsb.Kind != Regression {
		t.Errorf("value %v, labels %q, kind %s; want 4.75, none, regression", ex.Value, stsb.Labels, stsb.Kind)
	}
	mnli := loadGLUE(t, "mnli", "testdata/glue", Dev)
	if mnli.Dev[0].Variant != "matched" || mnli.Dev[1].Variant != "mismatched" || reflect.DeepEqual(mnli.Dev[0].Examples[0], mnli.Dev[1].Examples[0]) {
		t.Errorf("variants %q and %q", mnli.Dev[0].Variant, mnli.Dev[1].Variant)
	}
}

func TestGLUETasks(t *testing.T) {
	primary := map[string]string{"cola": "matthews", "stsb": "spearman"}
	all := map[string][]string{
		"cola": {"matthews", "accuracy"}, "mrpc": {"accuracy", "f1"}, "qqp": {"accuracy", "f1"}, "stsb": {"spearman", "pearson"},
	}
	if got := TaskNames(); len(got) != 12 || !slices.Equal(got[9:], []string{"e2e", "webnlg", "jnlpba"}) {
		t.Fatalf("tasks %q", got)
	}
	for _, name := range TaskNames()[:9] {
		task, err := GLUETask(strings.ToUpper(name))
		if err != nil {
			t.Fatal(err)
		}
		wantPrimary, wantAll, outputs := "accuracy", []string{"accuracy"}, 2
		if m := primary[name]; m != "" {
			wantPrimary = m
		}
		if m := all[name]; m != nil {
			wantAll = m
		}
		switch name {
		case "mnli":
			outputs = 3
		case "stsb":
			outputs = 1
		}
		if task.Name != name || task.Primary != wantPrimary || !slices.Equal(task.Metrics, wantAll) || task.Outputs() != outputs {
			t.Errorf("%+v, want primary %s of %q and %d outputs", task, wantPrimary, wantAll, outputs)
		}
	}
	if task, err := GLUETask("STS-B"); err != nil || task.Name != "stsb" {
		t.Errorf("STS-B is %q, %v", task.Name, err)
	}
	_, err := GLUETask("imdb")
	if want := `unknown task "imdb": want one of cola, sst2, mrpc, qqp, mnli, qnli, rte, stsb, wnli, e2e, webnlg, jnlpba`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if _, err = GLUETask("jnlpba"); err == nil || err.Error() != "jnlpba is no task of GLUE" {
		t.Errorf("got %v", err)
	}
}

func TestGLUENotes(t *testing.T) {
	dir := t.TempDir()
	copyFile(t, "glue/MNLI/train.tsv", dir, "MNLI/train_subset.tsv")
	copyFile(t, "glue/MNLI/dev_matched.tsv", dir, "MNLI/dev_matched.tsv")
	copyFile(t, "glue/QQP/train.tsv", dir, "QQP/train.tsv")
	copyFile(t, "glue/QQP/dev.tsv", dir, "QQP/heldout_subset.tsv")
	f, err := os.OpenFile(filepath.Join(dir, "QQP", "train.tsv"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("133273\t213221\t213222\tHow are questions\nlike this?\n12\t1\t2\ta\tb\t1\n"); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}

	mnli := loadGLUE(t, "mnli", dir, Train, Dev)
	want := []string{
		"mnli: train is read from " + filepath.Join(dir, "MNLI", "train_subset.tsv") + ", which is not the whole official set",
		`mnli: no dev set "mismatched" in ` + dir + ": only the matched one is used",
	}
	if !slices.Equal(mnli.Notes, want) || len(mnli.Dev) != 1 {
		t.Errorf("%d dev sets, notes\n%s\nwant\n%s", len(mnli.Dev), strings.Join(mnli.Notes, "\n"), strings.Join(want, "\n"))
	}
	qqp := loadGLUE(t, "qqp", dir, Train, Dev)
	want = []string{
		"qqp: 2 rows left out that are cut off, as the official loaders do (the first is " + filepath.Join(dir, "QQP", "train.tsv") + ": line 14)",
		"qqp: dev is read from " + filepath.Join(dir, "QQP", "heldout_subset.tsv") + ", which is not the whole official set",
	}
	if !slices.Equal(qqp.Notes, want) || qqp.Train.Len() != 13 || !slices.Equal(qqp.Train.Skipped, []int{14, 15}) {
		t.Errorf("%d examples, skipped %v, notes\n%s\nwant\n%s", qqp.Train.Len(), qqp.Train.Skipped, strings.Join(qqp.Notes, "\n"), strings.Join(want, "\n"))
	}
}

func copyFile(t *testing.T, from, dir, to string) {
	t.Helper()
	to = filepath.Join(dir, filepath.FromSlash(to))
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, []byte(fixture(t, from)), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestGLUEErrors(t *testing.T) {
	const header = "sentence\tlabel\n"
	tests := []struct {
		name, task string
		files      map[string]string // in the folder DIR
		part       Part
		want       string
	}{
		{"nothing there", "sst2", nil, Train,
			"task sst2: train set not found: looked for train.tsv, train-*-of-*.parquet and train_subset*.tsv in DIR and its folders SST-2 and sst2"},
		{"mnli without matched", "mnli", map[string]string{"MNLI/dev_mismatched.tsv": "x"}, Dev,
			"task mnli: dev set not found: looked for dev_matched.tsv, validation_matched-*-of-*.parquet and dev_matched_subset*.tsv in DIR and its folders MNLI and mnli"},
		{"two subsets", "rte", map[string]string{"RTE/train_subset_1.tsv": "x", "RTE/train_subset_2.tsv": "x"}, Train,
			`task rte: several files could be the train set: DIR/RTE/train_subset_1.tsv, DIR/RTE/train_subset_2.tsv: want one`},
		{"a shard is missing", "sst2", map[string]string{"sst2/train-00001-of-00002.parquet": "x"}, Train,
			"task sst2: DIR/sst2: some files of the set are missing: 1 are there, train-00001-of-00002.parquet among them"},
		{"another task's folder", "rte", map[string]string{"train.tsv": header + "fine\t1\n"}, Train,
			`task rte: DIR/train.tsv: no column "sentence1": it has "sentence", "label"`},
		{"empty file", "sst2", map[string]string{"SST-2/dev.tsv": ""}, Dev, "task sst2: DIR/SST-2/dev.tsv: the file is empty"},
		{"only a header", "sst2", map[string]string{"SST-2/dev.tsv": header}, Dev, "task sst2: DIR/SST-2/dev.tsv: no examples: it holds no rows but a header"},
		{"short row", "sst2", map[string]string{"SST-2/dev.tsv": header + "fine\n"}, Dev, `task sst2: DIR/SST-2/dev.tsv: line 2: 1 cells, want 2 ("sentence", "label")`},
		{"wrong label", "sst2", map[string]string{"SST-2/dev.tsv": header + "fine\t1\nbad\t2\n"}, Dev,
			`task sst2: DIR/SST-2/dev.tsv: line 3: label "2": want "negative", "positive", or 0 to 1`},
		{"no label", "sst2", map[string]string{"SST-2/train.tsv": header + "fine\t-1\n"}, Train,
			`task sst2: DIR/SST-2/train.tsv: line 2: label "-1": want "negative", "positive", or 0 to 1`},
		{"empty label", "rte", map[string]string{"RTE/dev.tsv": "sentence1\tsentence2\tlabel\na\tb\t\n"}, Dev,
			`task rte: DIR/RTE/dev.tsv: line 2: label "": want "entailment", "not_entailment", or 0 to 1`},
		{"cola with a header", "cola", map[string]string{"CoLA/train.tsv": "source\tlabel\toriginal_label\tsentence\n"}, Train,
			`task cola: DIR/CoLA/train.tsv: line 1: label "label": want "unacceptable", "acceptable", or 0 to 1`},
		{"score out of range", "stsb", map[string]string{"STS-B/dev.tsv": "sentence1\tsentence2\tscore\na\tb\t5.5\n"}, Dev, `task stsb: DIR/STS-B/dev.tsv: line 2: label "5.5": want 0 to 5`},
		{"score is no number", "stsb", map[string]string{"STS-B/dev.tsv": "sentence1\tsentence2\tscore\na\tb\tNaN\n"}, Dev, `task stsb: DIR/STS-B/dev.tsv: line 2: label "NaN": want a finite number`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, content := range test.files {
				file := filepath.Join(dir, filepath.FromSlash(name))
				if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			_, err := LoadTask(test.task, dir, test.part)
			if want := strings.ReplaceAll(test.want, "DIR", dir); err == nil || err.Error() != want {
				t.Errorf("got %v\nwant %s", err, want)
			}
		})
	}
	if _, err := LoadTask("sst2", filepath.Join(t.TempDir(), "no"), Train); err == nil || !strings.Contains(err.Error(), "data folder of task sst2: ") {
		t.Errorf("no folder: got %v", err)
	}
	file := write(t, "train.tsv", header)
	if _, err := LoadTask("sst2", file, Train); err == nil || err.Error() != "data folder of task sst2: "+file+" is a file: want the folder with SST-2 in it" {
		t.Errorf("a file: got %v", err)
	}
	if _, err := LoadTask("imdb", ".", Train); err == nil {
		t.Error("unknown task: no error")
	}
}

// TestDemoData checks the data of the demo: 8,000 train rows, and the dev set whole.
func TestDemoData(t *testing.T) {
	s := loadGLUE(t, "sst2", filepath.Join("..", "testdata", "sst2"), Train, Dev)
	positive := 0
	for _, ex := range s.Train.Examples {
		positive += ex.Label
	}
	if s.Train.Len() != 8000 || positive != 4418 {
		t.Errorf("%d train rows, %d positive, want 8000 and 4418", s.Train.Len(), positive)
	}
	if got, want := digest(s.Dev[0]), official(t)["SST-2/dev.tsv"]; got != want.SHA256 || s.Dev[0].Len() != want.Rows {
		t.Errorf("the dev set is not the official one: %d rows, %s", s.Dev[0].Len(), got)
	}
	if len(s.Notes) > 0 {
		t.Errorf("notes %q", s.Notes)
	}
}

type officialFile struct {
	Rows   int
	SHA256 string
}

// official is what the official loader reads, from testdata/make_fixtures.py.
func official(t *testing.T) map[string]officialFile {
	t.Helper()
	var files map[string]officialFile
	if err := json.Unmarshal([]byte(fixture(t, "official.json")), &files); err != nil {
		t.Fatal(err)
	}
	return files
}

// digest is the hash of make_fixtures.py over texts and labels.
func digest(d *Dataset) string {
	h := sha256.New()
	for _, ex := range d.Examples {
		text := ex.Text
		if ex.HasPair {
			text += "\x1f" + ex.Pair
		}
		label := fmt.Sprint(ex.Label)
		if d.Kind == Regression {
			label = hex.EncodeToString(binary.LittleEndian.AppendUint64(nil, math.Float64bits(ex.Value)))
		}
		fmt.Fprintf(h, "%s\x1f%s\n", text, label)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// TestOfficialFiles reads all of the real GLUE that the developers have: every text and label is what the
// official loader reads, and the sizes are those of the paper's Table 6 where a file is whole.
func TestOfficialFiles(t *testing.T) {
	dir := filepath.Join(datatest.Unpack(t, "datasets/glue.tar.xz"), "glue")
	table6 := map[string][2]int{ // 0: only a part of the set is at hand
		"cola": {8551, 1043}, "rte": {2490, 277}, "qnli": {0, 5463}, "stsb": {5749, 1500}, "mrpc": {3668, 408},
		"wnli": {635, 71}, "sst2": {67349, 872}, "mnli": {0, 9815}, "qqp": {0, 0},
	}
	want := official(t)
	unread := maps.Clone(want)
	for name := range table6 {
		t.Run(name, func(t *testing.T) {
			s := loadGLUE(t, name, dir, Train, Dev)
			for i, d := range []*Dataset{s.Train, s.Dev[0]} {
				if n := table6[name][i]; n != 0 && d.Len() != n {
					t.Errorf("%s: %d examples, Table 6 has %d", d.Name, d.Len(), n)
				}
				key, err := filepath.Rel(dir, d.Files[0])
				if err != nil {
					t.Fatal(err)
				}
				key = filepath.ToSlash(key)
				if w := want[key]; d.Len() != w.Rows || digest(d) != w.SHA256 {
					t.Errorf("%s: %d examples, digest %s, want %d, %s", key, d.Len(), digest(d), w.Rows, w.SHA256)
				}
				if !d.Labelled() {
					t.Errorf("%s has examples without a label", d.Name)
				}
				delete(unread, key)
			}
			if partial := table6[name][0] == 0 || name == "mnli"; partial == (len(s.Notes) == 0) {
				t.Errorf("notes %q", s.Notes)
			}
		})
	}
	if len(unread) > 0 {
		t.Errorf("not read: %v", unread)
	}
}
