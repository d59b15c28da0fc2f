package tokenizer

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestFolderErrors(t *testing.T) {
	const vocab = `{"a": 0, "b": 1, "ab": 2}`
	for _, c := range []struct {
		name  string
		files map[string]string
		want  string
	}{
		{"empty folder", nil, "no tokenizer: looked for tokenizer.json, vocab.txt, vocab.json with merges.txt, tokenizer.model, and spm.model"},
		{"weights only", map[string]string{"config.json": "{}"}, "no tokenizer: looked for tokenizer.json"},
		{"malformed tokenizer.json", map[string]string{"tokenizer.json": "{\n]"}, "tokenizer.json: line 2: not JSON"},
		{"malformed tokenizer.json is not passed over", map[string]string{"tokenizer.json": "{", "vocab.txt": "[UNK]\n[CLS]\n[SEP]\n"}, "tokenizer.json: line 1: not JSON"},
		{"malformed config", map[string]string{"tokenizer_config.json": "{\"do_lower_case\":\n\"yes\"}", "vocab.txt": "[UNK]\n[CLS]\n[SEP]\n"}, "tokenizer_config.json: line 2: do_lower_case: got a text, want true or false"},
		{"malformed special_tokens_map", map[string]string{"special_tokens_map.json": "[]"}, "special_tokens_map.json: line 1: got a list, want an object"},
		{"token id that is none", map[string]string{"tokenizer_config.json": `{"added_tokens_decoder": {"x": {"content": "y"}}}`}, `added_tokens_decoder: "x" is not a token id`},
		{"truncation side", map[string]string{"tokenizer_config.json": `{"truncation_side": "middle"}`}, `tokenizer_config.json: truncation_side "middle": want left or right`},
		{"empty vocab.txt", map[string]string{"vocab.txt": ""}, "vocab.txt: empty"},
		{"vocab.txt without [CLS]", map[string]string{"vocab.txt": "[UNK]\n[SEP]\na\n"}, `vocab.txt: has no token "[CLS]": not the vocabulary of a BERT model`},
		{"vocab.txt not UTF-8", map[string]string{"vocab.txt": "[UNK]\n[CLS]\n\xff\n"}, "vocab.txt: line 3: not valid UTF-8"},
		{"vocab.txt of another class", map[string]string{"vocab.txt": "[UNK]\n[CLS]\n[SEP]\n", "tokenizer_config.json": `{"tokenizer_class": "MPNetTokenizerFast"}`}, "vocab.txt: cannot make a MPNetTokenizer from it: save a tokenizer.json"},
		{"vocab.txt, added token after a gap", map[string]string{"vocab.txt": "[UNK]\n[CLS]\n[SEP]\n", "added_tokens.json": `{"new": 7}`}, `vocab.txt: added_tokens: token 3: "new" has id 7, want 3`},
		{"malformed vocab.json", map[string]string{"vocab.json": "{\"a\": 0,\n\"b\": }", "merges.txt": ""}, "vocab.json: line 2: not JSON"},
		{"vocab.json with a text for an id", map[string]string{"vocab.json": "{\"a\":\n\"0\"}", "merges.txt": ""}, "vocab.json: line 2: got a text, want an integer"},
		{"empty vocab.json", map[string]string{"vocab.json": "{}", "merges.txt": ""}, "vocab.json: vocab: empty"},
		{"no merges.txt", map[string]string{"vocab.json": vocab}, "vocab.json: no merges.txt beside it"},
		{"merge of one", map[string]string{"vocab.json": vocab, "merges.txt": "#version: 0.2\na b\nab\n"}, `merges.txt: line 3: merge "ab": want two tokens`},
		{"merge of three", map[string]string{"vocab.json": vocab, "merges.txt": "a b ab\n"}, `merges.txt: line 1: merge "a b ab"`},
		{"merge of nothing", map[string]string{"vocab.json": vocab, "merges.txt": " b\n"}, `merges.txt: line 1: merge " b"`},
		{"merge with '#' that the vocabulary lacks", map[string]string{"vocab.json": vocab, "merges.txt": "#version: 0.2\n# #\n"}, `merges.txt: line 2: "#" + "#": "#" is not in the vocabulary`},
		{"merge into what is not there", map[string]string{"vocab.json": vocab, "merges.txt": "b a\n"}, `merges.txt: line 1: "b" + "a": "ba" is not in the vocabulary`},
		{"merges not UTF-8", map[string]string{"vocab.json": vocab, "merges.txt": "a \xff\n"}, "merges.txt: line 1: not valid UTF-8"},
		{"RoBERTa without <s>", map[string]string{"vocab.json": vocab, "merges.txt": "", "tokenizer_config.json": `{"tokenizer_class": "RobertaTokenizer"}`}, "vocab.json: cannot make a RobertaTokenizer from it"},
		{"add_bos_token", map[string]string{"vocab.json": vocab, "merges.txt": "", "tokenizer_config.json": `{"tokenizer_class": "GPT2Tokenizer", "add_bos_token": true}`}, "add_bos_token is not supported without tokenizer.json"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			for file, text := range c.files {
				write(t, dir, file, text)
			}
			tok, err := Load(dir)
			if err == nil {
				tok.Close()
				t.Fatalf("no error, want one with %q", c.want)
			}
			if !strings.HasPrefix(err.Error(), "tokenizer: "+dir) || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got error %q, want one line that names the folder, with %q", err, c.want)
			}
		})
	}
}

