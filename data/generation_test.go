package data

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"autolora/data/datatest"
)

// lines of LoRA's form: the source of every example, as often as it has texts.
func sources(d *Dataset) []string {
	var all []string
	for _, ex := range d.Examples {
		all = append(all, slices.Repeat([]string{ex.Source}, max(1, len(ex.References)))...)
	}
	return all
}

// loraLines reads LoRA's text form as format_converting_e2e.py does.
func loraLines(t *testing.T, file string) (sources, targets []string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		parts := strings.Split(strings.TrimSpace(line), "||")
		sources, targets = append(sources, parts[0]), append(targets, parts[1])
	}
	return sources, targets
}

func loadTask(t *testing.T, task, dir string, parts ...Part) *Splits {
	t.Helper()
	s, err := LoadTask(task, dir, parts...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// places sets where the examples were read to nothing, to compare layouts.
func placeless(d *Dataset) []Example {
	all := slices.Clone(d.Examples)
	for i := range all {
		all[i].File, all[i].Line = "", 0
	}
	return all
}

func TestE2ELayouts(t *testing.T) {
	official := loadTask(t, "E2E", "testdata/generation", Train, Dev, Test)
	hub := loadTask(t, "e2e", "testdata/generation/e2e_hub", Train, Dev, Test)
	lora := loadTask(t, "e2e", "testdata/generation/e2e_lora", Dev, Test)
	for _, p := range [][2]*Dataset{{official.Train, hub.Train}, {official.Dev[0], hub.Dev[0]}, {official.Test[0], hub.Test[0]}} {
		if !reflect.DeepEqual(placeless(p[0]), placeless(p[1])) {
			t.Errorf("%s: the hub's layout gives other examples", p[0].Name)
		}
	}
	for i, d := range []*Dataset{official.Dev[0], official.Test[0]} {
		file := []string{"valid.txt", "test.txt"}[i]
		want, texts := loraLines(t, "testdata/generation/e2e_lora/"+file)
		if got := sources(d); !slices.Equal(got, want) {
			t.Errorf("%s: the sources are not those of LoRA's %s", d.Name, file)
		}
		other := []*Dataset{lora.Dev[0], lora.Test[0]}[i]
		var got []string
		for _, ex := range other.Examples {
			got = append(got, ex.References...)
		}
		if !slices.Equal(sources(other), want) || !slices.Equal(got, texts) {
			t.Errorf("%s: the examples are not the lines", file)
		}
	}
	ex := official.Dev[0].Examples[len(official.Dev[0].Examples)-1]
	want := Example{
		Writing: &Writing{Source: "name : Cocum | Type : coffee shop | food : Chinese | price : more than £ 30 | customer rating : high | family friendly : no", References: []string{
			"Chinese food serving coffee shop, Cocum, has a high customer rating. Please note it is not child friendly, and has a price range of over £30.",
			"There is a coffee shop called Cocum that has Chinese food ranging from £30 and up with a high customer rating, and is not kid friendly.",
		}},
		File: filepath.FromSlash("testdata/generation/e2e/devset.csv"), Line: 34,
	}
	if !reflect.DeepEqual(ex, want) {
		t.Errorf("got %+v\nwant %+v", ex, want)
	}
	train := official.Train
	if ex := train.Examples[0]; ex.Target != "The Vaults pub near Café Adriatic has a 5 star rating.  Prices start at £30." || ex.References != nil || ex.Line != 2 {
		t.Errorf("train: %+v", ex)
	}
	if task := official.Task; task.Kind != Generation || task.Scoring != "e2e" || task.Primary != "bleu" || len(task.Metrics) != 7 || task.Outputs() != 0 {
		t.Errorf("task %+v", task)
	}
	if !train.Labelled() || !official.Dev[0].Labelled() || train.Prompts().Labelled() || train.Examples[0].Target == "" {
		t.Error("train and dev should have labels, prompts of train none")
	}
}

func TestLinearizeMR(t *testing.T) {
	for _, test := range []struct{ mr, want string }{
		{"name[The Mill], eatType[pub], priceRange[£20-25]", "name : The Mill | Type : pub | price : £ 20 - 25"},
		{"familyFriendly[yes],near[Café Rouge]", "family friendly : yes | near : Café Rouge"},
		{" name[ Zizzi ] ", "name : Zizzi"},
		{"priceRange[less than £20], area[north-west £5]", "price : less than £ 20 | area : north-west £5"},
	} {
		if got, err := linearizeMR(test.mr); err != nil || got != test.want {
			t.Errorf("%s: got %q, %v, want %q", test.mr, got, err, test.want)
		}
	}
	for _, test := range []struct{ mr, want string }{
		{"name[Alimentum, area[x]", `the value of "name" has no end before the next one`},
		{"name[Alimentum", `the value of "name" has no end`},
		{"name[Alimentum]]", `there is no comma after the value of "name"`},
		{"name Alimentum], area[x]", `there is a "]" after "name Alimentum" without a "["`},
		{"name[Alimentum] area[x]", `there is no comma after the value of "name"`},
		{"name[Alimentum], area", `"area" has no value in brackets`},
		{"name[Alimentum], ", `"" has no value in brackets`},
		{"name[Alimentum], food, area[x]", `"food, area" is no name of one value`},
		{"[Alimentum]", "a value has no name before it"},
		{"name[ ]", `the value of "name" is empty`},
		{"", `"" has no value in brackets`},
	} {
		want := "the meaning representation " + shorten(test.mr) + " is broken: " + test.want + ": want name[value], name[value], ..."
		if got, err := linearizeMR(test.mr); err == nil || err.Error() != want {
			t.Errorf("%s: got %q, %v\nwant %s", test.mr, got, err, want)
		}
	}
}

func FuzzLinearizeMR(f *testing.F) {
	for _, mr := range []string{"name[The Mill], eatType[pub], priceRange[£20-25]", "name[Alimentum, area[x]", "a[b],c[d", "]", "[", "a,b[c]", "a[b] , "} {
		f.Add(mr)
	}
	f.Fuzz(func(t *testing.T, mr string) {
		got, err := linearizeMR(mr)
		if err != nil {
			if got != "" || strings.Contains(err.Error(), "\n") {
				t.Fatalf("got %q, error %q", got, err)
			}
			return
		}
		if n := strings.Count(mr, "["); n < 1 || strings.Count(mr, "]") != n || strings.Count(got, " : ") < n || strings.Count(got, " | ") < n-1 {
			t.Fatalf("%q gives %q", mr, got)
		}
	})
}

// loraRow is a row of format_converting_webnlg.py.
type loraRow struct {
	Context, Completion string
	Cate                bool
}

func webnlgWant(t *testing.T) map[Part]struct {
	Rows  []loraRow
	Whole officialFile
} {
	t.Helper()
	var want map[Part]struct {
		Rows  []loraRow
		Whole officialFile
	}
	if err := json.Unmarshal([]byte(fixture(t, "generation/want.json")), &want); err != nil {
		t.Fatal(err)
	}
	return want
}

// byReferences gives the rows of the sets as an evaluation has them, each source with all its texts.
func byReferences(rows []loraRow) []loraRow {
	var contexts []string
	all := map[string][]loraRow{}
	for _, row := range rows {
		if all[row.Context] == nil {
			contexts = append(contexts, row.Context)
		}
		all[row.Context] = append(all[row.Context], row)
	}
	var sorted []loraRow
	for _, context := range contexts {
		sorted = append(sorted, all[context]...)
	}
	return sorted
}

// webnlgRows gives the examples in LoRA's form.
func webnlgRows(d *Dataset, part Part) (rows []loraRow) {
	for _, ex := range d.Examples {
		for _, text := range append(slices.Clone(ex.References), ex.Target) {
			if text != "" {
				rows = append(rows, loraRow{ex.Source, text, part != Test || ex.Subset == "seen"})
			}
		}
	}
	return rows
}

func TestWebNLG(t *testing.T) {
	s := loadTask(t, "web_nlg", "testdata/generation", Train, Dev, Test)
	want := webnlgWant(t)
	for part, d := range map[Part]*Dataset{Train: s.Train, Dev: s.Dev[0], Test: s.Test[0]} {
		rows := want[part].Rows
		if part != Train {
			rows = byReferences(rows)
		}
		if got := webnlgRows(d, part); !slices.Equal(got, rows) {
			t.Errorf("%s: %d rows are not the %d of LoRA's script", d.Name, len(got), len(rows))
		}
	}
	if got := s.Test[0].Subsets(); !slices.Equal(got, []string{"seen", "unseen"}) {
		t.Errorf("subsets of the test set: %q", got)
	}
	if got := s.Dev[0].Subsets(); got != nil {
		t.Errorf("subsets of the dev set: %q", got)
	}
	dev := s.Dev[0]
	if ex := dev.Examples[1]; ex.Line != 24 || len(ex.References) != 5 || ex.Target != "" {
		t.Errorf("dev: %+v", ex)
	}
	note := "webnlg: 1 entries left out that have no text marked as good, as LoRA's code does (the first is " + dev.Files[0] + ": line 101)"
	if !slices.Equal(s.Notes, []string{note}) || !slices.Equal(dev.Skipped, []int{101}) {
		t.Errorf("notes %q, skipped %d\nwant %q", s.Notes, dev.Skipped, note)
	}
}

func TestWebNLGLines(t *testing.T) {
	const entry = `{"1": {"category": "City", "modifiedtripleset": [{"subject": "a", "property": "b", "object": "c"}]}}`
	var lines []int
	err := readEntries("f", []byte("{\"entries\": [\n"+entry+",\n"+entry+",\n\n"+entry+"]}"), func(line int, _ webnlgEntry) error {
		lines = append(lines, line)
		return nil
	})
	if err != nil || !slices.Equal(lines, []int{2, 3, 5}) {
		t.Errorf("entries in lines %d, %v", lines, err)
	}
}

func TestGenerationErrors(t *testing.T) {
	const entry = `{"1": {"category": "City", "modifiedtripleset": [{"subject": "a", "property": "b", "object": "c"}], "lexicalisations": [{"comment": "good", "lex": "d"}]}}`
	for _, test := range []struct {
		name, task, file, content, want string
	}{
		{"broken MR", "e2e", "trainset.csv", "mr,ref\nname[A],a\n\"name[Alimentum, area[x]\",b\n",
			`DIR/trainset.csv: line 3: the meaning representation "name[Alimentum, area[x]" is broken: the value of "name" has no end before the next one: want name[value], name[value], ...`},
		{"empty text", "e2e", "trainset.csv", "mr,ref\nname[A],\" \"\n", "DIR/trainset.csv: line 2: the target is empty: want a text"},
		{"no texts", "e2e", "trainset.csv", "mr\nname[A]\n", `DIR/trainset.csv: no column "ref": it has "mr"`},
		{"no separator", "e2e", "train.txt", "name : A||b\nname : A|b\n", `DIR/train.txt: line 2: "||" is there 0 times: want a source, "||" and a target`},
		{"two separators", "e2e", "train.txt", "name : A||b||c\n", `DIR/train.txt: line 1: "||" is there 2 times: want a source, "||" and a target`},
		{"no source", "e2e", "train.txt", " ||b\n", "DIR/train.txt: line 1: the source is empty: want a text"},
		{"not UTF-8", "e2e", "train.txt", "a||\xff\n", "DIR/train.txt: line 1: byte 4 is not UTF-8 (0xff): convert the file to UTF-8"},
		{"nothing in it", "e2e", "train.txt", "\n\n", "DIR/train.txt: the file is empty"},
		{"no entries", "webnlg", "train.json", `{"data": {"entries": []}}`, `DIR/train.json: there is no list "entries": want {"entries": [{"1": {...}}, ...]}`},
		{"a list", "webnlg", "train.json", `[]`, `DIR/train.json: line 1: a JSON array: want {"entries": [{"1": {...}}, ...]}`},
		{"cut off", "webnlg", "train.json", "{\"entries\": [\n" + entry + ",\n", "DIR/train.json: line 3: unexpected end of JSON input"},
		{"cut off in an entry", "webnlg", "train.json", "{\"entries\": [\n" + entry[:40], "DIR/train.json: line 2: unexpected end of JSON input"},
		{"not JSON", "webnlg", "train.json", "{\"entries\": [\n" + entry + ",\n{'1'}]}", `DIR/train.json: line 3: invalid character '\'' looking for beginning of object key string`},
		{"more", "webnlg", "train.json", `{"entries": [` + entry + "]}\n{}", `DIR/train.json: line 2: invalid character '{' after top-level value`},
		{"two in one", "webnlg", "train.json", "{\"entries\": [\n{\"1\": " + entry + ", \"2\": " + entry + "}]}", `DIR/train.json: line 2: an entry with 2 keys: want one, {"1": {...}}`},
		{"no category", "webnlg", "train.json", `{"entries": [` + strings.Replace(entry, "City", "", 1) + `]}`, `DIR/train.json: line 1: no "category"`},
		{"no triples", "webnlg", "train.json", `{"entries": [{"1": {"category": "City", "modifiedtripleset": []}}]}`, `DIR/train.json: line 1: no triples in "modifiedtripleset"`},
		{"no object", "webnlg", "train.json", `{"entries": [` + strings.Replace(entry, `"object"`, `"objekt"`, 1) + `]}`,
			`DIR/train.json: line 1: triple 1 of "modifiedtripleset": want "subject", "property" and "object"`},
		{"nothing good", "webnlg", "train.json", `{"entries": [` + strings.Replace(entry, "good", "toFix", 1) + `]}`, "DIR/train.json: no text in it is marked as good"},
		{"empty lex", "webnlg", "train.json", `{"entries": [` + strings.Replace(entry, `"d"`, `" "`, 1) + `]}`, "DIR/train.json: line 1: the target is empty: want a text"},
		{"no files", "webnlg", "train.csv", "x", "train set not found: looked for train.json in DIR and its folders webnlg_challenge_2017, webnlg2017 and webnlg"},
		{"no train set", "e2e", "devset.csv", "x", "train set not found: looked for trainset.csv, train.txt and train-*-of-*.parquet in DIR and its folders e2e-dataset and e2e"},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, test.file), []byte(test.content), 0o644); err != nil {
				t.Fatal(err)
			}
			want := "task " + test.task + ": " + strings.ReplaceAll(test.want, "DIR", dir)
			if _, err := LoadTask(test.task, dir, Train); err == nil || err.Error() != want {
				t.Errorf("got %v\nwant %s", err, want)
			}
		})
	}
}

