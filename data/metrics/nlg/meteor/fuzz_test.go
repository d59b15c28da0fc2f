package meteor

import (
	"strings"
	"testing"
)

// FuzzParaphrases: a table that is taken holds what was written, in its order.
func FuzzParaphrases(f *testing.F) {
	table := "0.5\nthe cat\na cat\n0.25\nthe\na\n1e-3\nthe cat\nthe\tfeline\r\n"
	f.Add([]byte(table))
	f.Add([]byte(compressed(f, table)))
	f.Add([]byte(compressed(f, table)[:20]))
	f.Add([]byte("0.5\n\n\n"))
	f.Add([]byte("\x1f\x8b"))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := readParaphrases(strings.NewReader(string(b)), maxParts)
		if err != nil || strings.HasPrefix(string(b), "\x1f\x8b") {
			return
		}
		lines := strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
		want := make(map[string][]string) // the paraphrases of each phrase
		for i := 0; i+2 < len(lines); i += 3 {
			phrase := strings.Join(fields(lines[i+1]), " ")
			want[phrase] = append(want[phrase], strings.Join(fields(lines[i+2]), " "))
		}
		spelling := make([]string, len(p.words))
		for word, number := range p.words {
			spelling[number] = word
		}
		for phrase, paraphrases := range want {
			var sentence []*word
			for _, token := range fields(phrase) {
				sentence = append(sentence, &word{phraseWord: p.word(token)})
			}
			var got []string
			for n, words := range p.from(sentence, 0) {
				if n < len(sentence) {
					continue
				}
				var text []string
				for _, w := range words {
					text = append(text, spelling[w])
				}
				got = append(got, strings.Join(text, " "))
			}
			if strings.Join(got, "\n") != strings.Join(paraphrases, "\n") {
				t.Errorf("%q: got %q, want %q", phrase, got, paraphrases)
			}
		}
	})
}
