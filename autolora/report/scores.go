package report

import (
	"fmt"
	"math"

	"autolora/data/metrics"
)

// score is a metric as tables and sentences show it.
type score struct{ metrics.Metric }

func scoreOf(name string) score { return score{metrics.Find(name)} }

// head returns the title as the head of a column: "TER ↓", on one line. Scores
// of texts say their direction, for they stand side by side with one that is
// better the lower it is.
func (s score) head() string {
	switch {
	case s.Lower:
		return s.Title + "\u00a0↓"
	case s.Texts:
		return s.Title + "\u00a0↑"
	}
	return s.Title
}

// words returns the title as a sentence has it: "TER (lower is better)".
func (s score) words() string {
	if s.Lower {
		return s.Title + " (lower is better)"
	}
	return s.Title
}

// like reports whether averages and axes of both scores make sense together.
func (s score) like(other score) bool { return s.Unit == other.Unit && s.Lower == other.Lower }

// scaled returns a value in the unit of the tables.
func (s score) scaled(v Number) float64 { return s.Unit * float64(v) }

// format returns a value as the tables show it: 83.1, or 8.61.
func (s score) format(v Number) string { return fixed(s.scaled(v), s.Digits) }

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
	shown, digits := s.scaled(v), s.Digits
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