func FuzzWebNLG(f *testing.F) {
	f.Add([]byte(fixture(f, "generation/webnlg/dev.json")))
	f.Add([]byte(`{"x": [1, {}], "entries": [{"1": {"category": "City", "modifiedtripleset": [{"subject": "a", "property": "b", "object": "c"}]}}]}`))
	f.Add([]byte("\ufeff{\"entries\": [\n{\"1\": null}, null]}"))
	f.Add([]byte(`{"entries": {}} {`))
	f.Fuzz(func(t *testing.T, b []byte) {
		before := allocs()
		last := 1
		err := readEntries("fuzz.json", b, func(line int, entry webnlgEntry) error {
			if line < last || line > 1+bytes.Count(b, []byte("\n")) {
				t.Fatalf("line %d after %d", line, last)
			}
			last = line
			if entry.source() == "" {
				t.Fatalf("line %d: no source", line)
			}
			return nil
		})
		if err != nil && (!strings.HasPrefix(err.Error(), "fuzz.json: ") || strings.Contains(err.Error(), "\n")) {
			t.Fatalf("error %q: want one line with the file's name", err)
		}
		if got := allocs() - before; got > 1<<20+1000*uint64(len(b)) {
			t.Fatalf("allocated %d bytes for %d", got, len(b))
		}
	})
}

