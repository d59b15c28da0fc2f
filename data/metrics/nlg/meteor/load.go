package meteor

import (
	"archive/zip"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"

	"autolora/foreign"
)

// builtIn is METEOR's word lists of English as METEOR 1.5 has them, with the licences that they are under.
//
//go:embed lists.zip
var builtIn string

// Load reads METEOR's word lists from a folder: function/english.words, nonbreaking/english.prefixes,
// synonym/english.synsets and synonym/english.exceptions, which lie in METEOR's own folder too; those of the program if
// that is "". METEOR's table of paraphrases (paraphrase-en.gz, compressed or not) is read from a file, none if that is
// "". Errors name file and line.
func Load(dir, paraphraseTable string) (*Meteor, error) {
	l := lists{dir, func(name string) ([]byte, error) { return foreign.ReadFile(filepath.Join(dir, name), maxList) }}
	m := &Meteor{matchers: paraphrase}
	var err error
	if dir == "" {
		files, err := zip.NewReader(strings.NewReader(builtIn), int64(len(builtIn)))
		if err != nil {
			return nil, fmt.Errorf("METEOR's word lists: %w", err)
		}
		l.file = func(name string) ([]byte, error) { return fs.ReadFile(files, name) }
	}
	if m.functionWords, err = l.functionWords(); err != nil {
		return nil, err
	}
	if m.prefixes, err = l.prefixes(); err != nil {
		return nil, err
	}
	if m.synonyms, err = l.synonyms(); err != nil {
		return nil, err
	}
	if paraphraseTable != "" {
		if m.paraphrases, err = readParaphraseFile(paraphraseTable); err != nil {
			return nil, err
		}
		m.matchers = matchers
	}
	return m, nil
}

// maxList bounds a list; METEOR's longest of English has 3 MB.
const maxList = 256 << 20

// lists are METEOR's word lists in a folder.
type lists struct {
	dir  string
	file func(name string) ([]byte, error)
}

// read gives fn each line of a list; what fn says is wrong with one makes the error. A list without any line is one,
// too.
func (l lists) read(name string, fn func(line string) (wrong string)) error {
	text, err := l.file(name)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("METEOR needs %s, which is not there: the program has these lists, and takes them if no folder is named", filepath.Join(l.dir, name))
	}
	if err != nil {
		return fmt.Errorf("METEOR's word lists: %w", err)
	}
	body := strings.TrimSuffix(strings.ReplaceAll(string(text), "\r\n", "\n"), "\n")
	if body == "" {
		return l.broken(name, 1, "the file is empty")
	}
	for i, line := range strings.Split(body, "\n") {
		if wrong := fn(line); wrong != "" {
			return l.broken(name, i+1, wrong)
		}
	}
	return nil
}

// broken is the error of a list whose line is not as wanted.
func (l lists) broken(name string, line int, what string) error {
	return fmt.Errorf("%s: line %d: %s", filepath.Join(l.dir, name), line, what)
}

// functionWords reads a word a line.
func (l lists) functionWords() (map[string]bool, error) {
	words := map[string]bool{}
	err := l.read("function/english.words", func(line string) string {
		if len(fields(line)) != 1 {
			return fmt.Sprintf("got %.40q, want one word", line)
		}
		words[line] = true
		return ""
	})
	return words, err
}

// prefixes reads a word a line, without the dot, in some lines followed by #NUMERIC_ONLY#. Empty lines and such
// that begin with # do not count (Normalizer.java 143).
func (l lists) prefixes() (prefixes, error) {
	p := prefixes{}
	err := l.read("nonbreaking/english.prefixes", func(line string) string {
		words := fields(line)
		switch {
		case len(words) == 0 || words[0][0] == '#':
		case len(words) == 1:
			p[words[0]] = false
		case len(words) == 2 && words[1] == "#NUMERIC_ONLY#":
			p[words[0]] = true
		default:
			return fmt.Sprintf("got %.40q, want a word, alone or before #NUMERIC_ONLY#", line)
		}
		return ""
	})
	return p, err
}

// synonyms reads english.synsets and english.exceptions: a word and the numbers of its synsets; a word and the
// irregular forms that it has.
func (l lists) synonyms() (*synonyms, error) {
	s := &synonyms{synsets: map[string][]int32{}, bases: map[string][]string{}}
	err := l.readPairs("synonym/english.synsets", func(word string, numbers []string) string {
		ids := make([]int32, len(numbers))
		for i, number := range numbers {
			id, err := strconv.ParseInt(number, 10, 32)
			if err != nil {
				return fmt.Sprintf("got %.40q, want the number of a synset", number)
			}
			ids[i] = int32(id)
		}
		s.synsets[word] = ids
		return ""
	})
	if err != nil {
		return nil, err
	}
	return s, l.readPairs("synonym/english.exceptions", func(word string, forms []string) string {
		for _, form := range forms {
			s.bases[form] = append(s.bases[form], word)
		}
		return ""
	})
}

// readPairs reads a file whose lines come in twos, none of them empty: a word, and others that belong to
// it.
func (l lists) readPairs(name string, fn func(word string, others []string) (wrong string)) error {
	lines, word := 0, ""
	err := l.read(name, func(line string) string {
		others := fields(line)
		if len(others) == 0 {
			return "the line is empty"
		}
		if lines++; lines%2 == 1 {
			word = line
			return ""
		}
		return fn(word, others)
	})
	if err == nil && lines%2 != 0 {
		err = l.broken(name, lines, "the file ends, want one more line: there are two to a word")
	}
	return err
}
