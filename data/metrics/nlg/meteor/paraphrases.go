package meteor

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"strconv"

	"autolora/foreign"

	"github.com/klauspost/compress/gzip"
)

// paraphrases is METEOR's table: phrases and for each the phrases that may stand for it. The real one has millions,
// so words are numbers, the phrases are the paths of one tree, and the lists lie in few slices.
type paraphrases struct {
	words map[string]int32
	tree  map[step]int32 // node 0 is the root
	lists []list         // of each node: the entries of the phrase that ends there

	text []int32 // the words of all paraphrases, one entry after the other
	ends []int   // where each entry ends in text
	next []int32 // the entry that follows in the list, -1 for none
}

// step goes from a node of the tree over a word to another one.
type step struct{ node, word int32 }

// list holds the first and the last entry, -1 for none.
type list struct{ first, last int32 }

// word returns the number of a word, -1 if it is not in the table.
func (p *paraphrases) word(s string) int32 {
	if p != nil {
		if n, ok := p.words[s]; ok {
			return n
		}
	}
	return -1
}

// from yields the paraphrases of the phrases that begin at a word of a sentence, and how many words of it each stands
// for: short phrases first, then in the order of the table.
func (p *paraphrases) from(sentence []*word, start int) iter.Seq2[int, []int32] {
	return func(yield func(int, []int32) bool) {
		node := int32(0)
		for i, w := range sentence[start:] {
			var ok bool
			if node, ok = p.tree[step{node, w.phraseWord}]; !ok {
				return
			}
			for entry := p.lists[node].first; entry >= 0; entry = p.next[entry] {
				if !yield(i+1, p.entry(entry)) {
					return
				}
			}
		}
	}
}

// entry returns the words of a paraphrase.
func (p *paraphrases) entry(i int32) []int32 {
	start := 0
	if i > 0 {
		start = p.ends[i-1]
	}
	return p.text[start:p.ends[i]]
}

// add adds an entry.
func (p *paraphrases) add(phrase, paraphrase []byte) {
	node := int32(0)
	for word := range bytes.FieldsFuncSeq(phrase, space) {
		s := step{node, p.number(word)}
		next, ok := p.tree[s]
		if !ok {
			next = int32(len(p.lists))
			p.tree[s] = next
			p.lists = append(p.lists, list{-1, -1})
		}
		node = next
	}
	entry := int32(len(p.ends))
	if l := &p.lists[node]; l.first < 0 {
		l.first, l.last = entry, entry
	} else {
		p.next[l.last] = entry
		l.last = entry
	}
	p.next = append(p.next, -1)
	for word := range bytes.FieldsFuncSeq(paraphrase, space) {
		p.text = append(p.text, p.number(word))
	}
	p.ends = append(p.ends, len(p.text))
}

// number returns the number of a word, a new one if it has none.
func (p *paraphrases) number(word []byte) int32 {
	n, ok := p.words[string(word)]
	if !ok {
		n = int32(len(p.words))
		p.words[string(word)] = n
	}
	return n
}

// Of a table of paraphrases; METEOR's of English, with 6 million entries, comes to a third.
const (
	maxTable = 1 << 30  // bytes, compressed or not
	maxParts = 64 << 20 // see paraphrases.parts
)

// parts is about how much there is in memory, in some tens of bytes.
func (p *paraphrases) parts() int { return len(p.lists) + len(p.words) + len(p.ends) + len(p.text)/4 }

// readParaphraseFile reads a table as METEOR has it, compressed by gzip or not.
func readParaphraseFile(file string) (*paraphrases, error) {
	text, err := foreign.ReadNamed(file, maxTable)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: there is no such table of paraphrases: it is data/paraphrase-en.gz of METEOR 1.5", file)
	}
	if err != nil {
		return nil, fmt.Errorf("table of paraphrases: %w", err)
	}
	p, err := readParaphrases(bytes.NewReader(text), maxParts)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return p, nil
}

// entryLines says what a table has to be.
const entryLines = "three lines an entry: a probability, a phrase, its paraphrase"

// readParaphrases reads three lines an entry: a probability, which METEOR does not use, a phrase and one that may
// stand for it (ParaphraseTransducer.java 108).
func readParaphrases(r io.Reader, mostParts int) (*paraphrases, error) {
	in := bufio.NewReaderSize(r, 1<<16)
	if magic, _ := in.Peek(2); string(magic) == "\x1f\x8b" {
		z, err := gzip.NewReader(in)
		if err != nil {
			return nil, fmt.Errorf("table of paraphrases: %w", err)
		}
		in = bufio.NewReaderSize(z, 1<<16)
	}
	text := &io.LimitedReader{R: in, N: maxTable} // a small file may be compressed from a huge one
	p := &paraphrases{words: make(map[string]int32), tree: make(map[step]int32), lists: []list{{-1, -1}}}
	var phrase []byte
	line := 0
	lines := bufio.NewScanner(text)
	for lines.Scan() {
		line++
		text := lines.Bytes()
		if len(bytes.TrimFunc(text, space)) == 0 {
			return nil, fmt.Errorf("line %d: the line is empty, want %s", line, entryLines)
		}
		switch line % 3 {
		case 1:
			if _, err := strconv.ParseFloat(string(bytes.TrimFunc(text, space)), 64); err != nil {
				return nil, fmt.Errorf("line %d: got %.40q, want a probability: %s", line, text, entryLines)
			}
		case 2:
			phrase = append(phrase[:0], text...)
		case 0:
			if p.add(phrase, text); p.parts() > mostParts {
				return nil, fmt.Errorf("line %d: the table of paraphrases is too long: it has more than %d phrases, paraphrases and words", line, mostParts)
			}
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("line %d: table of paraphrases: %w", line+1, err)
	}
	if text.N == 0 {
		return nil, fmt.Errorf("the table of paraphrases is too long: want at most %d bytes", maxTable)
	}
	if line%3 != 0 || line == 0 {
		return nil, fmt.Errorf("line %d: the table of paraphrases ends: want %s", line+1, entryLines)
	}
	return p, nil
}