func TestFileTaskGeneration(t *testing.T) {
	train := write(t, "train.tsv", "in\tout\na\tx\na\ty\nb\tz\n")
	dev := write(t, "dev.jsonl", "{\"in\": \"b\", \"out\": \"z\"}\n{\"in\": \"a\", \"out\": \" x \"}\n{\"in\": \"b\", \"out\": \"zz\"}\n")
	test := write(t, "test.csv", "in\nb\na\nb\n")
	s, err := FileTask{Train: train, Dev: dev, Test: test, Kind: Generation, Text: []string{"in"}, Label: "out"}.Load()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		d    *Dataset
		want []Example
	}{
		{s.Train, []Example{{Writing: &Writing{Source: "a", Target: "x"}, File: train, Line: 2}, {Writing: &Writing{Source: "a", Target: "y"}, File: train, Line: 3}, {Writing: &Writing{Source: "b", Target: "z"}, File: train, Line: 4}}},
		{s.Dev[0], []Example{{Writing: &Writing{Source: "b", References: []string{"z", "zz"}}, File: dev, Line: 1}, {Writing: &Writing{Source: "a", References: []string{"x"}}, File: dev, Line: 2}}},
		{s.Test[0], []Example{{Writing: &Writing{Source: "b"}, File: test, Line: 2}, {Writing: &Writing{Source: "a"}, File: test, Line: 3}}},
	} {
		if !reflect.DeepEqual(c.d.Examples, c.want) {
			t.Errorf("%s: got %+v\nwant %+v", c.d.Name, c.d.Examples, c.want)
		}
	}
	if !s.Dev[0].Labelled() || s.Test[0].Labelled() {
		t.Error("dev should have labels, test none")
	}
	want := Task{Name: "train", Kind: Generation, Metrics: []string{"bleu", "rouge_l"}, Primary: "bleu", Scoring: "e2e"}
	if !reflect.DeepEqual(s.Task, want) {
		t.Errorf("task %+v\nwant %+v", s.Task, want)
	}
	for _, c := range []struct {
		name string
		task FileTask
		want string
	}{
		{"two sources", FileTask{Train: train, Kind: Generation, Text: []string{"in", "out"}, Label: "out"}, "2 text columns: want the one with the source"},
		{"no target", FileTask{Train: train, Kind: Generation, Text: []string{"in"}}, "no label column is named: training and scoring need one"},
		{"classes", FileTask{Train: train, Kind: Generation, Text: []string{"in"}, Label: "out", Labels: []string{"a", "b"}}, "class names are given, but a generation has no classes"},
	} {
		if _, err := c.task.Load(); err == nil || err.Error() != c.want {
			t.Errorf("%s: got %v, want %s", c.name, err, c.want)
		}
	}
}

