package report

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"

	"autolora/human"
)

// Number is a float64 that JSON may not have: null where it is not finite.
type Number float64

// unknown is the number that is not known or not defined.
var unknown = Number(math.NaN())

// unknownCell is how it is shown.
const unknownCell = "–"

// Known reports whether n is a finite number.
func (n Number) Known() bool { return !math.IsNaN(float64(n)) && !math.IsInf(float64(n), 0) }

// MarshalJSON writes null for what is not known.
func (n Number) MarshalJSON() ([]byte, error) {
	if !n.Known() {
		return []byte("null"), nil
	}
	return json.Marshal(float64(n))
}

// decimals returns a number to two decimals.
func decimals(n Number) string { return fixed(float64(n), 2) }

// pValue returns "0.38", "0.012", or "< 0.0001".
func pValue(p Number) string {
	switch {
	case !p.Known():
		return unknownCell
	case p < 0.0001:
		return "< 0.0001"
	case p >= 0.995:
		return "1"
	}
	return strconv.FormatFloat(float64(p), 'g', 2, 64)
}

// pEquals returns "p = 0.38", or "p < 0.0001".
func pEquals(p Number) string { return strings.Replace("p = "+pValue(p), "= <", "<", 1) }

// count returns a number of things as tables show it: 29,952 or 22.7M.
func count(n Number) string {
	switch {
	case !n.Known():
		return ""
	case n >= 999.95e6:
		return fmt.Sprintf("%.1fG", n/1e9)
	case n >= 9.995e6:
		return fmt.Sprintf("%.1fM", n/1e6)
	}
	return thousands(n)
}

func thousands(n Number) string { return human.Thousands(int64(math.Round(float64(n)))) }

// seconds returns a time as tables show it, in seconds: 47.6, 118, 1,203.
func seconds(v Number) string {
	if v >= 1000 && v < 1e7 {
		return thousands(v)
	}
	return significant(v)
}

// times returns "1.91×".
func times(v Number) string {
	if !v.Known() {
		return unknownCell
	}
	return significant(v) + "×"
}

// significant returns three digits.
func significant(v Number) string {
	if !v.Known() {
		return unknownCell
	}
	return human.Significant(float64(v))
}

// seedList returns "1, 2, 7".
func seedList(seeds []uint64) string {
	return strings.ReplaceAll(strings.Trim(fmt.Sprint(seeds), "[]"), " ", ", ")
}

// fixed returns v with that many digits after the point; what is too long for
// a table in powers of ten.
func fixed(v float64, digits int) string {
	switch {
	case !Number(v).Known():
		return unknownCell
	case math.Abs(v) >= 1e7:
		return minus(fmt.Sprintf("%.2e", v))
	}
	return minus(fmt.Sprintf("%.*f", digits, v))
}

// minus replaces the hyphen by the sign, and takes it from a zero.
func minus(text string) string {
	rest, negative := strings.CutPrefix(text, "-")
	if !negative || strings.Trim(rest, "0.") == "" {
		return rest
	}
	return "−" + rest
}
