package tokenizer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"autolora/plainjson"
)

// definition is a checked tokenizer.json, or one made from vocabulary files.
type definition struct {
	sections sections
	model    *model
	added    []addedToken
	template template
	growth   growth // of a text by normalizer and pre-tokenizer
}

// sections are the parts of a tokenizer.json that the library reads.
type sections map[string]json.RawMessage

// addedToken is a token outside the model, which the library finds in a text before anything else.
type addedToken struct {
	ID         uint32 `json:"id"`
	Content    string `json:"content"`
	SingleWord bool   `json:"single_word"`
	LStrip     bool   `json:"lstrip"`
	RStrip     bool   `json:"rstrip"`
	Normalized bool   `json:"normalized"`
	Special    bool   `json:"special"`
}

// maxDepth bounds nesting; the library's JSON reader stops at 128.
const maxDepth = 64

// parseDefinition checks the text of a tokenizer.json. set changes the parts that transformers lets
// tokenizer_config.json change.
//
// The sections normalizer, pre_tokenizer and decoder are written anew from their parsed form, so that the library
// reads nothing that was not checked here. post_processor, padding and truncation stay with us.
func parseDefinition(name string, text []byte, set *settings) (*definition, error) {
	var file map[string]json.RawMessage
	if err := parseJSON(name, text, &file); err != nil {
		return nil, err
	}
	fail := func(section string, err error) (*definition, error) {
		return nil, fmt.Errorf("%s: %s: %w", name, section, err)
	}
	if v, ok := file["version"]; ok && string(v) != `"1.0"` {
		return fail("version", fmt.Errorf("%.20s is not supported: want \"1.0\"", v))
	}
	if isNull(file["model"]) {
		return fail("model", errors.New("missing"))
	}
	d := &definition{sections: sections{"version": json.RawMessage(`"1.0"`), "model": file["model"]}}
	var err error
	if d.model, err = parseModel(file["model"]); err != nil {
		return fail("model", err)
	}
	d.growth = growth{factor: 1}
	for _, section := range []string{"normalizer", "pre_tokenizer", "decoder"} {
		grows := &d.growth
		if grows.parts = 0; section == "decoder" {
			grows = &growth{factor: 1}
		}
		if d.sections[section], err = cleanSection(file[section], section, set, grows); err != nil {
			return fail(section, err)
		}
	}
	if d.added, err = parseAdded(file["added_tokens"], d.model.vocab); err != nil {
		return fail("added_tokens", err)
	}
	d.added = set.extend(d.added, d.model.vocab)
	if err := checkAdded(d.added, d.model.vocab); err != nil {
		return fail("added_tokens", fmt.Errorf("with those of the tokenizer's settings: %w", err))
	}
	if d.sections["added_tokens"], err = json.Marshal(d.added); err != nil {
		return fail("added_tokens", err)
	}
	if d.template, err = parseProcessor(file["post_processor"], 0); err != nil {
		return fail("post_processor", err)
	}
	if !set.segments() {
		d.template = d.template.flat()
	}
	return d, nil
}

// forWords are the sections for the words of a sentence, each of which is encoded by itself; nil if they are the
// same. Byte-level tokenizers get a space before every word, since only the first word of a text has none:
// add_prefix_space, which transformers requires of RoBERTa and GPT-2 for sentences given as words.
func (s sections) forWords() sections {
	var part map[string]any
	decoder := json.NewDecoder(bytes.NewReader(s["pre_tokenizer"]))
	decoder.UseNumber()
	if err := decoder.Decode(&part); err != nil || part["type"] != "ByteLevel" || part["add_prefix_space"] == true {
		return nil
	}
	part["add_prefix_space"] = true
	changed, err := json.Marshal(part)
	if err != nil {
		return nil
	}
	words := maps.Clone(s)
	words["pre_tokenizer"] = changed
	return words
}

// token returns the id of a token, -1 if there is none of that name.
func (d *definition) token(content string) int64 {
	for _, t := range d.added {
		if t.Content == content {
			return int64(t.ID)
		}
	}
	if id, ok := d.model.vocab[content]; ok {
		return int64(id)
	}
	return -1
}

// nul lists the tokens with a NUL character: written as such, as a letter of byte-level BPE, or as <0x00>.
func (d *definition) nul() map[int64]bool {
	byteLevel := strings.Contains(string(d.sections["decoder"]), `"ByteLevel"`)
	ids := map[int64]bool{}
	for token, id := range d.model.vocab {
		if strings.Contains(token, "\x00") || token == "<0x00>" || byteLevel && strings.ContainsRune(token, byteLetter(0)) {
			ids[int64(id)] = true
		}
	}
	return ids
}

