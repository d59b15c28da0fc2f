package report

import (
	"fmt"
	"math"
	"strings"

	"autolora/data/metrics"
)

// score is how a score is shown.
type score struct {
	title  string
	factor float64 // from results.json to the table
	digits int
	better arrow
}

// arrow says in which direction a score gets better. Scores of texts show it,
// for they stand side by side with one that is better the lower it is.
type arrow string

// The directions.
const (
	plain arrow = ""  // the higher, as everyone knows
	up    arrow = "↑" // the higher
	down  arrow = "↓" // the lower
)

// scores are those that are known.
var scores = map[string]score{
	metrics.NameAccuracy: {"accuracy", 100, 1, plain}, metrics.NameF1: {"F1", 100, 1, plain}, metrics.NameMatthews: {"Matthews", 100, 1, plain},
	metrics.NamePearson: {"Pearson", 100, 1, plain}, metrics.NameSpearman: {"Spearman", 100, 1, plain},
	metrics.NamePrecision: {"precision", 100, 1, plain}, metrics.NameRecall: {"recall", 100, 1, plain},
	metrics.NameBLEU: {"BLEU", 100, 1, up}, metrics.NameMETEOR: {"METEOR", 100, 1, up}, metrics.NameROUGEL: {"ROUGE-L", 100, 1, up},
	metrics.NameNIST: {"NIST", 1, 2, up}, metrics.NameCIDEr: {"CIDEr", 1, 2, up}, metrics.NameTER: {"TER", 1, 2, down},
}

// scoreOf returns how the score of that name is shown. Variants of a score,
// as "accuracy_mismatched", are shown as it is.
func scoreOf(name string) score {
	if s, ok := scores[name]; ok {
		return s
	}
	for base, s := range scores {
		if variant, ok := strings.CutPrefix(name, base+"_"); ok {
			s.title += " " + variant
			return s
		}
	}
	return score{name, 1, 3, plain}
}

// head returns the title as the head of a column: "TER ↓", on one line.
func (s score) head() string {
	if s.better == plain {
		return s.title
	}
	return s.title + "\u00a0" + string(s.better)
}

// words returns the title as a sentence has it: "TER (lower is better)".
func (s score) words() string {
	if s.better == down {
		return s.title + " (lower is better)"
	}
	return s.title
}

// like reports whether averages and axes of both scores make sense together.
func (s score) like(other score) bool {
	return s.factor == other.factor && (s.better == down) == (other.better == down)
}

// scaled returns a value in the unit of the tables.
func (s score) scaled(v Number) float64 { return s.factor * float64(v) }

// format returns a value as the tables show it: 83.1, or 8.61.
func (s score) format(v Number) string { return fixed(s.scaled(v), s.digits) }

// spread returns "83.1 ± 0.4", or "83.1" where the spread is not known.
func (s score) spread(v Sample) string {
	if !v.SD.Known() {
		return s.format(v.Mean)
	}
	return fmt.Sprintf("%s ± %s", s.format(v.Mean), s.difference(v.SD))
}

// counted is spread with the number of values: "83.1 ± 0.4 (3)".
func (s score) counted(v Sample) string {
	if v.N == 0 {
		return s.spread(v)
	}
	return fmt.Sprintf("%s (%d)", s.spread(v), v.N)
}

// difference returns a difference or spread of scores, with one more digit where
// it would be 0 otherwise.
func (s score) difference(v Number) string {
	shown, digits := s.scaled(v), s.digits
	if shown != 0 && math.Abs(shown) < 0.5*math.Pow10(-digits) {
		digits++
	}
	return fixed(shown, digits)
}

// signed returns a difference with its sign.
func (s score) signed(v Number) string {
	if v > 0 {
		return "+" + s.difference(v)
	}
	return s.difference(v)
}

// interval returns "−1.6 to 1.8".
func (s score) interval(i Interval) string {
	if !i.Low.Known() {
		return unknownCell
	}
	return s.difference(i.Low) + " to " + s.difference(i.High)
}
