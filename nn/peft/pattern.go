package peft

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"autolora/plainjson"

	"github.com/dlclark/regexp2"
)

// Pattern is a rank_pattern or alpha_pattern: regular expressions over module
// names with a value for the modules they match. The order counts, as in PEFT
// the first match wins.
type Pattern[V int | float64] []PatternEntry[V]

// PatternEntry is one key of a [Pattern] with its value.
type PatternEntry[V int | float64] struct {
	Key   string
	Value V
}

// MarshalJSON writes the pattern as an object, in order; a nil pattern is {},
// since PEFT cannot take null.
func (p Pattern[V]) MarshalJSON() ([]byte, error) {
	b := []byte{'{'}
	for i, e := range p {
		if i > 0 {
			b = append(b, ',')
		}
		one, err := marshal(map[string]V{e.Key: e.Value}, "")
		if err != nil {
			return nil, err
		}
		b = append(b, one[1:len(one)-1]...)
	}
	return append(b, '}'), nil
}

// UnmarshalJSON reads an object, keeping the order of its keys. A key that is
// there twice is an error.
func (p *Pattern[V]) UnmarshalJSON(data []byte) error {
	all, err := plainjson.Members(data)
	if err != nil {
		return err
	}
	*p = nil
	for _, m := range all {
		e := PatternEntry[V]{Key: m.Key}
		if err := plainjson.Unmarshal(plainjson.Loosen(m.Value), &e.Value); err != nil {
			return fmt.Errorf("key %q: %w", m.Key, err)
		}
		*p = append(*p, e)
	}
	return nil
}

// sort puts the keys in order.
func (p Pattern[V]) sort() {
	slices.SortFunc(p, func(x, y PatternEntry[V]) int { return strings.Compare(x.Key, y.Key) })
}

// compile returns the lookup of PEFT's get_pattern_key (peft/utils/other.py):
// the value of the first key that matches the module's name from its start or
// after a dot to its end, else of a key that is the name, else otherwise.
func (p Pattern[V]) compile(endless *error) (func(module string, otherwise V) V, error) {
	keys := make([]expression, len(p))
	exact := make(map[string]V, len(p))
	for i, e := range p {
		re, err := compilePython(`^(.*\.)?(`+e.Key+`)$`, endless)
		if err != nil {
			return nil, fmt.Errorf("key %.200q: %w", e.Key, err)
		}
		keys[i], exact[e.Key] = re, e.Value
	}
	return func(module string, otherwise V) V {
		for i, re := range keys {
			if re(module) != nil {
				return p[i].Value
			}
		}
		if v, ok := exact[module]; ok {
			return v
		}
		return otherwise
	}, nil
}

// dummyTarget is PEFT's DUMMY_TARGET_MODULES (peft/utils/constants.py): no
// module is adapted, and that is no error.
const dummyTarget = "dummy-target-modules"

// Modules chooses modules by name: by a list, in which an entry stands for the
// module of that name and all whose name ends in a dot and the entry, or by a
// regular expression for the whole name. The zero value chooses nothing by
// itself: an absent target_modules stands for PEFT's default for the
// architecture.
type Modules struct {
	Names  []string
	Regexp string
}

// MarshalJSON writes a list, a string, or null.
func (m Modules) MarshalJSON() ([]byte, error) {
	if m.Regexp != "" {
		return marshal(m.Regexp, "")
	}
	return marshal(m.Names, "")
}

// UnmarshalJSON reads a list or a string.
func (m *Modules) UnmarshalJSON(data []byte) error {
	*m = Modules{}
	if plainjson.Unmarshal(data, &m.Regexp) == nil {
		return nil
	}
	if err := plainjson.Unmarshal(data, &m.Names); err != nil {
		return fmt.Errorf("%.40s, want a list of module names or a regular expression", data)
	}
	return nil
}

func (m Modules) isZero() bool { return m.Names == nil && m.Regexp == "" }

// hasName reports whether an entry of the list chooses module.
func (m Modules) hasName(module string) bool {
	return slices.ContainsFunc(m.Names, func(name string) bool { return strings.HasSuffix("."+module, "."+name) })
}

// compile returns whether m chooses a module.
func (m Modules) compile(endless *error) (func(module string) bool, error) {
	if m.Regexp == "" {
		return m.hasName, nil
	}
	re, err := compilePython(`^(?:`+m.Regexp+`)$`, endless)
	if err != nil {
		return nil, fmt.Errorf("%.200q: %w", m.Regexp, err)
	}
	return func(module string) bool { return re(module) != nil }, nil
}

// expression returns the groups that a regular expression finds in a text, the
// whole first; nil if it does not match.
type expression func(text string) []string

// maxMatch bounds the search of an expression that goes back and tries again.
const maxMatch = time.Second

// Of an expression; those in use come to a tenth of it at most.
const (
	maxExpression = 1 << 14 // bytes
	maxGroups     = 200     // each is kept in mind at each place of the expression
)

// namedReference is a reference back to a group, as only Python writes it.
var namedReference = regexp.MustCompile(`\(\?P=(\w+)\)`)

// atMost is a repetition without a least number, which elsewhere is plain text.
var atMost = regexp.MustCompile(`(^|[^\\])\{,(\d+)\}`)

// compilePython compiles a Python regular expression. Most over module names are
// the same in Go; look-around and references back are another engine's, which may go
// back and try again without end. Then it says so in endless, and finds no more.
func compilePython(expr string, endless *error) (expression, error) {
	if len(expr) > maxExpression {
		return nil, &patternError{fmt.Errorf("more than %d bytes", maxExpression)}
	}
	expr = atMost.ReplaceAllString(expr, `${1}{0,$2}`)
	re, err := regexp.Compile(expr)
	if err == nil && re.NumSubexp() > maxGroups {
		return nil, &patternError{fmt.Errorf("more than %d groups", maxGroups)}
	}
	if err == nil {
		return re.FindStringSubmatch, nil
	}
	full, otherErr := regexp2.Compile(namedReference.ReplaceAllString(expr, `\k<$1>`), regexp2.RE2)
	if otherErr != nil {
		return nil, &patternError{err}
	}
	full.MatchTimeout = maxMatch
	return func(text string) []string {
		if *endless != nil {
			return nil
		}
		m, err := full.FindStringMatch(text)
		if err != nil {
			*endless = fmt.Errorf("regular expression %.60q: on %q it goes back and tries again for more than %v: write plain module names instead", expr, text, maxMatch)
		}
		if m == nil {
			return nil
		}
		var groups []string
		for _, g := range m.Groups() {
			groups = append(groups, g.String())
		}
		return groups
	}, nil
}

// patternError is an error about a regular expression that cannot be compiled.
type patternError struct{ error }

func (e *patternError) Error() string {
	return fmt.Sprintf("regular expression that is not known here (write plain module names instead): %v", e.error)
}

// marshal is json.MarshalIndent without HTML's escapes.
func marshal(v any, indent string) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", indent)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
