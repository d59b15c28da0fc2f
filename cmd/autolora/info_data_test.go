package main

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
)

// What info says about files of data, in each format.
func TestInfoData(t *testing.T) {
	model, dir := tinyModel(t), t.TempDir()
	table := filepath.Join(dir, "train.csv")
	writeFile(t, table, "id,text,label\n"+strings.Repeat("1,a good film,x\n2,,y\n3,a bad film,x\n", 4))
	list := filepath.Join(dir, "rows.json")
	writeFile(t, list, `[{"sentence1": "a", "sentence2": "b", "score": 1.5}, {"sentence1": "c", "sentence2": null, "score": 2}]`)
	words := filepath.Join(dir, "words.conll")
	writeFile(t, words, "a O\nfilm B-x\n\nbad O\n")
	doubt := filepath.Join(dir, "doubt.tsv")
	writeFile(t, doubt, "a\tb\n1\t2\n3\t4\n")
	for _, tc := range []struct {
		args []string
		want []string
	}{
		{[]string{table, "--model", model, "--max-length", "4"}, []string{"data, 12 rows", "id: whole numbers, 3 different", "text: text, 2 different, 4 missing", "task        classification",
			"labels      x 8, y 4", "tokens      median ", "8 of 12 longer than max-length 4", "4 of 12 texts are empty", "example 3\n  id: 3\n  text: a bad film\n  label: x\n"}},
		{[]string{list}, []string{"data, 2 rows", "sentence2: text, 1 different, 1 missing", "score: numbers, 2 different", "\nnote "}},
		{[]string{words}, []string{"data, 2 rows", "1: lists, 3 different", "task        tagging", "labels      O 2, B-x 1"}},
		{[]string{doubt}, []string{"data, 2 rows", "for a run --kind, --text, --label must be given"}},
	} {
		got := succeed(t, append([]string{"info"}, tc.args...)...)
		for _, want := range tc.want {
			if !strings.Contains(got, want) {
				t.Errorf("%v: got\n%s\nwant %q in it", tc.args, got, want)
			}
		}
	}
	for name, want := range map[string]string{"rows.jsonl.gz": `unknown kind of file ".gz": want it unpacked`, "columns.json": "as data: "} {
		file := filepath.Join(dir, name)
		writeFile(t, file, `{"text": {"0": "a", "1": "b"}}`)
		if got := here(t, "info", file); got.code != exitFailed || !strings.Contains(got.stderr, want) {
			t.Errorf("%s: got %+v", name, got)
		}
	}
	var about struct {
		Kind, Task, Label string
		Rows              int
		Columns           []struct {
			Name, Type string
			Values     map[string]int
		}
		Labels []struct {
			Label string
			Count int
		}
		Tokens   struct{ Examples, Longer int }
		Examples [][]string
	}
	if err := json.Unmarshal([]byte(succeed(t, "info", table, "--json", "--model", model)), &about); err != nil {
		t.Fatal(err)
	}
	if about.Kind != "data" || about.Rows != 12 || about.Task != "classification" || about.Columns[2].Values["x"] != 8 || len(about.Examples) != 3 ||
		about.Labels[0].Count != 8 || about.Tokens.Examples != 12 || about.Tokens.Longer != 0 {
		t.Errorf("got %+v", about)
	}
}

// What info says a model reads, with what it is to write between brackets; on a terminal in colour.
func TestInfoReads(t *testing.T) {
	model, file := tinyDecoder(t), filepath.Join(t.TempDir(), "chats.jsonl")
	writeFile(t, filepath.Join(model, "chat_template.jinja"), "{% for m in messages %}{{ m.content }}{% if m.role == 'assistant' %}<|endoftext|>{% endif %}{% endfor %}")
	writeFile(t, file, `{"messages": [{"role": "user", "content": "ab"}, {"role": "assistant", "content": "c"}]}`+"\n")
	for _, args := range [][]string{{"info", file, "--model", model, "--max-length", "8"}, {"info", "--train", file, "--model", model, "--max-length", "8"}} {
		got := succeed(t, args...)
		for _, want := range []string{"columns     messages: lists\n", "task        chat\n", "text        messages\n", "tokens      median 4,", "\nthe model reads, with what it learns to write [marked]\n  " + file + ": line 1: ab[c<|endoftext|>]\n"} {
			if !strings.Contains(got, want) {
				t.Errorf("%v: got\n%s\nwant %q in it", args, got, want)
			}
		}
		if strings.Contains(got, "example 1") { // its cells are conversations, which stand below as the model reads them
			t.Errorf("%v: got\n%s\nwant no row of empty cells", args, got)
		}
	}
	if got, want := succeed(t, "info", "--model", model), succeed(t, "info", model); got != want || !strings.Contains(got, "kind        model folder, ") {
		t.Errorf("--model alone: got\n%s\nwant\n%s", got, want)
	}
	w := &writer{color: true}
	if ownStyle.ReplaceAllString(w.marked("a"), "") != "a" {
		t.Errorf("in colour: %q is not known as ours", w.marked("a"))
	}
}
