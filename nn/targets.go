package nn

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// blockParts has, by the names that architectures give the linear layers of their
// blocks, which those are: query, key, value, the output of attention, and the way
// up and down of the feed-forward layer, by their first letters.
var blockParts = map[string]string{
	"query": "q", "q_proj": "q", "q_lin": "q", "wq": "q", "query_proj": "q",
	"key": "k", "k_proj": "k", "k_lin": "k", "wk": "k", "key_proj": "k",
	"value": "v", "v_proj": "v", "v_lin": "v", "wv": "v", "value_proj": "v",
	"c_attn": "qkv", "qkv_proj": "qkv", "query_key_value": "qkv", "Wqkv": "qkv", "in_proj": "qkv",
	"o_proj": "o", "out_proj": "o", "out_lin": "o", "attn.c_proj": "o", "attn.Wo": "o", "attention.output.dense": "o",
	"gate_proj": "u", "up_proj": "u", "gate_up_proj": "u", "fc1": "u", "lin1": "u", "fc_in": "u", "c_fc": "u", "dense_h_to_4h": "u", "Wi": "u", "intermediate.dense": "u",
	"down_proj": "d", "fc2": "d", "lin2": "d", "fc_out": "d", "mlp.c_proj": "d", "dense_4h_to_h": "d", "mlp.Wo": "d",
	"c_proj": "od", "Wo": "od", "output.dense": "od", "dense": "oud",
}

// partOf returns the part of a block that a target is called by some architecture;
// "" for a name that is not known, or that names a block.
func partOf(target string) string {
	if blockNumber.MatchString(target) {
		return ""
	}
	for name, more := target, true; more; _, name, more = strings.Cut(name, ".") {
		if part := blockParts[name]; part != "" {
			return part
		}
	}
	return ""
}

var blockNumber = regexp.MustCompile(`(^|\.)\d+(\.|$)`)

// targetSets has the parts of a block that a target names in every architecture.
var targetSets = map[string]string{"all-linear": "qkvoud", "attention": "qkvo", "feed-forward": "ud"}

// targeted returns the full paths of the linear modules that one target names, which
// may be several joined by "+". note says what it is to them if it is no name of
// theirs.
func (m *Model) targeted(target string) (paths []string, note string) {
	if first, others, joined := strings.Cut(target, "+"); joined {
		a, noteA := m.targeted(first)
		b, noteB := m.targeted(others)
		if len(a) == 0 || len(b) == 0 {
			return nil, ""
		}
		return append(a, b...), cmp.Or(noteA, noteB)
	}
	if parts, isSet := targetSets[target]; isSet {
		return m.parts(parts), ""
	}
	for _, l := range m.linears() {
		for _, module := range l.Modules {
			if module.Path == target || strings.HasSuffix(module.Path, "."+target) {
				paths = append(paths, module.Path)
			}
		}
	}
	if len(paths) > 0 {
		return paths, ""
	}
	part := partOf(target)
	switch {
	case len(part) == 1 && strings.Contains(queryKeyValue, part) && m.Body.Blocks[0].fused():
		note = "a part, which has no LoRA of its own, of"
	case !slices.Contains([]string{"query", "key", "value"}, target): // which are every architecture's
		note = "another architecture's name for"
	}
	return m.parts(part), note
}

// queryKeyValue are the parts that the first layer of attention has.
const queryKeyValue = "qkv"

// fused reports whether query, key and value are one module.
func (l *Block) fused() bool { return len(l.Attention.linears()[0].Modules) == 1 }

// parts returns the full paths of parts of every block.
func (m *Model) parts(letters string) (paths []string) {
	for _, b := range m.Body.Blocks {
		attention := b.Attention.linears() // q, k and v; the output
		for i, l := range []*Linear{attention[0], attention[1], b.Up, b.Down} {
			for j, module := range l.Modules {
				has := "qoud"[i : i+1]
				switch {
				case i == 0 && b.fused():
					has = queryKeyValue
				case i == 0:
					has = queryKeyValue[j : j+1]
				}
				if strings.ContainsAny(has, letters) {
					paths = append(paths, module.Path)
				}
			}
		}
	}
	return paths
}

// ErrTarget says that a target of LoRA is not there.
var ErrTarget = errors.New("names no linear layer of the model")

// Modules returns the full paths of the linear modules that targets name, in the
// order of the architecture: "all-linear", "attention" or "feed-forward" of the
// blocks, else by PEFT's rule, and where that finds none, by what another
// architecture calls the same part of a block. Targets may be joined by "+". One that
// names no module is an error.
func (m *Model) Modules(targets []string) ([]string, error) {
	chosen := make(map[string]bool)
	for _, t := range targets {
		paths, _ := m.targeted(t)
		if len(paths) == 0 {
			return nil, fmt.Errorf("target %q %w; its layers have %s", t, ErrTarget, strings.Join(m.inBlocks(nil), ", "))
		}
		for _, path := range paths {
			chosen[path] = true
		}
	}
	var paths []string
	for _, l := range m.linears() {
		for _, module := range l.Modules {
			if chosen[module.Path] {
				paths = append(paths, module.Path)
			}
		}
	}
	return paths, nil
}

// Translated returns a sentence on each of targets that is another architecture's
// name, or a part of a module here.
func (m *Model) Translated(targets []string) []string {
	var notes []string
	for _, t := range targets {
		paths, note := m.targeted(t)
		if note != "" && len(paths) > 0 {
			notes = append(notes, fmt.Sprintf("target %s is %s %s", t, note, strings.Join(m.inBlocks(paths), ", ")))
		}
	}
	return notes
}

// inBlocks returns what the modules at paths are called within a block; of all
// blocks' modules for nil.
func (m *Model) inBlocks(paths []string) []string {
	var names []string
	for _, l := range m.Body.linears() {
		for _, module := range l.Modules {
			if _, name, ok := strings.Cut(module.Path, ".0."); ok && (paths == nil || slices.Contains(paths, module.Path)) {
				names = append(names, name)
			}
		}
	}
	return names
}
