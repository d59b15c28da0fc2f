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
// whose B is block-diagonal, with their scales in it.

// storedModule returns the module of the checkpoint that has l's modules within
// it; "" where they are modules themselves.
func (l *Linear) storedModule() string {
	path := strings.TrimSuffix(l.Weight.Name, ".weight")
	if l.Weight.Parts == nil && l.part(path) < 0 {
		return path
	}
	return ""
}

// storedPart is a module within one of the checkpoint.
type storedPart struct {
	linear *Linear
	index  int   // in linear.Modules
	first  int64 // its first row in the stored module's weight
}

// storedParts returns the modules within one of the checkpoint, in the order of
// their rows; nil if path is not such a module.
func (m *Model) storedParts(path string) []storedPart {
	var parts []storedPart
	for _, l := range m.Body.linears() {
		if l.storedModule() != path {
			continue
		}
		row := l.first
		for i, module := range l.Modules {
			parts = append(parts, storedPart{l, i, row})
			row += module.Rows
		}
	}
	return parts
}

// fusedLayer returns the LoRA layers within a module of the checkpoint as one of
// PEFT.
func (m *Model) fusedLayer(path string) peft.Layer {
	parts := m.storedParts(path)
	out, in := parts[0].linear.Weight.Shape[0], parts[0].linear.In()
	var a []float32
	rank := int64(0)
	for _, p := range parts {
		if l := p.linear.lora(p.index); l != nil {
			a = append(a, l.A.Value.Float32s()...)
			rank += l.Rank
		}
	}
	b := make([]float32, out*rank)
	column := int64(0)
	for _, p := range parts {
		l := p.linear.lora(p.index)
		if l == nil {
			continue
		}
		for i, v := range l.B.Value.Float32s() {
			row, j := p.first+int64(i)/l.Rank, column+int64(i)%l.Rank
			b[row*rank+j] = float32(l.Scale()) * v
		}
		column += l.Rank
	}
	return peft.Layer{
		Name: path, Rank: int(rank), Alpha: float64(rank),
		A: safetensors.FromFloat32s("lora_A.weight", []int64{rank, in}, a), B: safetensors.FromFloat32s("lora_B.weight", []int64{out, rank}, b),
	}
}

// setFused gives the modules within one of the checkpoint what PEFT's layer on
// the whole of it does to them: each gets those ranks whose B has something in
// its rows. Of a layer in the form of fusedLayer that is each module's own; of
// any other it is exact too, with A there more than once.
func (m *Model) setFused(adapter *peft.Adapter, layer peft.Layer, parts []storedPart) error {
	first := parts[0].linear
	in := first.In()
	a, b, err := factors(layer, in, first.Weight.Shape[0])
	if err != nil {
		return err
	}
	rank := int64(layer.Rank)
	scale := adapter.Config.Scale(layer.Rank, layer.Alpha)
	for _, p := range parts {
		module := p.linear.Modules[p.index]
		rows := b[p.first*rank : (p.first+module.Rows)*rank]
		used := make([]bool, rank)
		for i, v := range rows {
			used[int64(i)%rank] = used[int64(i)%rank] || v != 0
		}
		var ownA, ownB []float32
		own := int64(0)
		for j, u := range used {
			if u {
				ownA = append(ownA, a[int64(j)*in:int64(j+1)*in]...)
				own++
			}
		}
		if own == 0 {
			continue
		}
		for row := range slices.Chunk(rows, int(rank)) {
			for j, u := range used {
				if u {
					ownB = append(ownB, row[j])
				}
			}
		}
		p.linear.Adapters[p.index] = m.newLoRA(module.Path, ownA, ownB, in, module.Rows, scale*float64(own), adapter.Config.LoraDropout)
	}
	return nil
}
