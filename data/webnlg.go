package data

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
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
func readWebNLG(file string, b []byte, spec *tableSpec, yield yieldRow) error {
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
	Category string
	Triples  []struct{ Subject, Property, Object string } `json:"modifiedtripleset"`
	Texts    []struct{ Comment, Lex string }              `json:"lexicalisations"`
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

const wantEntries = `want {"entries": [{"1": {...}}, ...]}`

// readEntries reads the entries of {"entries": [{"1": {...}}, {"2": {...}}, ...]} and gives each with the line
// on which it starts.
func readEntries(file string, b []byte, yield func(line int, entry webnlgEntry) error) error {
	if err := lines(file, b, func(int, string) error { return nil }); err != nil {
		return err
	}
	lineAt := func(at int64) int { return 1 + bytes.Count(b[:at], []byte{'\n'}) }
	var all struct {
		Entries []json.RawMessage `json:"entries"`
	}
	if err := json.Unmarshal(b, &all); err != nil {
		if other, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
			return fmt.Errorf("%s: a JSON %s: %s", place(file, lineAt(other.Offset)), other.Value, wantEntries)
		}
		at := int64(0)
		if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
			at = syntax.Offset
		}
		return fmt.Errorf("%s: %w", place(file, lineAt(at)), err)
	}
	if all.Entries == nil {
		return fmt.Errorf(`%s: there is no list "entries": %s`, file, wantEntries)
	}
	line, at := 1, 0
	for _, raw := range all.Entries {
		next := at + max(0, bytes.Index(b[at:], raw)) // the entries follow each other as they are
		line += bytes.Count(b[at:next], []byte{'\n'})
		at = next + 1 // of two that are the same the second is another one
		var numbered map[string]webnlgEntry
		if err := json.Unmarshal(raw, &numbered); err != nil {
			return fmt.Errorf("%s: %w", place(file, line), err)
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
	return nil
}
