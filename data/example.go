package data

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
)

// Kind says what a task's labels are.
type Kind string

// The kinds of task.
const (
	Classification Kind = "classification" // one class out of several
	MultiLabel     Kind = "multi-label"    // any number of classes
	Regression     Kind = "regression"     // one number
	Tagging        Kind = "tagging"        // one class for every word of a sentence
	Generation     Kind = "generation"     // a text
	Chat           Kind = "chat"           // the turns of the assistant in a conversation
)

// Writes reports whether a model writes what is asked for.
func (k Kind) Writes() bool { return k == Generation || k == Chat }

// OfTexts reports whether whole texts, or pairs of them, have labels or numbers.
func (k Kind) OfTexts() bool { return k == Classification || k == MultiLabel || k == Regression }

// kindNames are the kinds by the names that other programs have for them.
var kindNames = map[Kind][]string{
	Classification: {"cls", "class", "text-classification", "sequence-classification", "single-label-classification", "seq-cls", "sentiment", "nli", "pair", "pairs", "sentence-pair"},
	MultiLabel:     {"multilabel", "multi-label-classification", "multilabel-classification", "multi-label-text-classification"},
	Regression:     {"sts", "similarity", "regress"},
	Tagging:        {"ner", "pos", "chunking", "token-classification", "token-cls", "sequence-labeling", "sequence-labelling", "sequence-tagging", "tags"},
	Generation:     {"gen", "seq2seq", "text2text", "text2text-generation", "text-generation", "summarization", "translation", "causal-lm", "lm", "seq-2-seq-lm"},
	Chat:           {"chats", "conversation", "conversations", "conversational", "messages", "instruct", "instruction", "instructions", "sft", "alpaca", "sharegpt"},
}

// ParseKind returns the kind of that name, its own or that of another program: "ner" is a tagging.
func ParseKind(name string) (Kind, error) {
	plain := strings.ReplaceAll(strings.ToLower(name), "_", "-")
	for k, others := range kindNames {
		if plain == string(k) || slices.Contains(others, plain) {
			return k, nil
		}
	}
	return "", fmt.Errorf("unknown kind of task %q: want %s, %s, %s, %s, %s or %s", name, Classification, MultiLabel, Regression, Tagging, Generation, Chat)
}

// NoLabel is the class of an example or a word without a label, as in GLUE's test sets.
const NoLabel = -1

// Example is one row of a data set: a text or a pair of texts, and its label; in tagging a sentence, in generation a
// writing, in chats a conversation. There are millions of some data sets, so it has only pointers to what other kinds of task have.
type Example struct {
	Text    string
	Pair    string  // the second text; meant only if HasPair
	HasPair bool    // an empty second text is still a pair
	Further bool    // it is a further piece of the example before it, see Pieces
	Label   int     // index of the class, NoLabel when not known; 0 in the other kinds
	Value   float64 // target of a regression, NaN when not known; 0 in the other kinds

	*LabelSet // in multi-label classification, nil where it is not known, else nil
	*Sentence // in tagging, else nil
	*Writing  // in generation, else nil

	Chat *Conversation // in chats, else nil

	File string // where the example was read
	Line int    // 1-based line of File, the first of a sentence, or row if it is a parquet file
}

// LabelSet is the labels of an example that may have any number of them.
type LabelSet struct {
	Classes []int // their indices, ascending
}

// Sentence is the words of a sentence to tag, and their tags.
type Sentence struct {
	Words []string
	Tags  []int // [len(Words)] index of each word's class, NoLabel when not known
}

// Writing is a source text, and the target that a model is to write for it.
type Writing struct {
	Source     string   // what a text is to be generated from
	Target     string   // the text to generate; "" where the source is only a prompt: in dev and test sets and predictions
	References []string // in dev and test sets, all texts that are right for the source; nil when not known
	Subset     string   // part of its data set that is scored by itself too, WebNLG's "seen" or "unseen"; else ""
}

// Where names the example's place for an error message: "dev.tsv: line 12".
func (e Example) Where() string { return place(e.File, e.Line) }

// words are those of a sentence, nil if it is none.
func (e Example) words() []string {
	if e.Sentence == nil {
		return nil
	}
	return e.Words
}

// withTarget is the example of a writing with another target, and a writing of its own: copies of examples share theirs.
func (e Example) withTarget(target string) Example {
	writing := *e.Writing
	writing.Target = target
	e.Writing = &writing
	return e
}

// whereWord names the place of word i: of a file with one word a line, its own line.
func (e Example) whereWord(i int) string {
	if isCoNLL(e.File) {
		return place(e.File, e.Line+i)
	}
	return fmt.Sprintf("%s: word %d", e.Where(), i+1)
}

