package tok

import "strings"

// LoRA returns a text as LoRA's decoder writes it for WebNLG with --tokenize --lower: in lower case, with a space before
// and after each character that is part of no word, spaces too. It is ' '.join(re.split(r'(\W)', text.lower())).
func LoRA(text string) string {
	text = Lower(text)
	var b strings.Builder
	b.Grow(2 * len(text))
	for _, r := range text {
		if isWord(r) {
			b.WriteRune(r)
		} else {
			b.WriteByte(' ')
			b.WriteRune(r)
			b.WriteByte(' ')
		}
	}
	return b.String()
}
