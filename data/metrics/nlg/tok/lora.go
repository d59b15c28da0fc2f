package tok

// notWord finds what is no \w of Python's.
var notWord = NewRules("", `[^\pL\pN_]`, " $0 ")

// LoRA returns a text as LoRA's decoder writes it for WebNLG with --tokenize --lower: in lower case, with a space before
// and after each character that is part of no word, spaces too. It is ' '.join(re.split(r'(\W)', text.lower())).
func LoRA(text string) string { return notWord.Replace(Lower(text)) }