// place names a line of a text file or a row of a parquet file.
func place(file string, line int) string {
	unit := "line"
	if strings.EqualFold(filepath.Ext(file), ".parquet") {
		unit = "row"
	}
	return fmt.Sprintf("%s: %s %d", file, unit, line)
}

// Dataset is the examples of one part of a task, in file order.
type Dataset struct {
	Name     string // task and part: "mnli/dev"
	Variant  string // tells data sets of one part apart: "mismatched" for MNLI's second dev set, else ""
	Kind     Kind
	Labels   []string // names of the classes or tags, by index; nil in regression and generation
	Examples []Example

	Files       []string // the files read, in order
	Fingerprint string   // SHA-256 of the files' bytes, one after the other, in hex
	separator   string   // what stands between the labels of an example that are one text; "" if nothing does
	Skipped     []int    // lines left out because the official loaders leave them out (QQP and WebNLG)
}

// Len is the number of examples.
func (d *Dataset) Len() int { return len(d.Examples) }

// Rows returns where the rows of what is predicted for each example begin, and at last where they end [Len()+1]: in
// tagging an example has one for every word, else one.
func (d *Dataset) Rows() []int {
	at := make([]int, 1, d.Len()+1)
	for i := range d.Examples {
		n := 1
		if d.Kind == Tagging {
			n = len(d.Examples[i].Words)
		}
		at = append(at, at[i]+n)
	}
	return at
}

// Labelled reports whether every example, in tagging every word, has a label, in generation a target or
// references, in chats something to be written.
func (d *Dataset) Labelled() bool {
	return !slices.ContainsFunc(d.Examples, func(e Example) bool {
		return d.Kind == Generation && e.Target == "" && e.References == nil || d.Kind == Chat && !e.Chat.taught() ||
			d.Kind == MultiLabel && e.LabelSet == nil || e.Label == NoLabel || math.IsNaN(e.Value) || d.Kind == Tagging && slices.Contains(e.Tags, NoLabel)
	})
}

// Select returns the data set of the examples at indices, in that order. The examples are shared, the
// fingerprint stays that of the files.
func (d *Dataset) Select(indices []int) *Dataset {
	s := *d
	s.Examples = make([]Example, len(indices))
	for i, index := range indices {
		s.Examples[i] = d.Examples[index]
	}
	return &s
}

// Range returns the data set of the examples from one to another, which it shares.
func (d *Dataset) Range(from, to int) *Dataset {
	r := *d
	r.Examples = d.Examples[from:to:to]
	return &r
}

// Prompts returns the data set without the targets: a Corpus of it has the tokens from which to generate. The
// references stay.
func (d *Dataset) Prompts() *Dataset {
	p := *d
	p.Examples = slices.Clone(d.Examples)
	for i := range p.Examples {
		if ex := &p.Examples[i]; ex.Chat != nil {
			ex.Chat = ex.Chat.Prompt()
		} else {
			*ex = ex.withTarget("")
		}
	}
	return &p
}

// Targets returns the data set with every reference as the target of an example of its own, as its rows were.
// Conversations have none.
func (d *Dataset) Targets() *Dataset {
	t := *d
	t.Examples = nil
	for _, ex := range d.Examples {
		if ex.Writing == nil || ex.References == nil {
			t.Examples = append(t.Examples, ex)
			continue
		}
		for _, reference := range ex.References {
			each := ex.withTarget(reference)
			each.References = nil
			t.Examples = append(t.Examples, each)
		}
	}
	return &t
}

// Subsets returns the names of the subsets that are scored by themselves too, in alphabetical order; nil if
// there are none.
func (d *Dataset) Subsets() []string {
	var names []string
	if d.Kind != Generation {
		return nil
	}
	for i := range d.Examples {
		if name := d.Examples[i].Subset; name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Digest is the SHA-256 of the examples, in hex: two data sets that have the same have the same examples in the same
// order, wherever they were read.
func (d *Dataset) Digest() string {
	h := sha256.New()
	for i := range d.Examples {
		ex := &d.Examples[i]
		fmt.Fprintf(h, "%q %q %v %d %v", ex.Text, ex.Pair, ex.HasPair, ex.Label, ex.Value)
		if ex.LabelSet != nil {
			fmt.Fprintf(h, " %v", ex.Classes)
		}
		if ex.Sentence != nil {
			fmt.Fprintf(h, " %q %v", ex.Words, ex.Tags)
		}
		if ex.Writing != nil {
			fmt.Fprintf(h, " %q %q %q", ex.Source, ex.Target, ex.References)
		}
		if c := ex.Chat; c != nil {
			fmt.Fprintf(h, " %s %v %v", c.Tools, c.Whole, c.Turns)
			for _, m := range c.Messages {
				fmt.Fprintf(h, " %s", m.JSON)
			}
		}
		fmt.Fprintln(h)
	}
	return hex.EncodeToString(h.Sum(nil))
}
