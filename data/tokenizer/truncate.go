package tokenizer

// longestFirst returns how many tokens of two texts stay when both must fit in room: the longer one is cut until
// they are equally long, then both. With an odd room the second text gets the odd token, unless the first one
// was longer. It equals truncate_encodings in the Rust library (utils/truncation.rs, LongestFirst).
func longestFirst(a, b, room int) (int, int) {
	if a+b <= room {
		return a, b
	}
	half := room / 2
	switch {
	case min(a, b) > half && a > b:
		return room - half, half
	case min(a, b) > half:
		return half, room - half
	case a > b:
		return room - b, b
	default:
		return a, room - a
	}
}

// cut keeps n of the tokens: the first ones, or the last ones if the tokenizer truncates on the left.
func cut(ids []uint32, n int, left bool) []uint32 {
	if left {
		return ids[len(ids)-n:]
	}
	return ids[:n]
}
