package tok

import (
	"regexp"
	"strings"
)

// Rules are replacements by regular expressions, one after the other, as the official programs make them.
type Rules []rule

type rule struct {
	in   string // characters of which one is in every match, so that most texts need no search; "": any
	find *regexp.Regexp
	with string
}

// NewRules returns rules that are given in threes: the characters of which one is in every match ("" for any), the
// expression, and what to replace it with, where $1 stands for its first group.
func NewRules(threes ...string) Rules {
	var rules Rules
	for i := 0; i < len(threes); i += 3 {
		rules = append(rules, rule{threes[i], regexp.MustCompile(threes[i+1]), threes[i+2]})
	}
	return rules
}

// Replace returns a text after all replacements.
func (r Rules) Replace(text string) string {
	for _, rule := range r {
		if rule.in == "" || strings.ContainsAny(text, rule.in) {
			text = rule.find.ReplaceAllString(text, rule.with)
		}
	}
	return text
}
