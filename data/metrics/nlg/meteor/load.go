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

// readLines returns the lines of a resource. One without any is an error.
func readLines(file string) ([]string, error) {
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("METEOR needs %s, which is not there: make its folder with scripts/fetch_meteor.sh", file)
	}
	if err != nil {
		return nil, fmt.Errorf("METEOR's resources: %w", err)
	}
	body := strings.TrimSuffix(strings.ReplaceAll(string(text), "\r\n", "\n"), "\n")
	if body == "" {
		return nil, broken(file, 1, "the file is empty")
	}
	return strings.Split(body, "\n"), nil
}

// broken is the error of a resource whose line is not as wanted.
func broken(file string, line int, what string) error {
	return fmt.Errorf("%s: line %d: %s: remove the folder and make it anew with scripts/fetch_meteor.sh", file, line, what)
}

// readFunctionWords reads a word a line.
func readFunctionWords(file string) (map[string]bool, error) {
	lines, err := readLines(file)
	if err != nil {
		return nil, err
	}
	words := make(map[string]bool, len(lines))
	for i, line := range lines {
		if len(fields(line)) != 1 {
			return nil, broken(file, i+1, fmt.Sprintf("got %.40q, want one word", line))
		}
		words[line] = true
	}
	return words, nil
}

// readPrefixes reads a word a line, without the dot, in some lines followed by #NUMERIC_ONLY#. Empty lines and such
// that begin with # do not count (Normalizer.java 143).
func readPrefixes(file string) (prefixes, error) {
	lines, err := readLines(file)
	if err != nil {
		return nil, err
	}
	p := make(prefixes)
	for i, line := range lines {
		words := fields(line)
		switch {
		case len(words) == 0 || words[0][0] == '#':
		case len(words) == 1:
			p[words[0]] = false
		case len(words) == 2 && words[1] == "#NUMERIC_ONLY#":
			p[words[0]] = true
		default:
			return nil, broken(file, i+1, fmt.Sprintf("got %.40q, want a word, alone or before #NUMERIC_ONLY#", line))
		}
	}
	return p, nil
}

// readSynonyms reads english.synsets and english.exceptions. Both have lines in twos: a word and the numbers of its
// synsets; a word and the irregular forms that it has.
func readSynonyms(dir string) (*synonyms, error) {
	file := filepath.Join(dir, "english.synsets")
	lines, err := readPairs(file)
	if err != nil {
		return nil, err
	}
	s := &synonyms{synsets: make(map[string][]int32, len(lines)/2), bases: make(map[string][]string)}
	for i := 0; i < len(lines); i += 2 {
		var ids []int32
		for number := range strings.FieldsFuncSeq(lines[i+1], space) {
			id, err := strconv.ParseInt(number, 10, 32)
			if err != nil {
				return nil, broken(file, i+2, fmt.Sprintf("got %.40q, want the number of a synset", number))
			}
			ids = append(ids, int32(id))
		}
		s.synsets[lines[i]] = ids
	}

	file = filepath.Join(dir, "english.exceptions")
	if lines, err = readPairs(file); err != nil {
		return nil, err
	}
	for i := 0; i < len(lines); i += 2 {
		for form := range strings.FieldsFuncSeq(lines[i+1], space) {
			s.bases[form] = append(s.bases[form], lines[i])
		}
	}
	return s, nil
}

// readPairs returns the lines of a file that come in twos, none of them empty.
func readPairs(file string) ([]string, error) {
	lines, err := readLines(file)
	if err != nil {
		return nil, err
	}
	for i, line := range lines {
		if strings.TrimFunc(line, space) == "" {
			return nil, broken(file, i+1, "the line is empty")
		}
	}
	if len(lines)%2 != 0 {
		return nil, broken(file, len(lines), "the file ends, want one more line: there are two to a word")
	}
	return lines, nil
}
