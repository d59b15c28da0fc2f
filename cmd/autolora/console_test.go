package main

import (
	"encoding/json"
	"io"
	"path/filepath"
	"strings"
	"testing"
)

func TestPlain(t *testing.T) {
	for _, tc := range []struct{ name, text, want string }{
		{"nothing", "", ""},
		{"letters", "größer 雪 👩‍👩‍👧 \u200fعربي", "größer 雪 👩‍👩‍👧 \u200fعربي"},
		{"lines", "a\tb\nc\n", "a\tb\nc\n"},
		{"colour", "\x1b[31mred", `\u001b[31mred`},
		{"title", "\x1b]0;title\a", `\u001b]0;title\u0007`},
		{"begin of line", "done\rfailed\b", `done\u000dfailed\u0008`},
		{"C1", "\u009b2J\u0085", `\u009b2J\u0085`},
		{"C1 as a byte", "\x9b2J", "\uFFFD2J"},
		{"delete", "a\x7f", `a\u007f`},
		{"direction", "user\u202egnp.exe\u2066", `user\u202egnp.exe\u2066`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := plain(tc.text); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func TestConsoleIsPlain(t *testing.T) {
	const name = "\x1b[2J\u009bm"
	for _, color := range []bool{false, true} {
		var out strings.Builder
		c := &console{out: &out, color: color, terminal: color, width: 80}
		if err := c.print(func(w *writer) { w.row("label", "%s %s", w.bold("bold"), name) }); err != nil {
			t.Fatal(err)
		}
		want := "label       bold \\u001b[2J\\u009bm\n"
		if color {
			want = "label       \x1b[1mbold\x1b[0m \\u001b[2J\\u009bm\n"
		}
		if out.String() != want {
			t.Errorf("colours %v: got %q, want %q", color, out.String(), want)
		}
		out.Reset()
		if err := c.printJSON(map[string]string{name: name}); err != nil {
			t.Fatal(err)
		}
		var back map[string]string
		if err := json.Unmarshal([]byte(out.String()), &back); err != nil || back[name] != name || strings.ContainsAny(out.String(), "\x1b\u009b") {
			t.Errorf("JSON %q: %v", out.String(), err)
		}
		out.Reset()
		if err := c.printData(func(w io.Writer) error { _, err := io.WriteString(w, name); return err }); err != nil {
			t.Fatal(err)
		}
		if got := out.String() == name; got == color { // only a terminal gets other bytes
			t.Errorf("terminal %v: data %q", color, out.String())
		}
	}
}

// TestNamesAreOnlyShown gives names and labels that a terminal would obey.
func TestNamesAreOnlyShown(t *testing.T) {
	const evil = "\x1b]0;owned\a\x1b[31m\u009b2J\r"
	model := tinyModel(t)
	table := filepath.Join(t.TempDir(), "t"+evil+".csv")
	writeFile(t, table, "title,label\n"+strings.Repeat("a good film,x"+evil+"\nthe bad film,y"+evil+"\n", 20))
	out := filepath.Join(t.TempDir(), "out"+evil)
	own := []string{"--train", table, "--dev", table, "--kind", "classification", "--text", "title", "--label", "label", "--max-length", "16"}
	for _, args := range [][]string{
		append([]string{"train", "--method", "lora", "--model", model, "--steps", "2", "--out", out}, own...),
		{"info", out},
		{"info", filepath.Join(out, "adapter")},
		{"report", out, "--out", filepath.Join(t.TempDir(), evil)},
		{"report", out, "--out", filepath.Join(t.TempDir(), evil), "--json"},
		append([]string{"eval", "--model", model, "--adapter", filepath.Join(out, "adapter")}, own[2:]...),
		append([]string{"eval", "--model", model, "--adapter", filepath.Join(out, "adapter"), "--json"}, own[2:]...),
		{"predict", "--model", model, "--adapter", evil, "--input", table},
		{"info", evil},
		{evil},
		{"run", "--" + evil},
		{"score", evil},
	} {
		got := here(t, args...)
		if text := got.stdout + got.stderr; text == "" || strings.ContainsAny(text, "\x1b\a\r\u009b") {
			t.Errorf("%q: exit code %d: %q", args, got.code, text)
		}
	}
}
