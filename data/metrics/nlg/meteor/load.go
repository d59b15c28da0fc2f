package meteor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// DefaultDir returns the folder that scripts/fetch_meteor.sh makes if it is given none.
func DefaultDir() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("folder of METEOR's resources: %w: set XDG_CACHE_HOME", err)
	}
	return filepath.Join(cache, "autolora", "meteor"), nil
}

// Load reads METEOR's resources from a folder: function/english.words, nonbreaking/english.prefixes,
// synonym/english.synsets and synonym/english.exceptions, which lie in METEOR's own folder too; and its table of
// paraphrases (paraphrase-en.gz, compressed or not) from a file, none if that is "". Errors name file and line.
func Load(dir, paraphraseTable string) (*Meteor, error) {
	m := &Meteor{matchers: paraphrase}
	var err error
	if m.functionWords, err = readFunctionWords(filepath.Join(dir, "function", "english.words")); err != nil {
		return nil, err
	}
	if m.prefixes, err = readPrefixes(filepath.Join(dir, "nonbreaking", "english.prefixes")); err != nil {
		return nil, err
	}
	if m.synonyms, err = readSynonyms(filepath.Join(dir, "synonym")); err != nil {
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

// read gives fn each line of a resource; what fn says is wrong with one makes the error. A resource without any line is
// one, too.
func read(file string, fn func(line string) (wrong string)) error {
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("METEOR needs %s, which is not there: make its folder with scripts/fetch_meteor.sh", file)
	}
	if err != nil {
		return fmt.Errorf("METEOR's resources: %w", err)
	}
	body := strings.TrimSuffix(strings.ReplaceAll(string(text), "\r\n", "\n"), "\n")
	if body == "" {
		return broken(file, 1, "the file is empty")
	}
	for i, line := range strings.Split(body, "\n") {
		if wrong := fn(line); wrong != "" {
			return broken(file, i+1, wrong)
		}
	}
	return nil
}

// broken is the error of a resource whose line is not as wanted.
func broken(file string, line int, what string) error {
	return fmt.Errorf("%s: line %d: %s: remove the folder and make it anew with scripts/fetch_meteor.sh", file, line, what)
}

// readFunctionWords reads a word a line.
func readFunctionWords(file string) (map[string]bool, error) {
	words := map[string]bool{}
	err := read(file, func(line string) string {
		if len(fields(line)) != 1 {
			return fmt.Sprintf("got %.40q, want one word", line)
		}
		words[line] = true
		return ""
	})
	return words, err
}

// readPrefixes reads a word a line, without the dot, in some lines followed by #NUMERIC_ONLY#. Empty lines and such
// that begin with # do not count (Normalizer.java 143).
func readPrefixes(file string) (prefixes, error) {
	p := prefixes{}
	err := read(file, func(line string) string {
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

// readSynonyms reads english.synsets and english.exceptions: a word and the numbers of its synsets; a word and the
// irregular forms that it has.
func readSynonyms(dir string) (*synonyms, error) {
	s := &synonyms{synsets: map[string][]int32{}, bases: map[string][]string{}}
	err := readPairs(filepath.Join(dir, "english.synsets"), func(word string, numbers []string) string {
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
	return s, readPairs(filepath.Join(dir, "english.exceptions"), func(word string, forms []string) string {
		for _, form := range forms {
			s.bases[form] = append(s.bases[form], word)
		}
		return ""
	})
}

// readPairs reads a file whose lines come in twos, none of them empty: a word, and others that belong to
// it.
func readPairs(file string, fn func(word string, others []string) (wrong string)) error {
	lines, word := 0, ""
	err := read(file, func(line string) string {
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
		err = broken(file, lines, "the file ends, want one more line: there are two to a word")
	}
	return err
}