func TestReadInputsGeneration(t *testing.T) {
	file := write(t, "in.jsonl", "{\"source\": \"a\"}\n{\"source\": \"a\", \"target\": \"x\"}\n")
	d, err := ReadInputs(file, Task{Kind: Generation})
	want := []Example{{Writing: &Writing{Source: "a"}, File: file, Line: 1}, {Writing: &Writing{Source: "a", Target: "x"}, File: file, Line: 2}}
	if err != nil || !reflect.DeepEqual(d.Examples, want) {
		t.Errorf("got %+v, %v\nwant %+v", d.Examples, err, want)
	}
	for content, want := range map[string]string{
		`{"text": "a"}`:  `line 1: no "source": it has "text"`,
		`{"source": ""}`: "line 1: the source is empty: want a text",
	} {
		file := write(t, "bad.jsonl", content)
		if _, err := ReadInputs(file, Task{Kind: Generation}); err == nil || err.Error() != "input: "+file+": "+want {
			t.Errorf("%s: got %v, want %s", content, err, want)
		}
	}
}

// TestGenerationBatch packs a source of 2 tokens with a target of 2, one with a target of 1, and a prompt.
func TestGenerationBatch(t *testing.T) {
	const end = 9
	encoder := encoderFunc(func(ex Example) (Encoded, error) {
		var e Encoded
		for _, c := range ex.Source {
			e.IDs = append(e.IDs, c-'0')
		}
		e.IDs = append(e.IDs, end)
		prompt := int32(len(e.IDs))
		for _, c := range ex.Target {
			e.IDs = append(e.IDs, c-'0')
		}
		if ex.Target != "" {
			e.IDs = append(e.IDs, end)
			e.Trained = []Span{{prompt, int32(len(e.IDs))}}
		}
		return e, nil
	})
	d := &Dataset{Name: "made-up", Kind: Generation, Examples: []Example{{Writing: &Writing{Source: "12", Target: "34"}}, {Writing: &Writing{Source: "5", Target: "6"}}, {Writing: &Writing{Source: "7"}}}}
	c := NewCorpus(d, encoder)
	b, err := c.Batch([]int{0, 2, 1})
	if err != nil {
		t.Fatal(err)
	}
	want := &Batch{
		IDs:      []int64{1, 2, end, 3, 4, 7, end, 5, end, 6},
		Segments: make([]int64, 10),
		Lengths:  []int{5, 2, 3},
		Want:     []int64{2, 3, 4, 6, 8, 9},
		WantPer:  []int{3, 1, 2},
		Labels:   []int64{3, 4, end, NoLabel, 6, end},
		Index:    []int{0, 2, 1},
	}
	if !reflect.DeepEqual(b, want) {
		t.Errorf("got %+v\nwant %+v", b, want)
	}
	checkAlone(t, c, b)
	if n, err := c.Tokens(); err != nil || n != 10 {
		t.Errorf("%d tokens, %v, want 10", n, err)
	}
	batches, err := NewCorpus(d.Prompts(), encoder).EvalBatches(t.Context(), 8, 1)
	if err != nil || !reflect.DeepEqual(batches, [][]int{{0, 1, 2}}) {
		t.Errorf("prompts: got %v, %v", batches, err)
	}
	for _, bad := range []struct {
		name string
		ex   Example
		enc  Encoded
		kind Kind
		want string
	}{
		{"written of a text", Example{}, Encoded{IDs: []int32{1}, Trained: []Span{{0, 1}}}, Classification, "the tokenizer gave tokens to be written: want none in a classification"},
		{"no prompt", Example{Writing: &Writing{Source: "a", Target: "b"}}, Encoded{IDs: []int32{1}, Trained: []Span{{0, 1}}}, Generation, "the tokenizer gave tokens 0 to 1 to be written: want them from 1 to 1"},
		{"too long", Example{Writing: &Writing{Source: "a", Target: "b"}}, Encoded{IDs: []int32{1, 2}, Trained: []Span{{1, 3}}}, Generation, "the tokenizer gave tokens 1 to 3 to be written: want them from 1 to 2"},
		{"out of order", Example{Chat: &Conversation{}}, Encoded{IDs: []int32{1, 2, 3}, Trained: []Span{{2, 3}, {1, 2}}}, Chat, "the tokenizer gave tokens 1 to 2 to be written: want them from 3 to 3"},
		{"empty", Example{Chat: &Conversation{}}, Encoded{IDs: []int32{1, 2, 3}, Trained: []Span{{2, 2}}}, Chat, "the tokenizer gave tokens 2 to 2 to be written: want them from 1 to 3"},
		{"no target", Example{Writing: &Writing{Source: "a", Target: "b"}}, Encoded{IDs: []int32{1}}, Generation, `the tokenizer gave 0 parts to be written for the target "b"`},
		{"a target", Example{Writing: &Writing{Source: "a"}}, Encoded{IDs: []int32{1, 2}, Trained: []Span{{1, 2}}}, Generation, `the tokenizer gave 1 parts to be written for the target ""`},
	} {
		bad.ex.File, bad.ex.Line = "x.tsv", 3
		c := NewCorpus(&Dataset{Kind: bad.kind, Examples: []Example{bad.ex}}, encoderFunc(func(Example) (Encoded, error) { return bad.enc, nil }))
		if _, err := c.Batch([]int{0}); err == nil || err.Error() != "x.tsv: line 3: "+bad.want {
			t.Errorf("%s: got %v, want %s", bad.name, err, bad.want)
		}
	}
}

