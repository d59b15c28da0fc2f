package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// joinWords joins the parts that are not empty.
func joinWords(parts []string, between string) string {
	var kept []string
	for _, part := range parts {
		if part = strings.TrimSpace(part); part != "" {
			kept = append(kept, part)
		}
	}
	return strings.Join(kept, between)
}

// fit leaves out the last parts of a text, which two spaces separate, until the
// rest fits into width columns.
func fit(text string, width int) string {
	for len(text) > width {
		at := strings.LastIndex(text, "  ")
		if at <= 0 {
			return ""
		}
		text = strings.TrimRight(text[:at], " ")
	}
	return text
}

// significant returns v to three digits: 0.0412, 4.31, 43.1, 431.
func significant(v float64) string {
	digits := 2
	if v > 0 {
		v, _ = strconv.ParseFloat(strconv.FormatFloat(v, 'g', 3, 64), 64) // 999.6 has four digits when rounded
		digits = max(0, 2-int(math.Floor(math.Log10(v))))
	}
	return fmt.Sprintf("%.*f", min(digits, 6), v)
}

// spell returns a duration as "0.4 s", "42 s", "3 min 20 s" or "2 h 5 min".
func spell(d time.Duration) string {
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

// byteCount returns "87.3 MB"; a MB is a million bytes.
func byteCount(n int64) string {
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
	return significant(v) + " " + unit
}

// thousands returns n with commas: 19,584.
func thousands(n int64) string {
	s := strconv.FormatInt(n, 10)
	for at := len(s) - 3; at > 0 && s[at-1] != '-'; at -= 3 {
		s = s[:at] + "," + s[at:]
	}
	return s
}

// wrap breaks text between words into lines of at most width letters.
func wrap(text string, width int) []string {
	lines := []string{""}
	for _, word := range strings.Fields(text) {
		last := &lines[len(lines)-1]
		switch {
		case *last == "":
			*last = word
		case len(*last)+1+len(word) <= width:
			*last += " " + word
		default:
			lines = append(lines, word)
		}
	}
	return lines
}
