package autolora

import (
	"autolora/nn"
	"autolora/torchbind"
)

// MeasureConfig says what a measurement finds the worth of.
type MeasureConfig struct {
	Targets []string // that get LoRA
	K       int      // rank-1 parts of every layer
}

// Measurement finds, by batches, what the rank-1 parts of layers are worth, for a
// rule that needs no search.
type Measurement interface {
	// Observe takes a batch into account: of one half of the training data, or
	// after all those, if Halves is 2, of the other.
	Observe(s *torchbind.Scope, b *Batch, other bool) Work
	Halves() int
	// Worth returns a row for every layer, a number for each of its parts, best
	// first.
	Worth() [][]float64
	Layers() []string // their module paths
	// Tensors lists what Observe changes.
	Tensors() []NamedTensor
}

// probed are the layers of a measurement, each with a probe.
type probed struct {
	MeasureConfig
	model  *nn.Model
	probes []*nn.Probe
}

func newProbed(model *nn.Model, cfg MeasureConfig) (probed, error) {
	probes, err := model.AddProbes(cfg.Targets)
	return probed{cfg, model, probes}, err
}

// Layers implements Measurement.
func (p probed) Layers() []string {
	names := make([]string, len(p.probes))
	for i, probe := range p.probes {
		names[i] = probe.Module
	}
	return names
}

// factors computes the loss of a batch, without dropout, and returns for every
// layer the factors of its gradient ∂L/∂W = (∂L/∂Y)ᵀ X: x [N, in] and dy [N, out],
// in the type of LoRA factors.
func (p probed) factors(s *torchbind.Scope, b *Batch) (x, dy []*torchbind.Tensor, work Work) {
	var loss *torchbind.Tensor
	p.model.Probe(s, func() { loss = p.model.Loss(s, b.Batch, b.Labels, nil) })
	var outputs []*torchbind.Tensor
	for _, probe := range p.probes {
		outputs = append(outputs, probe.Y)
	}
	dtype := factorType(p.model)
	for i, d := range torchbind.Grad(s, only(loss), outputs, nil, false) {
		x = append(x, torchbind.To(s, p.probes[i].X, dtype, p.model.Device()))
		dy = append(dy, torchbind.To(s, d, dtype, p.model.Device()))
	}
	return x, dy, Work{Tokens: int64(b.Tokens), Forward: 1, Backward: 1}
}

// factorType is the type of a model's LoRA factors.
func factorType(m *nn.Model) torchbind.DType {
	if m.DType() == torchbind.Float64 {
		return torchbind.Float64
	}
	return torchbind.Float32
}

// numbers returns a tensor of zeros that lives as long as the model's adapters, for
// numbers that a measurement adds up.
func numbers(model *nn.Model, shape ...int64) *torchbind.Tensor {
	return torchbind.Full(model.Scope(), shape, 0, torchbind.Float64, torchbind.CPU)
}

// add adds v to the i-th number of t.
func add(t *torchbind.Tensor, i int, v float64) {
	all := t.Float64s()
	all[i] += v
	set(t, all)
}

func set(t *torchbind.Tensor, all []float64) {
	s := torchbind.NewScope()
	defer s.Close()
	t.CopyInPlace(torchbind.FromSlice(s, all, t.Shape(), torchbind.CPU))
}
