package report

import (
	"fmt"
	"math"
	"strings"
)

// unknownCell is how a number that is not known is shown.
const unknownCell = "–"

// fixed returns v with that many digits after the point; what is too long for
// a table in powers of ten.
func fixed(v float64, digits int) string {
	if math.Abs(v) >= 1e7 {
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
