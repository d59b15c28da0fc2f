package nn

import (
	"slices"
	"strings"

	"autolora/nn/peft"
	"autolora/nn/safetensors"
)

// GPT-2 stores query, key and value as one module, c_attn, and PEFT knows LoRA on
// the whole of it only. Here each has its own; as an adapter of PEFT they are
// one layer of rank r_q + r_k + r_v, whose A has theirs one above the other and
// whose B is block-diagonal, with their scales in it. Those of a layer of PEFT's that
// is not of that form share one A, and are written as the one layer that they were.

// whole returns the module of the checkpoint that has l's modules within it; ""
// where they are modules themselves.
func (l *Linear) whole() string {
	path := strings.TrimSuffix(l.Weight.Name, ".weight")
	if l.Weight.Stacked == nil && l.index(path) < 0 {
		return path
	}
	return ""
}

// fused returns the LoRA layers of l's modules as one of PEFT on the whole.
func (l *Linear) fused(c *peft.Config) peft.Layer {
	out, in := l.Weight.Shape[0], l.In()
	var a []float32
	columns := make(map[*Param]int64) // of B, where an A begins
	rank := int64(0)
	for i := range l.Modules {
		lora := l.lora(i)
		if lora == nil {
			continue
		}
		c.LoraDropout = lora.Dropout
		if _, there := columns[lora.A]; !there {
			columns[lora.A] = rank
			a = append(a, lora.A.Value.Float32s()...)
			rank += lora.Rank
		}
	}
	b := make([]float32, out*rank)
	var row int64
	for i, module := range l.Modules {
		if lora := l.lora(i); lora != nil {
			for j, v := range lora.B.Value.Float32s() {
				b[(row+int64(j)/lora.Rank)*rank+columns[lora.A]+int64(j)%lora.Rank] = float32(lora.Scale()) * v
			}
		}
		row += module.Rows
	}
	return peft.Layer{
		Name: l.whole(), Rank: int(rank), Alpha: float64(rank),
		A: safetensors.FromFloat32s("lora_A.weight", []int64{rank, in}, a), B: safetensors.FromFloat32s("lora_B.weight", []int64{out, rank}, b),
	}
}

// setFused gives l's modules what PEFT's layer on the whole does to them: each gets
// those ranks whose B has something in its rows. Of a layer in the form of fused
// that is each module's own; neighbours that have the same ranks share their A.
func (m *Model) setFused(adapter *peft.Adapter, layer peft.Layer, l *Linear) error {
	in, rank := l.In(), int64(layer.Rank)
	a, b, err := factors(layer, in, l.Weight.Shape[0])
	if err != nil {
		return err
	}
	scale := adapter.Config.Scale(layer.Rank, layer.Alpha)
	var sharedA *Param // of the module before, and its ranks
	var sharedRanks []int64
	for i, module := range l.Modules {
		rows := b[:module.Rows*rank]
		b = b[len(rows):]
		var ownA, ownB []float32
		var used []int64
		for j := range rank {
			column := func(row []float32) bool { return row[j] != 0 }
			if slices.ContainsFunc(slices.Collect(slices.Chunk(rows, int(rank))), column) {
				used = append(used, j)
				ownA = append(ownA, a[j*in:(j+1)*in]...)
			}
		}
		if used == nil {
			continue
		}
		for row := range slices.Chunk(rows, int(rank)) {
			for _, j := range used {
				ownB = append(ownB, row[j])
			}
		}
		lora := m.setLoRA(l, i, ownA, ownB, scale*float64(len(used)), adapter.Config.LoraDropout)
		if slices.Equal(used, sharedRanks) {
			lora.A = sharedA
		}
		sharedA, sharedRanks = lora.A, used
	}
	return nil
}
