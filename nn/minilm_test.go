package nn

import (
	"encoding/json"
	"os"
	"testing"

	"autolora/data"
	"autolora/torchbind"
)

// tolMiniLM is for float32 against float64: 6 blocks of 7 sums of up to 1536 terms,
// √1536·√42 roundings of 6.0e-8 as a random walk, 1.5e-5.
const tolMiniLM = 2e-5

// The real MiniLM: texts of SST-2 and MRPC with the values that transformers
// and PEFT give (testdata/nn/make_minilm.py).
func TestMiniLM(t *testing.T) {
	dir := miniLM(t)
	text, err := os.ReadFile(testdata("minilm.json"))
	if err != nil {
		t.Fatal(err)
	}
	var texts map[string][]struct {
		IDs, Segments []int64
		Label         float64
	}
	if err := json.Unmarshal(text, &texts); err != nil {
		t.Fatal(err)
	}
	want := openFixture(t, "expected-minilm")
	for task, rows := range texts {
		t.Run(task, func(t *testing.T) {
			run(t, func(s *torchbind.Scope) {
				m, err := Load(dir, LoadConfig{Labels: 2, Head: HeadFresh, Pack: true, DType: torchbind.Float32, Device: torchbind.CPU})
				if err != nil {
					t.Fatal(err)
				}
				defer m.Close()
				set(m.Head.Out, noise(2*384, 1, 0.3))
				set(m.Head.OutB, noise(2, 2, 0.3))
				var seqs data.Batch
				var labels []float64
				for _, row := range rows {
					seqs.IDs = append(seqs.IDs, row.IDs...)
					seqs.Segments = append(seqs.Segments, row.Segments...)
					seqs.Lengths = append(seqs.Lengths, len(row.IDs))
					labels = append(labels, row.Label)
				}
				b, y := batchOf(t, s, m, seqs, labels)
				near(t, "logits", m.Logits(s, b, nil).Float64s(), want.floats(task+".logits.f64"), tolMiniLM)
				near(t, "loss", m.Loss(s, b, y, nil).Float64s(), want.floats(task+".loss.f64"), tolMiniLM)

				if err := m.AddLoRA(LoRAConfig{Targets: []string{"query", "value"}, Rank: 8, Alpha: 16}); err != nil {
					t.Fatal(err)
				}
				for n, l := range m.LoRAs() {
					set(l.A, noise(8*384, uint32(1000+n), 0.05))
					set(l.B, noise(8*384, uint32(2000+n), 0.2))
				}
				near(t, "LoRA logits", m.Logits(s, b, nil).Float64s(), want.floats(task+".lora.logits.f64"), tolMiniLM)
				loss := m.Loss(s, b, y, nil)
				params := m.TrainableParams()
				for i, g := range torchbind.Grad(s, []*torchbind.Tensor{loss}, Values(params), nil, false) {
					name := task + ".lora.grad.first." + peftPrefix + params[i].Name
					first := want.floats(name)
					near(t, name, g.Float64s()[:len(first)], first, tolMiniLM)
				}
			})
		})
	}
}

// noise is the fixtures' generator, see testdata/nn/fixture.py.
func noise(n int, seed uint32, bound float64) []float32 {
	data := make([]float32, n)
	for i := range data {
		x := uint32(i) + seed*0x9E3779B9
		x ^= x >> 16
		x *= 0x85EBCA6B
		x ^= x >> 13
		x *= 0xC2B2AE35
		x ^= x >> 16
		data[i] = float32(bound * (float64(x)/(1<<31) - 1))
	}
	return data
}

func set(p *Param, data []float32) {
	s := torchbind.NewScope()
	defer s.Close()
	torchbind.NoGrad(func() { p.Value.CopyInPlace(torchbind.FromSlice(s, data, p.Shape, torchbind.CPU)) })
}
