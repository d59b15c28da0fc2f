// Package human writes numbers and names as people read them.
package human

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Significant returns v to three digits: 0.0412, 4.31, 43.1, 431; in powers of
// ten where that would be long.
func Significant(v float64) string {
	if v == 0 || math.IsNaN(v) || math.IsInf(v, 0) {
		return fmt.Sprint(v)
	}
	rounded, err := strconv.ParseFloat(strconv.FormatFloat(v, 'g', 3, 64), 64) // 999.6 has four digits when rounded
	if err != nil {                                                            // rounded beyond the largest number
		rounded = v
	}
	digits := 2 - int(math.Floor(math.Log10(math.Abs(rounded))))
	if digits > 6 || digits < -7 {
		return fmt.Sprintf("%.2e", v)
	}
	return strconv.FormatFloat(rounded, 'f', max(0, digits), 64)
}

// Score returns v with so many digits after the point, 0.8314; from a million on as
// [Significant] does, as the losses of large numbers are.
func Score(v float64, digits int) string {
	if math.Abs(v) >= 1e6 {
		return Significant(v)
	}
	return strconv.FormatFloat(v, 'f', digits, 64)
}

// Rate returns a learning rate as people write it: 2e-3, 0.01.
func Rate(v float64) string {
	if v == 0 || math.Abs(v) >= 0.01 {
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	mantissa, exponent, _ := strings.Cut(strconv.FormatFloat(v, 'e', -1, 64), "e-")
	return mantissa + "e-" + strings.TrimLeft(exponent, "0")
}

// Bytes returns "87.3 MB"; a MB is a million bytes.
func Bytes(n int64) string {
	v, unit := float64(n), "B"
	for _, next := range []string{"kB", "MB", "GB", "TB"} {
		if v < 999.5 {
			break
		}
		v, unit = v/1000, next
	}
	if unit == "B" {
		return fmt.Sprintf("%d B", n)
	}
	return Significant(v) + " " + unit
}

// Thousands returns n with commas: 19,584.
func Thousands[N ~int | ~int64](n N) string {
	s := strconv.FormatInt(int64(n), 10)
	for at := len(s) - 3; at > 0 && s[at-1] != '-'; at -= 3 {
		s = s[:at] + "," + s[at:]
	}
	return s
}

// ParseThousands reads a whole number of at least 0 as people write large ones:
// 50000, 50,000, 50k or 1.5M.
func ParseThousands(text string) (int64, error) {
	if parts := amount.FindStringSubmatch(strings.TrimSpace(text)); parts != nil {
		v, err := strconv.ParseFloat(strings.ReplaceAll(parts[1], ",", ""), 64)
		v = math.Round(v*units[parts[2]]*1e3) / 1e3 // 1.1·10⁶ is not quite 1,100,000
		if err == nil && v < 1<<53 && v == math.Trunc(v) {
			return int64(v), nil
		}
	}
	return 0, fmt.Errorf("got %q, want a whole number, as 50000, 50k or 1.5M", text)
}

// amount is a number, and its unit. A comma that is not between thousands may be somebody's decimal point.
var amount = regexp.MustCompile(`^((?:\d{1,3}(?:[,_]\d{3})+|\d*)(?:\.\d+)?(?:[eE]\+?\d+)?)([kKMGB]?)$`)

var units = map[string]float64{"": 1, "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9, "B": 1e9}

// Count returns a number of things: "1 line", "2,000 lines".
func Count(n int, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return Thousands(n) + " " + thing
}

// Duration returns d as "0.4 s", "42 s", "3 min 20 s" or "2 h 5 min".
func Duration(d time.Duration) string {
	seconds := int64(d.Round(time.Second).Seconds())
	switch {
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case seconds < 60:
		return fmt.Sprintf("%d s", seconds)
	case seconds < 3600:
		return fmt.Sprintf("%d min %d s", seconds/60, seconds%60)
	}
	return fmt.Sprintf("%d h %d min", seconds/3600, seconds%3600/60)
}

// List joins names, at most the first so many of them, and counts the rest: "a, b
// and 3 more".
func List(names []string, most int) string {
	list := strings.Join(names[:min(len(names), most)], ", ")
	if more := len(names) - most; more > 0 {
		list += fmt.Sprintf(" and %d more", more)
	}
	return list
}