// counts are the examples of a data set and their texts.
func counts(d *Dataset) [2]int {
	texts := 0
	for _, ex := range d.Examples {
		texts += len(ex.References)
		if ex.Target != "" {
			texts++
		}
	}
	return [2]int{d.Len(), texts}
}

// TestE2EFiles reads all of E2E: the counts are those of the challenge (42,061 texts for 4,862 meanings, 4,672 for
// 547, 4,693 for 630), and the sources of the dev and test sets the very same lines as in LoRA's files.
func TestE2EFiles(t *testing.T) {
	dir := datatest.Unpack(t, "datasets/e2e.tar.xz")
	s := loadTask(t, "e2e", dir, Train, Dev, Test)
	distinct := map[string]bool{}
	for _, ex := range s.Train.Examples {
		distinct[ex.Source] = true
	}
	for _, c := range []struct {
		d    *Dataset
		want [2]int
	}{{s.Train, [2]int{42061, 42061}}, {s.Dev[0], [2]int{547, 4672}}, {s.Test[0], [2]int{630, 4693}}} {
		if got := counts(c.d); got != c.want {
			t.Errorf("%s: %d examples with texts, want %d", c.d.Name, got, c.want)
		}
	}
	if len(distinct) != 4862 {
		t.Errorf("%d different sources in the training set, want 4862", len(distinct))
	}
	for i, d := range []*Dataset{s.Dev[0], s.Test[0]} {
		file := []string{"valid.txt", "test.txt"}[i]
		want, _ := loraLines(t, filepath.Join(dir, "e2e_lora", file))
		if got := sources(d); !slices.Equal(got, want) {
			t.Errorf("%s: the sources are not those of LoRA's %s", d.Name, file)
		}
	}
	lora := loadTask(t, "e2e", filepath.Join(dir, "e2e_lora"), Dev, Test)
	if dev, test := counts(lora.Dev[0]), counts(lora.Test[0]); dev != [2]int{547, 4672} || test != [2]int{630, 4693} {
		t.Errorf("LoRA's files: %d and %d examples with texts", dev, test)
	}
	if _, err := LoadTask("e2e", filepath.Join(dir, "e2e_lora"), Train); !errors.Is(err, errNoPart) {
		t.Errorf("no train.txt: got %v", err)
	}
}

