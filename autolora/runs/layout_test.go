package runs

import (
	"fmt"
	"testing"
)

func TestLayout(t *testing.T) {
	for _, tc := range []struct {
		name   string
		layers []string
		want   string
	}{
		{"nothing", nil, "[] [] [] []"},
		{"query and value", []string{"bert.encoder.layer.10.attention.self.query", "bert.encoder.layer.2.attention.self.query", "bert.encoder.layer.2.attention.self.value"},
			"[query value] [2 10] [] [1 0 2 -1]"},
		{"one kind within another's name", []string{"l.0.attention.output.dense", "l.0.output.dense", "l.0.intermediate.dense"},
			"[attention.output.dense output.dense intermediate.dense] [0] [] [0 1 2]"},
		{"outside of the blocks", []string{"classifier.dense", "h.0.attn", "pooler"}, "[attn] [0] [0 2] [1]"},
		{"one place twice", []string{"encoder.0.q", "decoder.0.q"}, "[q] [0] [1] [0]"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := NewLayout(tc.layers)
			cells := []int{}
			for kind := range g.Kinds {
				for _, block := range g.Blocks {
					i, ok := g.Layer(kind, block)
					if !ok {
						i = -1
					}
					cells = append(cells, i)
				}
			}
			if got := fmt.Sprint(g.Kinds, g.Blocks, g.Others, cells); got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}