// maxID is the largest id that encoding can give.
func (d *definition) maxID() int64 {
	largest := d.template.maxID()
	for _, t := range d.added {
		largest = max(largest, int64(t.ID))
	}
	for _, id := range d.model.vocab {
		largest = max(largest, int64(id))
	}
	return largest
}

// parseAdded reads added_tokens.
func parseAdded(raw json.RawMessage, vocab map[string]uint32) ([]addedToken, error) {
	if isNull(raw) {
		return []addedToken{}, nil
	}
	var tokens []addedToken
	if err := plainjson.Unmarshal(raw, &tokens); err != nil {
		return nil, err
	}
	return tokens, checkAdded(tokens, vocab)
}

// checkAdded checks added tokens and their ids. The library does not take the ids from the file: a token that the model
// does not know gets the next free one. A file where that differs would give ids that its author did not mean.
func checkAdded(tokens []addedToken, vocab map[string]uint32) error {
	known := map[string]uint32{}
	next := uint32(len(vocab))
	for i, t := range tokens {
		want, ok := vocab[t.Content]
		if !ok {
			want = next
		}
		err := checkString(t.Content)
		switch {
		case t.Content == "":
			err = errors.New("no content")
		case has(known, t.Content):
			err = fmt.Errorf("%q is listed twice", t.Content)
		case err == nil && t.ID != want:
			err = fmt.Errorf("%q has id %d, want %d (its id in the model's vocabulary, or the next free one)", t.Content, t.ID, want)
		}
		if err != nil {
			return fmt.Errorf("token %d: %w", i, err)
		}
		next = max(next, want+1)
		known[t.Content] = want
	}
	return nil
}

// cleanSection parses a section, checks it, applies the settings and writes it anew.
func cleanSection(raw json.RawMessage, section string, set *settings, grows *growth) (json.RawMessage, error) {
	if isNull(raw) {
		return json.RawMessage("null"), nil
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return nil, err
	}
	if err := checkTypes(value, sectionTypes[section]); err != nil {
		return nil, err
	}
	if err := checkValue(value, 0); err != nil {
		return nil, err
	}
	if err := grows.follow(value); err != nil {
		return nil, err
	}
	part := value.(map[string]any)
	set.change(section, part)
	return json.Marshal(part)
}

// types are the parts that the library knows of one kind. It does not refuse others by itself: it takes the first
// kind of part that the fields fit.
type types struct {
	known []string
	list  string // where a Sequence has its parts
}

var sectionTypes = map[string]types{
	"normalizer": {[]string{"BertNormalizer", "ByteLevel", "Lowercase", "NFC", "NFD", "NFKC", "NFKD", "Nmt", "Precompiled",
		"Prepend", "Replace", "Sequence", "Strip", "StripAccents"}, "normalizers"},
	"pre_tokenizer": {[]string{"BertPreTokenizer", "ByteLevel", "CharDelimiterSplit", "Digits", "Metaspace", "Punctuation",
		"Sequence", "Split", "UnicodeScripts", "Whitespace", "WhitespaceSplit"}, "pretokenizers"},
	"decoder": {[]string{"BPEDecoder", "ByteFallback", "ByteLevel", "CTC", "Fuse", "Metaspace", "Replace", "Sequence",
		"Strip", "WordPiece"}, "decoders"},
}

// checkTypes refuses a part of an unknown type, by its name.
func checkTypes(value any, t types) error {
	part, ok := value.(map[string]any)
	if !ok {
		return errors.New("want an object or null")
	}
	name, _ := part["type"].(string)
	if !slices.Contains(t.known, name) {
		return fmt.Errorf("type %q is not supported: want one of %s", name, strings.Join(t.known, ", "))
	}
	if name != "Sequence" {
		return nil
	}
	list, ok := part[t.list].([]any)
	if !ok {
		return fmt.Errorf("Sequence: no list %q", t.list)
	}
	for i, inner := range list {
		if err := checkTypes(inner, t); err != nil {
			return fmt.Errorf("%s: %d: %w", t.list, i, err)
		}
	}
	return nil
}

