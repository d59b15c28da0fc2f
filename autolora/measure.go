package autolora

import (
	"fmt"
	"slices"

	"autolora/nn"
	"autolora/torchbind"
)

// MeasureConfig says what a measurement finds the worth of.
type MeasureConfig struct {
	LoRA nn.LoRAConfig // its targets
	K    int           // rank-1 parts of every layer
}

// Measurement finds, by batches, what the rank-1 parts of layers are worth, for a
// rule that needs no search.
type Measurement interface {
	// Halves says of which halves of the training data it observes batches: the one
	// that W may be trained on, then the other.
	Halves() (first, other bool)
	// Observe takes a batch of a half into account.
	Observe(s *torchbind.Scope, b *Batch, other bool) Work
	// Worth returns a row for every layer, a number for each of its parts, of which
	// one has so many parameters. A number that is not finite says that the model's
	// weights are broken.
	Worth(costs []int64) ([][]float64, error)
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
	p := probed{MeasureConfig: cfg, model: model}
	var err error
	if p.probes, err = model.AddProbes(cfg.LoRA.Targets); err != nil {
		return p, err
	}
	for _, probe := range p.probes {
		if most := slices.Min(p.shape(probe)); int64(cfg.K) > most {
			return p, fmt.Errorf("rank of %q: got %d, want 0 to %d", probe.Module, cfg.K, most)
		}
	}
	return p, nil
}

// shape returns that of a layer's weight, [out, in].
func (p probed) shape(probe *nn.Probe) (shape []int64) {
	s := torchbind.NewScope()
	defer s.Close()
	return p.model.ModuleWeight(s, probe.Module).Shape()
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
	dtype := p.model.FactorType()
	for i, d := range torchbind.Grad(s, only(loss), outputs, nil, false) {
		x = append(x, torchbind.To(s, p.probes[i].X, dtype, p.model.Device()))
		dy = append(dy, torchbind.To(s, d, dtype, p.model.Device()))
	}
	return x, dy, Work{Tokens: int64(b.Tokens), Forward: 1, Backward: 1}
}

// numbers returns a tensor of zeros that lives as long as the model's adapters, for
// numbers that a measurement adds up.
func numbers(model *nn.Model, shape ...int64) *torchbind.Tensor {
	return torchbind.Full(model.Scope(), shape, 0, torchbind.Float64, torchbind.CPU)
}

// increase adds v to the i-th number of t.
func increase(t *torchbind.Tensor, i int, v float64) {
	all := t.Float64s()
	all[i] += v
	set(t, all)
}

func set(t *torchbind.Tensor, all []float64) {
	s := torchbind.NewScope()
	defer s.Close()
	t.CopyInPlace(torchbind.FromSlice(s, all, t.Shape(), torchbind.CPU))
}
