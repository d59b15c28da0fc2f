package tokenizer

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

const (
	bertProcessing    = `{"type": "BertProcessing", "sep": ["[SEP]", 102], "cls": ["[CLS]", 101]}`
	robertaProcessing = `{"type": "RobertaProcessing", "sep": ["</s>", 2], "cls": ["<s>", 0], "trim_offsets": true, "add_prefix_space": false}`
	byteLevelOffsets  = `{"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": false}`
	templateBERT      = `{"type": "TemplateProcessing",
		"single": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "[SEP]", "type_id": 0}}],
		"pair": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "[SEP]", "type_id": 0}},
			{"Sequence": {"id": "B", "type_id": 1}}, {"SpecialToken": {"id": "[SEP]", "type_id": 1}}],
		"special_tokens": {"[CLS]": {"id": "[CLS]", "ids": [101], "tokens": ["[CLS]"]}, "[SEP]": {"id": "[SEP]", "ids": [102], "tokens": ["[SEP]"]}}}`
	// A token of two ids, the second text first.
	templateOdd = `{"type": "TemplateProcessing",
		"single": [{"Sequence": {"id": "A", "type_id": 3}}],
		"pair": [{"Sequence": {"id": "B", "type_id": 0}}, {"SpecialToken": {"id": "x", "type_id": 7}}, {"Sequence": {"id": "A", "type_id": 0}}],
		"special_tokens": {"x": {"id": "x", "ids": [9, 8], "tokens": ["9", "8"]}}}`
)

func TestPostProcessor(t *testing.T) {
	for _, c := range []struct {
		name, text       string
		single           []int32
		singleSeg        []uint8
		pair             []int32
		pairS            []uint8
		added, addedPair int
	}{
		{"null", `null`, []int32{1, 2}, nil, []int32{1, 2, 5}, []uint8{0, 0, 1}, 0, 0},
		{"ByteLevel", byteLevelOffsets, []int32{1, 2}, nil, []int32{1, 2, 5}, []uint8{0, 0, 1}, 0, 0},
		{"BertProcessing", bertProcessing, []int32{101, 1, 2, 102}, nil, []int32{101, 1, 2, 102, 5, 102}, []uint8{0, 0, 0, 0, 1, 1}, 2, 3},
		{"RobertaProcessing", robertaProcessing, []int32{0, 1, 2, 2}, nil, []int32{0, 1, 2, 2, 2, 5, 2}, nil, 2, 4},
		{"TemplateProcessing", templateBERT, []int32{101, 1, 2, 102}, nil, []int32{101, 1, 2, 102, 5, 102}, []uint8{0, 0, 0, 0, 1, 1}, 2, 3},
		{"odd template", templateOdd, []int32{1, 2}, []uint8{3, 3}, []int32{5, 9, 8, 1, 2}, []uint8{0, 7, 7, 0, 0}, 0, 2},
		{"Sequence", `{"type": "Sequence", "processors": [` + byteLevelOffsets + `,` + templateBERT + `]}`,
			[]int32{101, 1, 2, 102}, nil, []int32{101, 1, 2, 102, 5, 102}, []uint8{0, 0, 0, 0, 1, 1}, 2, 3},
		{"empty Sequence", `{"type": "Sequence", "processors": []}`, []int32{1, 2}, nil, []int32{1, 2, 5}, []uint8{0, 0, 1}, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			tpl, err := parseProcessor(json.RawMessage(c.text), 0)
			if err != nil {
				t.Fatal(err)
			}
			if tpl.added(false) != c.added || tpl.added(true) != c.addedPair {
				t.Errorf("adds %d and %d tokens, want %d and %d", tpl.added(false), tpl.added(true), c.added, c.addedPair)
			}
			ids, segments := tpl.join([2][]uint32{{1, 2}, nil}, false)
			if !slices.Equal(ids, c.single) || !slices.Equal(segments, c.singleSeg) {
				t.Errorf("single: got %v %v, want %v %v", ids, segments, c.single, c.singleSeg)
			}
			ids, segments = tpl.join([2][]uint32{{1, 2}, {5}}, true)
			if !slices.Equal(ids, c.pair) || !slices.Equal(segments, c.pairS) {
				t.Errorf("pair: got %v %v, want %v %v", ids, segments, c.pair, c.pairS)
			}
		})
	}
}

func TestPostProcessorErrors(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"unknown type", `{"type": "PairProcessing"}`, `type "PairProcessing" is not supported`},
		{"no type", `{}`, `type "" is not supported`},
		{"not an object", `[1]`, "got a list, want an object"},
		{"no cls", `{"type": "BertProcessing", "sep": ["x", 1]}`, "cls [], sep"},
		{"cls of three", `{"type": "BertProcessing", "sep": ["x", 1], "cls": ["x", 1, 2]}`, "want a token and its id"},
		{"cls without id", `{"type": "BertProcessing", "sep": ["x", 1], "cls": ["x", null]}`, "want a token and its id"},
		{"negative id", `{"type": "BertProcessing", "sep": ["x", -1], "cls": ["x", 1]}`, "want a token and its id"},
		{"unknown special token", strings.Replace(templateBERT, `{"[CLS]": {`, `{"[cls]": {`, 1), `single: piece 0: "[CLS]" is not in special_tokens`},
		{"sequence C", strings.Replace(templateBERT, `"id": "B"`, `"id": "C"`, 1), `pair: piece 3: sequence "C": want A or B`},
		{"B in single", strings.Replace(templateBERT, `"id": "A"`, `"id": "B"`, 1), "single: has sequence A 0 times and B 1 times, want 1 and 0"},
		{"A twice in pair", strings.Replace(templateBERT, `"id": "B"`, `"id": "A"`, 1), "pair: has sequence A 2 times and B 0 times, want 1 and 1"},
		{"empty piece", strings.Replace(templateBERT, `{"Sequence": {"id": "A", "type_id": 0}}`, `{}`, 1), "single: piece 1: want either a Sequence or a SpecialToken"},
		{"sequence without id", strings.Replace(templateBERT, `"id": "A", `, ``, 1), `single: piece 1: sequence "": want A or B`},
		{"segment 256", strings.Replace(templateBERT, `"type_id": 1`, `"type_id": 256`, 1), "got 256, want an integer from 0 to 2^8-1"},
		{"no templates", `{"type": "TemplateProcessing"}`, "single: has sequence A 0 times"},
		{"two that add tokens", `{"type": "Sequence", "processors": [` + bertProcessing + `,` + robertaProcessing + `]}`, "processor 1: a second processor that adds tokens is not supported"},
		{"unknown in a sequence", `{"type": "Sequence", "processors": [{"type": "New"}]}`, `processor 0: type "New" is not supported`},
		{"endless sequences", strings.Repeat(`{"type": "Sequence", "processors": [`, 100) + strings.Repeat(`]}`, 100), "levels deep"},
	} {
		t.Run(c.name, func(t *testing.T) {
			tpl, err := parseProcessor(json.RawMessage(c.text), 0)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %+v, error %v, want one with %q", tpl, err, c.want)
			}
		})
	}
}
