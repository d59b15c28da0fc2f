package nn

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"autolora/nn/adapterhub"
	"autolora/nn/peft"
	"autolora/nn/safetensors"
	"autolora/torchbind"
)

// Adapter returns the adapters of the model's modules and its head as PEFT knows
// them. skipped names modules that were candidates and got rank 0: they are left
// out, which is exactly the base layer.
func (m *Model) Adapter(base string, skipped []string) *peft.Adapter {
	a := &peft.Adapter{Config: peft.Config{TaskType: m.Output.TaskType(), BaseModel: base}}
	if m.Head != nil {
		a.Config.ModulesToSave = m.Head.modules()
	}
	names := make(map[string]bool)
	add := func(layer peft.Layer) {
		a.Layers = append(a.Layers, layer)
		names[layer.Name] = true
		if layer.Rank >= a.Config.R {
			a.Config.R, a.Config.LoraAlpha = layer.Rank, layer.Alpha
		}
	}
	for _, l := range m.linears() {
		a.Config.FanInFanOut = a.Config.FanInFanOut || l.Weight.Transposed
		for _, adapter := range l.Adapters {
			switch whole := l.whole(); {
			case adapter == nil || names[whole]:
			case whole != "":
				add(l.fused(&a.Config))
			default:
				add(adapter.Layer(&a.Config))
			}
		}
	}
	for _, name := range skipped {
		if l, _ := m.linear(name); l != nil && l.whole() != "" {
			name = l.whole()
		}
		if !names[name] {
			a.Layers = append(a.Layers, peft.Layer{Name: name})
			names[name] = true
		}
	}
	if a.Config.R == 0 { // every layer has rank 0; PEFT wants a positive global rank
		a.Config.R, a.Config.LoraAlpha = 1, 1
	}
	a.Saved = m.storedHead()
	return a
}

// storedHead returns copies of the head's parameters, in the labels' own units.
func (m *Model) storedHead() (all []safetensors.Tensor) {
	s := torchbind.NewScope()
	defer s.Close()
	torchbind.NoGrad(func() {
		for _, p := range m.HeadParams() {
			all = append(all, safetensors.FromFloat32s(p.Name, p.Shape, m.Head.own(s, p).Float32s()))
		}
	})
	return all
}

// moduleOf returns the module that has a parameter.
func moduleOf(name string) string { return name[:max(strings.LastIndexByte(name, '.'), 0)] }

// stored returns a copy of p's values as an F32 tensor under name.
func (p *Param) stored(name string) safetensors.Tensor {
	return safetensors.FromFloat32s(name, p.Shape, p.Value.Float32s())
}

// LoadAdapter gives the model the LoRA layers and the head of a PEFT adapter, or
// the bottleneck adapters and the head of a folder in AdapterHub's form. Every
// layer of it must be a module of the model, and the head must fit.
func (m *Model) LoadAdapter(dir string) error {
	if m.Head != nil {
		m.Head.toOwn()
		defer m.Head.toLearnt()
	}
	if adapterhub.IsAdapter(dir) {
		return m.loadBottlenecks(dir)
	}
	a, err := peft.Read(dir)
	if err != nil {
		return err
	}
	if has := a.Config.TaskType; !a.Config.AnyTask() && has != m.Output.TaskType() {
		return fmt.Errorf("load adapter %s: task_type is %s, want %s", dir, has, m.Output.TaskType())
	}
	for _, l := range a.Layers {
		if err == nil && l.Rank > 0 {
			err = m.addLayer(a, l)
		}
	}
	if err == nil {
		err = m.setHead(a.Saved)
	}
	if err != nil {
		return fmt.Errorf("load adapter %s: %w", dir, err)
	}
	return nil
}

// addLayer gives the model a layer of an adapter.
func (m *Model) addLayer(a *peft.Adapter, layer peft.Layer) error {
	l, i := m.linear(layer.Name)
	if l == nil {
		for _, l := range m.linears() {
			if l.whole() == layer.Name {
				return m.setFused(a, layer, l)
			}
		}
		for _, p := range m.HeadParams() {
			if p.Name == layer.Name+".weight" && len(p.Shape) == 2 {
				return p.merge(a, layer)
			}
		}
		return fmt.Errorf("layer %q is not in the model %s", layer.Name, m.Dir)
	}
	weightA, weightB, err := factors(layer, l.In(), l.Modules[i].Rows)
	if err != nil {
		return err
	}
	// LoRA.Scale is alpha/rank; this alpha gives it PEFT's scale under any rule.
	lora := m.setLoRA(l, i, weightA, weightB, a.Config.Scale(layer.Rank, layer.Alpha)*float64(layer.Rank), a.Config.LoraDropout)
	if beyond := forms[a.Config.Form]; beyond != nil {
		l.Adapters[i], err = beyond(m, l, i, lora, layer)
	}
	return err
}

