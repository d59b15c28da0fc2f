package human

import "testing"

func TestLine(t *testing.T) {
	for text, want := range map[string]string{
		"naïve 名前 α ≥ 1/k 👩‍💻":         "naïve 名前 α ≥ 1/k 👩‍💻",
		"a\x1b[31mred\x1b[0m":          "a�[31mred�[0m",
		"\x1b]0;title\x07":             "�]0;title�",
		"one\ntwo\r\nthree\tfour":      "one two  three four",
		"\u009b2J\x7f\x00\x08":         "�2J���",
		"\u202egnp.exe\u2066x\u200f":   "�gnp.exe�x�",
		"bad \xff UTF-8":               "bad � UTF-8",
		"line\u2028and\u2029paragraph": "line and paragraph",
		"TER\u00a0↓":                   "TER\u00a0↓",
	} {
		if got := Line(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}