// checkValue refuses what the library's JSON reader refuses, since in some places it aborts then, and looks at
// charsmaps, which the library trusts, in all objects, those too that have no business there: it may try them.
func checkValue(value any, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("more than %d levels deep", maxDepth)
	}
	switch v := value.(type) {
	case string:
		return checkString(v)
	case json.Number:
		if f, err := v.Float64(); err != nil || math.IsInf(f, 0) {
			return fmt.Errorf("the number %s is out of range", v)
		}
	case []any:
		for _, element := range v {
			if err := checkValue(element, depth+1); err != nil {
				return err
			}
		}
	case map[string]any:
		charsmap, ok := v["precompiled_charsmap"]
		if ok || v["type"] == "Precompiled" {
			text, _ := charsmap.(string)
			if err := checkCharsmap(text); err != nil {
				return fmt.Errorf("precompiled_charsmap: %w", err)
			}
		}
		if expression, ok := v["Regex"].(string); ok {
			if part := notRegular(expression); part != "" {
				return fmt.Errorf("the regular expression %.40q has %s, for which it may need any time: no tokenizer in use has that", expression, part)
			}
		}
		if v["type"] == "Prepend" && v["prepend"] == "" {
			return errors.New(`Prepend: "prepend" is empty, with which the library aborts: leave the part out`)
		}
		for key, element := range v {
			if err := errors.Join(checkString(key), checkValue(element, depth+1)); err != nil {
				return err
			}
		}
	}
	return nil
}

// irregular finds what takes an expression beyond regular languages: references to a group, calls of it, conditions
// and absence. Escapes of other characters are found before what looks like one of these.
var irregular = regexp.MustCompile(`(\\[1-9]|\\[kg]['<]|\(\?[(~])|\\.`)

// notRegular returns the first such part, "" if there is none. One try of these may take as long as the text is, so
// that a bound on the tries does not bound the time.
func notRegular(expression string) string {
	for _, m := range irregular.FindAllStringSubmatch(expression, -1) {
		if m[1] != "" {
			return m[1]
		}
	}
	return ""
}

// checkString refuses NUL characters: the library makes C strings of messages that quote its input, and aborts
// when it finds one there.
func checkString(s string) error {
	if strings.Contains(s, "\x00") {
		return fmt.Errorf("%q has a NUL character", s)
	}
	return nil
}

func isNull(raw json.RawMessage) bool { return len(raw) == 0 || string(raw) == "null" }

// parseJSON decodes a whole file; its error names the file and the line.
func parseJSON(name string, text []byte, into any) error {
	if at := invalidUTF8(text); at >= 0 {
		return fmt.Errorf("%s: line %d: not valid UTF-8", name, lineOf(text, at))
	}
	if at := loneSurrogate(text); at >= 0 {
		return fmt.Errorf("%s: line %d: %s is half of a surrogate pair", name, lineOf(text, at), text[at:at+6])
	}
	err := plainjson.Unmarshal(text, into)
	if err == nil {
		return nil
	}
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Errorf("%s: line %d: not JSON: %w", name, lineOf(text, int(syntax.Offset)), err)
	}
	if kind, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Errorf("%s: line %d: %w", name, lineOf(text, int(kind.Offset)), err)
	}
	return fmt.Errorf("%s: %w", name, err)
}

// lineOf is the 1-based number of the line that holds byte at of text.
func lineOf(text []byte, at int) int {
	return 1 + bytes.Count(text[:min(max(at, 0), len(text))], []byte("\n"))
}

// invalidUTF8 is the place of the first byte that is not UTF-8, -1 if all are.
func invalidUTF8(text []byte) int {
	for at := 0; at < len(text); {
		r, size := utf8.DecodeRune(text[at:])
		if r == utf8.RuneError && size <= 1 {
			return at
		}
		at += size
	}
	return -1
}

// escapes finds escapes in JSON: a surrogate pair, half of one, any other.
var escapes = regexp.MustCompile(`(?is)\\(?:ud[89ab][0-9a-f]{2}\\ud[c-f][0-9a-f]{2}|(ud[89a-f][0-9a-f]{2})|.)`)

// loneSurrogate is the place of the first \uD800 to \uDFFF that is no pair, -1 if there is none. encoding/json
// would read U+FFFD there.
func loneSurrogate(text []byte) int {
	for at := 0; ; {
		m := escapes.FindSubmatchIndex(text[at:])
		switch {
		case m == nil:
			return -1
		case m[2] >= 0:
			return at + m[0]
		}
		at += m[1]
	}
}