// TestWebNLGFiles reads all of WebNLG: every text and its category's subset are those of LoRA's script.
func TestWebNLGFiles(t *testing.T) {
	s := loadTask(t, "webnlg", datatest.Unpack(t, "datasets/webnlg2017.tar.xz"), Train, Dev, Test)
	want := webnlgWant(t)
	for _, c := range []struct {
		part    Part
		d       *Dataset
		counts  [2]int
		skipped int
	}{{Train, s.Train, [2]int{18025, 18025}, 5}, {Dev, s.Dev[0], [2]int{870, 2258}, 1}, {Test, s.Test[0], [2]int{1862, 4928}, 0}} {
		if got := counts(c.d); got != c.counts || len(c.d.Skipped) != c.skipped || got[1] != want[c.part].Whole.Rows {
			t.Errorf("%s: %d examples with texts, %d entries skipped, want %d and %d", c.d.Name, got, len(c.d.Skipped), c.counts, c.skipped)
		}
		if c.part == Dev { // one source is there twice
			continue
		}
		h := sha256.New()
		for _, row := range webnlgRows(c.d, c.part) {
			cate := map[bool]string{true: "True", false: "False"}[row.Cate]
			fmt.Fprintf(h, "%s\x1f%s\x1f%s\n", row.Context, row.Completion, cate)
		}
		if got := hex.EncodeToString(h.Sum(nil)); got != want[c.part].Whole.SHA256 {
			t.Errorf("%s: the texts are not those of LoRA's script: %s", c.d.Name, got)
		}
	}
	subsets := map[string]int{}
	for _, ex := range s.Test[0].Examples {
		subsets[ex.Subset]++
	}
	if want := map[string]int{"seen": 971, "unseen": 891}; !reflect.DeepEqual(subsets, want) {
		t.Errorf("subsets %v, want %v", subsets, want)
	}
}

// Every reference becomes a target of its own, and the examples stay as they are.
func TestTargets(t *testing.T) {
	d := &Dataset{Kind: Generation, Examples: []Example{
		{Writing: &Writing{Source: "a", References: []string{"one", "two"}}, Line: 2}, {Writing: &Writing{Source: "b", Target: "three"}, Line: 4},
	}}
	var got []string
	for _, ex := range d.Targets().Examples {
		got = append(got, fmt.Sprint(ex.Source, ex.Target, len(ex.References), ex.Line))
	}
	if want := []string{"aone0 2", "atwo0 2", "bthree0 4"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if ex := d.Examples[0]; ex.Target != "" || len(ex.References) != 2 {
		t.Errorf("the example is now %+v", ex.Writing)
	}
}