// merge adds a LoRA layer to a weight of the head, which is trained and saved whole here
// and so has no adapters. PEFT puts one there where an adapter names no task.
func (p *Param) merge(a *peft.Adapter, layer peft.Layer) error {
	if a.Config.Form != "" {
		return fmt.Errorf("layer %q: %s on a layer of the head is not supported", layer.Name, a.Config.Form)
	}
	weightA, weightB, err := factors(layer, p.Shape[1], p.Shape[0])
	if err != nil {
		return err
	}
	s := torchbind.NewScope()
	defer s.Close()
	rank, dtype, device := int64(layer.Rank), p.Value.DType(), p.Value.Device()
	lora := &LoRA{
		Rank: rank, Alpha: a.Config.Scale(layer.Rank, layer.Alpha) * float64(rank), // as in addLayer
		A: newParam(s, "", weightA, []int64{rank, p.Shape[1]}, dtype, device),
		B: newParam(s, "", weightB, []int64{p.Shape[0], rank}, dtype, device),
	}
	torchbind.NoGrad(func() { p.Value.CopyInPlace(lora.Merge(s, p.Value)) })
	return nil
}

// forms has what makes more of the LoRA layer on the i-th module of l than LoRA, by
// the setting of PEFT's.
var forms = map[string]func(m *Model, l *Linear, i int, lora *LoRA, layer peft.Layer) (ModuleAdapter, error){}

// factors returns A [rank, in] and B [out, rank] of a layer.
func factors(layer peft.Layer, in, out int64) (a, b []float32, err error) {
	rank := int64(layer.Rank)
	for _, f := range []struct {
		name string
		t    safetensors.Tensor
		want []int64
		to   *[]float32
	}{{"lora_A", layer.A, []int64{rank, in}, &a}, {"lora_B", layer.B, []int64{out, rank}, &b}} {
		if !slices.Equal(f.t.Shape, f.want) {
			return nil, nil, fmt.Errorf("layer %q: %s has shape %v, want %v: the adapter belongs to another model", layer.Name, f.name, f.t.Shape, f.want)
		}
		if *f.to, err = safetensors.Float32s(f.t); err != nil {
			return nil, nil, err
		}
	}
	return a, b, nil
}

// byName are tensors of a file that are to become parameters, each one once.
type byName map[string]safetensors.Tensor

func tensorsByName(all []safetensors.Tensor) byName {
	tensors := make(byName, len(all))
	for _, t := range all {
		tensors[t.Name] = t
	}
	return tensors
}

// take returns the values of one and takes it out; absent and wrong end the errors.
func (b byName) take(name string, shape []int64, absent, wrong string) ([]float32, error) {
	t, ok := b[name]
	if !ok {
		return nil, fmt.Errorf("%q is missing: %s", name, absent)
	}
	delete(b, name)
	if !slices.Equal(t.Shape, shape) {
		return nil, fmt.Errorf("%q: shape %v, want %v: %s", name, t.Shape, shape, wrong)
	}
	return safetensors.Float32s(t)
}

// setHead takes the head that an adapter has saved, and BERT's pooler where that is
// saved too. Modules of the model's own head that it has not saved stay.
func (m *Model) setHead(saved []safetensors.Tensor) error {
	tensors := tensorsByName(saved)
	if m.Head != nil && m.Head.pooler {
		if _, stored := tensors[m.Head.Dense.Weight.Name]; stored {
			m.Head.train(true)
		}
	}
	has := make(map[string]bool, len(saved))
	for _, t := range saved {
		has[moduleOf(t.Name)] = true
	}
	s := torchbind.NewScope()
	defer s.Close()
	for _, p := range m.HeadParams() {
		if !m.Head.fresh && !has[moduleOf(p.Name)] {
			continue
		}
		data, err := tensors.take(p.Name, p.Shape, "neither the adapter nor the model has it",
			"the adapter was trained for another number of labels or another model")
		if err != nil {
			return err
		}
		torchbind.NoGrad(func() { p.Value.CopyInPlace(torchbind.FromSlice(s, data, p.Shape, torchbind.CPU)) })
	}
	for _, name := range slices.Sorted(maps.Keys(tensors)) {
		return fmt.Errorf("%q is saved in the adapter, but not part of this model's head", name)
	}
	return nil
}
