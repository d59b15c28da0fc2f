package data

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"autolora/data/metrics"
)

// webnlg is the WebNLG challenge of 2017 (the paper's Table 2) in LoRA's files: sentences from triples of DBpedia.
// The test set has the subsets seen and unseen, by category.
var webnlg = namedTask{
	Task: Task{
		Name: "webnlg", Kind: Generation, Scoring: "webnlg", Stop: stopLoRA,
		Metrics: []string{metrics.NameBLEU, metrics.NameMETEOR, metrics.NameTER},
	},
	folders:  []string{"webnlg_challenge_2017", "webnlg2017", "webnlg"},
	inside:   "train.json, dev.json and test.json",
	together: true,
	layouts: []layout{{
		parts: map[Part][]string{Train: {"train.json"}, Dev: {"dev.json"}, Test: {"test.json"}},
		form: form{
			kind: Generation, text: columns("source"), label: column{name: "target"}, reader: readWebNLG, subset: true,
			skips: "entries left out that have no text marked as good, as LoRA's code does",
		},
	}},
}

// webnlgSeen are the categories that the training set has (format_converting_webnlg.py). The other ones are in
// the test set only.
var webnlgSeen = []string{"Airport", "Astronaut", "Building", "City", "ComicsCharacter", "Food", "Monument",
	"SportsTeam", "University", "WrittenWork"}

// readWebNLG gives a row for every text that is marked as good: the source, the text and its subset.
func readWebNLG(file string, b []byte, spec tableSpec, yield yieldRow) error {
	none := true
	err := readEntries(file, b, func(line int, entry webnlgEntry) error {
		subset := "unseen"
		if slices.Contains(webnlgSeen, entry.Category) {
			subset = "seen"
		}
		good := false
		for _, t := range entry.Texts {
			if t.Comment != "good" {
				continue
			}
			good = true
			row := []cell{{kind: isText, text: entry.source()}, {kind: isText, text: t.Lex}, {kind: isText, text: subset}}
			if err := yield(line, row); err != nil {
				return err
			}
		}
		if none = none && !good; !good {
			spec.skip(line)
		}
		return nil
	})
	if err == nil && none {
		err = fmt.Errorf("%s: no text in it is marked as good", file)
	}
	return err
}

// webnlgEntry is a set of triples with the texts that people wrote for it.
type webnlgEntry struct {
	Category string         `json:"category"`
	Triples  []webnlgTriple `json:"modifiedtripleset"`
	Texts    []struct {
		Comment string `json:"comment"`
		Lex     string `json:"lex"`
	} `json:"lexicalisations"`
}

type webnlgTriple struct {
	Subject  string `json:"subject"`
	Property string `json:"property"`
	Object   string `json:"object"`
}

// source is the triples in LoRA's form: "subject : property : object | subject : property : object".
func (e webnlgEntry) source() string {
	var triples []string
	for _, t := range e.Triples {
		triples = append(triples, t.Subject+" : "+t.Property+" : "+t.Object)
	}
	return strings.Join(triples, " | ")
}

func (e webnlgEntry) check() error {
	switch {
	case e.Category == "":
		return errors.New(`no "category"`)
	case len(e.Triples) == 0:
		return errors.New(`no triples in "modifiedtripleset"`)
	}
	for i, t := range e.Triples {
		if t.Subject == "" || t.Property == "" || t.Object == "" {
			return fmt.Errorf(`triple %d of "modifiedtripleset": want "subject", "property" and "object"`, i+1)
		}
	}
	return nil
}

// readEntries reads the entries of {"entries": [{"1": {...}}, {"2": {...}}, ...]} and gives each with the line
// on which it starts.
func readEntries(file string, b []byte, yield func(line int, entry webnlgEntry) error) error {
	if err := lines(b, func(line int, text string) error { return checkUTF8(file, line, text) }); err != nil {
		return err
	}
	r := entryReader{b: bytes.TrimPrefix(b, utf8BOM)}
	r.dec = json.NewDecoder(bytes.NewReader(r.b))
	if err := r.read(file, yield); err != nil {
		return err
	}
	if !r.found {
		return fmt.Errorf(`%s: there is no list "entries": want {"entries": [{"1": {...}}, ...]}`, file)
	}
	return nil
}

// entryReader reads a JSON object step by step, to know the lines.
type entryReader struct {
	b     []byte
	dec   *json.Decoder
	found bool // the list of entries
	line  int  // line ends before place
	place int64
}

func (r *entryReader) read(file string, yield func(line int, entry webnlgEntry) error) error {
	fail := func(err error) error {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		at := r.nextValue()
		if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
			at = max(at, syntax.Offset)
		}
		return fmt.Errorf("%s: %w", place(file, r.lineAt(at)), err)
	}
	if err := r.expect('{'); err != nil {
		return fail(err)
	}
	for r.dec.More() {
		key, err := r.dec.Token()
		if err != nil {
			return fail(err)
		}
		if key != "entries" {
			if err := r.dec.Decode(new(json.RawMessage)); err != nil {
				return fail(err)
			}
			continue
		}
		r.found = true
		if err := r.expect('['); err != nil {
			return fail(err)
		}
		for r.dec.More() {
			line := r.lineAt(r.nextValue())
			var numbered map[string]webnlgEntry
			if err := r.dec.Decode(&numbered); err != nil {
				return fail(err)
			}
			if len(numbered) != 1 {
				return fmt.Errorf(`%s: an entry with %d keys: want one, {"1": {...}}`, place(file, line), len(numbered))
			}
			for _, entry := range numbered {
				if err := entry.check(); err != nil {
					return fmt.Errorf("%s: %w", place(file, line), err)
				}
				if err := yield(line, entry); err != nil {
					return err
				}
			}
		}
		if err := r.expect(']'); err != nil {
			return fail(err)
		}
	}
	if err := r.expect('}'); err != nil {
		return fail(err)
	}
	if rest := bytes.TrimSpace(r.b[r.dec.InputOffset():]); len(rest) > 0 {
		return fail(errors.New("there is more after the end of the object"))
	}
	return nil
}

func (r *entryReader) expect(want json.Delim) error {
	token, err := r.dec.Token()
	if err == nil && token != want {
		err = fmt.Errorf("%q: want %q", fmt.Sprint(token), want.String())
	}
	return err
}

// nextValue is the place of the next key, element or bracket.
func (r *entryReader) nextValue() int64 {
	at := r.dec.InputOffset()
	return at + int64(len(r.b[at:])-len(bytes.TrimLeft(r.b[at:], ", \t\r\n")))
}

// lineAt is the number of the line with byte at, from 1. It is called with ever larger places.
func (r *entryReader) lineAt(at int64) int {
	at = min(max(at, r.place), int64(len(r.b)))
	r.line += bytes.Count(r.b[r.place:at], []byte{'\n'})
	r.place = at
	return r.line + 1
}
