package main

import "fmt"

// suggestion returns ", did you mean X?" for the name closest to the one that
// was given, and "" if none is close.
func suggestion(given string, names []string) string {
	best, closest := "", max(2, len(given)/3)+1
	for _, name := range names {
		if d := editDistance(given, name); d < closest {
			best, closest = name, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(", did you mean %s?", best)
}

// editDistance returns the number of letters to insert, delete or replace to
// come from a to b.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1) // distances of a's beginning to all beginnings of b
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replace := diagonal
			if a[i] != b[j] {
				replace++
			}
			diagonal = row[j+1]
			row[j+1] = min(replace, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}
