package main

import (
	"fmt"
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