func TestLoadWhatIsNoFolder(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "file", "")
	for name, path := range map[string]string{"absent": filepath.Join(dir, "none"), "a file": filepath.Join(dir, "file")} {
		if _, err := Load(path); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: got error %v, want one with the path", name, err)
		}
	}
}

func TestVocabText(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       map[string]uint32
	}{
		{"last line without newline", "a\nb", map[string]uint32{"a": 0, "b": 1}},
		{"DOS line ends", "a\r\nb\r\n", map[string]uint32{"a": 0, "b": 1}},
		{"the last of equal lines counts", "a\nb\na\n", map[string]uint32{"a": 2, "b": 1}},
		{"empty line", "a\n\nb\n", map[string]uint32{"a": 0, "": 1, "b": 2}},
		{"space at the end goes", " a\nb \n", map[string]uint32{" a": 0, "b": 1}},
	} {
		if got, err := parseVocabText("vocab.txt", []byte(c.text)); err != nil || !maps.Equal(got, c.want) {
			t.Errorf("%s: got %v, error %v, want %v", c.name, got, err, c.want)
		}
	}
}

func TestMerges(t *testing.T) {
	vocab := map[string]uint32{"a": 0, "b": 1, "ab": 2, "#": 3, "##": 4, "#v": 5, "v": 6}
	for _, c := range []struct {
		name, text string
		want       []merge
	}{
		{"header", "#version: 0.2\na b\n", []merge{{"a", "b"}}},
		{"no header", "a b\n# v\n", []merge{{"a", "b"}, {"#", "v"}}},
		{"merges that start with '#'", "#version: 0.2 - Trained\n# #\n# v", []merge{{"#", "#"}, {"#", "v"}}},
		{"a first merge that starts with '#'", "# #\na b\n", []merge{{"#", "#"}, {"a", "b"}}},
		{"DOS line ends", "#version: 0.2\r\na b\r\n", []merge{{"a", "b"}}},
		{"empty", "", []merge{}},
	} {
		if got, err := parseMerges("merges.txt", []byte(c.text), vocab); err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: got %v, error %v, want %v", c.name, got, err, c.want)
		}
	}
}

// TestAllMergesThatStartWithHash counts them in the small vocabularies, which have the real ones' eight.
func TestAllMergesThatStartWithHash(t *testing.T) {
	for _, name := range []string{"roberta", "gpt2"} {
		var vocab map[string]uint32
		text, err := os.ReadFile(filepath.Join("testdata", name, "vocab.json"))
		if err == nil {
			err = json.Unmarshal(text, &vocab)
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err = os.ReadFile(filepath.Join("testdata", name, "merges.txt"))
		if err != nil {
			t.Fatal(err)
		}
		merges, err := parseMerges("merges.txt", text, vocab)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, m := range merges {
			if strings.HasPrefix(m[0], "#") {
				n++
			}
		}
		if lines := strings.Count(string(text), "\n"); n != 8 || len(merges) != lines-1 {
			t.Errorf("%s: %d merges of %d lines, %d start with '#', want all but the header, and 8", name, len(merges), lines, n)
		}
	}
}

func TestByteLetter(t *testing.T) {
	for b, want := range map[byte]rune{0: 'Ā', ' ': 'Ġ', '\n': 'Ċ', '!': '!', '~': '~', 0x7f: 'ġ', 0xa0: 'ł', 0xa1: '¡', 0xad: 'Ń', 0xff: 'ÿ'} {
		if got := byteLetter(b); got != want {
			t.Errorf("byte %#x: got %q, want %q", b, got, want)
		}
	}
	seen := map[rune]bool{}
	for b := range 256 {
		seen[byteLetter(byte(b))] = true
	}
	if len(seen) != 256 {
		t.Errorf("%d letters for 256 bytes", len(seen))
	}
}
