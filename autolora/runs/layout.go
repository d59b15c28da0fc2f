package runs

import (
	"slices"
	"strconv"
	"strings"
)

// Layout is layers as a table: a row for every kind of layer, a column for
// every Transformer block.
type Layout struct {
	Kinds  []string // "query", "value": as much of the path as tells them apart
	Blocks []int    // numbers of the blocks, ascending
	Others []int    // indices of the layers outside of the table: in no block, or at a place that is taken

	layers map[[2]int]int // by index of the kind and number of the block
}

// NewLayout lays out the layers of these Hugging Face module paths.
func NewLayout(names []string) Layout {
	t := Layout{layers: map[[2]int]int{}}
	for i, name := range names {
		kind, block, ok := splitName(name)
		if !ok {
			t.Others = append(t.Others, i)
			continue
		}
		row := slices.Index(t.Kinds, kind)
		if row < 0 {
			row = len(t.Kinds)
			t.Kinds = append(t.Kinds, kind)
		}
		if _, taken := t.layers[[2]int{row, block}]; taken { // as of an encoder and a decoder
			t.Others = append(t.Others, i)
			continue
		}
		if !slices.Contains(t.Blocks, block) {
			t.Blocks = append(t.Blocks, block)
		}
		t.layers[[2]int{row, block}] = i
	}
	slices.Sort(t.Blocks)
	t.Kinds = shortNames(t.Kinds)
	return t
}

// Layer returns the index of the layer of Kinds[kind] in the block of that
// number, and whether there is one.
func (t Layout) Layer(kind, block int) (index int, ok bool) {
	index, ok = t.layers[[2]int{kind, block}]
	return index, ok
}

// splitName splits "bert.encoder.layer.3.attention.self.query" into
// "attention.self.query" and 3.
func splitName(name string) (kind string, block int, ok bool) {
	parts := strings.Split(name, ".")
	for i, part := range parts[:len(parts)-1] {
		if n, err := strconv.Atoi(part); err == nil {
			return strings.Join(parts[i+1:], "."), n, true
		}
	}
	return "", 0, false
}

// shortNames keeps the last component of every name, or as many as it takes to
// tell the names apart.
func shortNames(names []string) []string {
	short := make([]string, len(names))
	for i, name := range names {
		for at := len(name); at > 0; {
			at = strings.LastIndex(name[:at], ".")
			short[i] = name[at+1:]
			suffix := "." + short[i]
			same := 0
			for _, other := range names {
				if strings.HasSuffix("."+other, suffix) {
					same++
				}
			}
			if same == 1 {
				break
			}
		}
	}
	return short
}
