package nn

import (
	"strings"
	"testing"

	"autolora/torchbind"
)

// The gradients by frozen weights that probes give, packed or not and in the last
// block too, are those of a model whose weights are all trained.
func TestProbes(t *testing.T) {
	for _, c := range []struct {
		name string
		cfg  LoadConfig
	}{
		{"bert-tiny", LoadConfig{Labels: 3, Head: HeadStored}},
		{"roberta-tiny-tokens", LoadConfig{Output: TokenClassification, Labels: 5, Head: HeadStored}},
		{"gpt2-tiny", LoadConfig{Output: CausalLM}},
		{"llama-tiny", LoadConfig{Output: CausalLM}},
	} {
		t.Run(c.name, func(t *testing.T) {
			run(t, func(s *torchbind.Scope) {
				c.cfg.DType, c.cfg.Device = torchbind.Float64, torchbind.CPU
				load := func(full bool) *Model {
					cfg := c.cfg
					cfg.Full, cfg.Pack = full, !full
					m, err := Load(testdata(c.name), cfg)
					if err != nil {
						t.Fatal(err)
					}
					return m
				}
				whole, frozen := load(true), load(false)
				defer whole.Close()
				defer frozen.Close()
				seqs, of := openFixture(t, "expected-"+c.name).sequences("batch")
				b, labels := batchOf(t, s, whole, seqs, of)
				var weights []*Param
				for _, l := range whole.Body.linears() {
					weights = append(weights, l.Weight)
				}
				want := torchbind.Grad(s, []*torchbind.Tensor{whole.Loss(s, b, labels, nil)}, Values(weights), nil, false)

				probes, err := frozen.AddProbes([]string{"all-linear"})
				if err != nil {
					t.Fatal(err)
				}
				var loss *torchbind.Tensor
				frozen.Probe(s, func() { loss = frozen.Loss(s, b, labels, nil) })
				var outputs []*torchbind.Tensor
				for _, p := range probes {
					outputs = append(outputs, p.Y)
				}
				byOutput, i := torchbind.Grad(s, []*torchbind.Tensor{loss}, outputs, nil, false), 0
				for w, p := range weights { // query, key and value are one matrix: three probes
					var rows []*torchbind.Tensor
					for _, key := range frozen.Body.linears()[w].Modules {
						rows = append(rows, torchbind.MatMul(s, torchbind.Transpose(s, byOutput[i], 0, 1), probes[i].X))
						if key.Path != probes[i].Module {
							t.Fatalf("probe %d is of %s, want %s", i, probes[i].Module, key.Path)
						}
						own := frozen.ModuleWeight(s, key.Path)
						if own.Size(0) != key.Rows {
							t.Errorf("%s: weight %v, want %d rows", key.Path, own.Shape(), key.Rows)
						}
						i++
					}
					near(t, p.Name, torchbind.Cat(s, rows, 0).Float64s(), want[w].Float64s(), 1e-10)
				}
				if i != len(probes) {
					t.Errorf("%d of %d probes are of weights", i, len(probes))
				}
				if _, err := frozen.AddProbes([]string{"all-linear"}); err == nil || !strings.Contains(err.Error(), "has an adapter already") {
					t.Errorf("a second probe: %v", err)
				}
			})
		})
	}
}
