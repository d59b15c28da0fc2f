package metrics

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// File is what is in a file of outputs, or of what is right: a text, a class or a number a line.
type File struct {
	Name   string // for errors
	Text   []byte
	Column []string // of a table what takes the place of the lines, else nil
}

// Lines returns the lines without the white space around them.
func (f File) Lines() ([]string, error) {
	lines := slices.Clone(f.Column)
	if lines == nil {
		lines = strings.Split(strings.TrimSuffix(string(f.Text), "\n"), "\n")
	}
	for i, line := range lines {
		if !utf8.ValidString(line) {
			return nil, fmt.Errorf("%s: line %d is not UTF-8", f.Name, i+1)
		}
		lines[i] = strings.ReplaceAll(strings.TrimSpace(line), "\n", " ")
	}
	return lines, nil
}

// Filled returns the lines without the empty ones at the end.
func (f File) Filled() ([]string, error) {
	lines, err := f.Lines()
	n := len(lines)
	for n > 0 && lines[n-1] == "" {
		n--
	}
	return lines[:n], err
}

// Values returns the lines, one value in each.
func (f File) Values() ([]string, error) {
	lines, err := f.Filled()
	if err != nil {
		return nil, err
	}
	if len(lines) == 0 {
		return nil, fmt.Errorf("%s: the file is empty", f.Name)
	}
	if i := slices.Index(lines, ""); i >= 0 {
		return nil, fmt.Errorf("%s: line %d is empty: want one value a line", f.Name, i+1)
	}
	return lines, nil
}

// Numbers returns the finite number of every line.
func (f File) Numbers() ([]float64, error) {
	lines, err := f.Values()
	out := make([]float64, len(lines))
	for i, line := range lines {
		v, err := strconv.ParseFloat(line, 64)
		if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, fmt.Errorf("%s: line %d: got %.40q, want a finite number", f.Name, i+1, line)
		}
		out[i] = v
	}
	return out, err
}
