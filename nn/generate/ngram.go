package generate

import "slices"

// repeats returns the tokens that would end an n-gram which tokens has already.
func repeats(tokens []int64, n int) []int64 {
	if n == 0 || len(tokens) < n {
		return nil
	}
	var banned []int64
	suffix := tokens[len(tokens)-n+1:]
	for i := 0; i+n <= len(tokens); i++ {
		if slices.Equal(tokens[i:i+n-1], suffix) {
			banned = append(banned, tokens[i+n-1])
		}
	}
	return banned
}
