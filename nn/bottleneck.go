package nn

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"

	"autolora/nn/adapterhub"
	"autolora/nn/safetensors"
	"autolora/torchbind"
)

// Houlsby and Pfeiffer are the forms of bottleneck adapters, as AdapterHub
// defines them.
const (
	Houlsby  = adapterhub.Houlsby
	Pfeiffer = adapterhub.Pfeiffer
)

// Bottleneck is an adapter of Houlsby et al. (2019) or Pfeiffer et al. (2021) in
// a block: x + up(f(down(z))), with f and z those of its style. Its weights are
// float32 (or float64) whatever the base model's type.
type Bottleneck struct {
	Style adapterhub.Style
	Down  *Param // [S, C]
	DownB *Param // [S]
	Up    *Param // [C, S]
	UpB   *Param // [C]

	after *Norm // that of the residual connection; nil: none
}

// Params returns the weights and biases of both projections.
func (b *Bottleneck) Params() []*Param { return []*Param{b.Down, b.DownB, b.Up, b.UpB} }

// Forward returns what y [M, C] becomes, the output of attention or of the
// feed-forward layer after its dropout, to which the model adds x [M, C].
// Pfeiffer's adapter reads what the model's norm makes of the sum.
func (b *Bottleneck) Forward(s *torchbind.Scope, x, y *torchbind.Tensor, _ *DropoutRNG) *torchbind.Tensor {
	z := y
	if b.Style == Pfeiffer {
		z = b.after.ofSum(s, y, x, 0, 0)
	}
	own := b.Down.Value.DType()
	h := torchbind.Linear(s, torchbind.To(s, z, own, z.Device()), b.Down.Value, b.DownB.Value) // [M, S]
	if b.Style == Pfeiffer {
		h = torchbind.ReLU(s, h)
	} else {
		h = torchbind.Mul(s, h, torchbind.Sigmoid(s, h)) // swish
	}
	up := torchbind.Linear(s, h, b.Up.Value, b.UpB.Value)
	return torchbind.Add(s, y, torchbind.To(s, up, y.DType(), y.Device()))
}

// BottleneckConfig says which bottleneck adapters a model gets.
type BottleneckConfig struct {
	Style adapterhub.Style // Houlsby or Pfeiffer
	// Size is that of the bottleneck. 0 is a 32nd of the hidden size for Houlsby
	// and a 16th for Pfeiffer: 0.9M parameters either way on RoBERTa-base, as the
	// adapters that AutoLoRA's paper compares with have.
	Size int64
	Seed uint64
}

// AddBottlenecks gives every block fresh bottleneck adapters: weights normal
// with a standard deviation of 0.02, biases zero, as AdapterHub's.
func (m *Model) AddBottlenecks(cfg BottleneckConfig) error {
	fraction, ok := map[adapterhub.Style]int64{Houlsby: 32, Pfeiffer: 16}[cfg.Style]
	if !ok {
		return fmt.Errorf("bottleneck adapters: got style %q, want %s or %s", cfg.Style, Houlsby, Pfeiffer)
	}
	size := cfg.Size
	if size == 0 {
		size = max(1, m.HiddenSize/fraction)
	}
	if size < 1 || size > m.HiddenSize {
		return fmt.Errorf("bottleneck adapters: got size %d, want 1 to %d", size, m.HiddenSize)
	}
	rng := rand.New(rand.NewPCG(cfg.Seed, bottleneckStream))
	return m.setBottlenecks(cfg.Style, size, func(_ string, shape ...int64) ([]float32, error) {
		if len(shape) == 1 {
			return make([]float32, shape[0]), nil
		}
		return normal(rng, numEl(shape), 0.02), nil
	})
}

// setBottlenecks gives every block adapters with the values that are given for
// each tensor, by AdapterHub's name without the adapter's.
func (m *Model) setBottlenecks(style adapterhub.Style, size int64, values func(name string, shape ...int64) ([]float32, error)) error {
	if len(m.AdapterParams()) > 0 {
		return errors.New("bottleneck adapters: the model has an adapter already")
	}
	residuals := m.Body.residuals()
	made := make([]*Bottleneck, len(residuals)) // set when all are
	for i, place := range residuals {
		if i%2 == 0 && style != Houlsby { // after attention
			continue
		}
		b := &Bottleneck{Style: style, after: place.After}
		for _, p := range []struct {
			to    **Param
			name  string
			shape []int64
		}{
			{&b.Down, ".adapter_down.0.weight", []int64{size, m.HiddenSize}}, {&b.DownB, ".adapter_down.0.bias", []int64{size}},
			{&b.Up, ".adapter_up.weight", []int64{m.HiddenSize, size}}, {&b.UpB, ".adapter_up.bias", []int64{m.HiddenSize}},
		} {
			data, err := values(place.module+p.name, p.shape...)
			if err != nil {
				return err
			}
			*p.to = m.trained(place.module+p.name, data, p.shape...)
		}
		made[i] = b
	}
	for i, b := range made {
		if b != nil {
			residuals[i].Adapter = b
		}
	}
	return nil
}

// Bottlenecks returns the model's bottleneck adapters, in the order of
// computation.
func (m *Model) Bottlenecks() []*Bottleneck {
	return adaptersOf[*Bottleneck](m)
}

// BottleneckAdapter returns the model's bottleneck adapters and head as
// AdapterHub knows them; the model must have some. labels are in the order of
// the logits, nil for regression.
func (m *Model) BottleneckAdapter(base string, labels []string) *adapterhub.Bottlenecks {
	all := m.Bottlenecks()
	a := &adapterhub.Bottlenecks{
		Style: all[0].Style, Size: all[0].Down.Shape[0], Name: "autolora", BaseModel: base, Labels: labels,
		ModelType: m.ModelType, ModelClass: m.Architecture(m.Output), HiddenSize: m.HiddenSize,
	}
	for _, b := range all {
		for _, p := range b.Params() {
			a.Weights = append(a.Weights, p.stored(p.Name))
		}
	}
	a.Head = m.storedHead()
	return a
}

// loadBottlenecks gives the model the bottleneck adapters and the head of a
// folder in AdapterHub's form. Every tensor of it must be one of the model's.
func (m *Model) loadBottlenecks(dir string) error {
	a, err := adapterhub.Read(dir)
	if err != nil {
		return err
	}
	if want := m.Architecture(m.Output); a.ModelClass != want || a.HiddenSize != m.HiddenSize {
		return fmt.Errorf("load adapter %s: it belongs to another model: a %s of hidden size %d, want %s of %d",
			dir, a.ModelClass, a.HiddenSize, want, m.HiddenSize)
	}
	tensors := tensorsByName(a.Weights)
	err = m.setBottlenecks(a.Style, a.Size, func(name string, shape ...int64) ([]float32, error) {
		return tensors.take(name, shape, "the adapter belongs to another model", "the adapter belongs to another model")
	})
	for _, t := range a.Weights {
		if _, ok := tensors[t.Name]; ok && err == nil {
			err = fmt.Errorf("%q is not in the model %s: the adapter belongs to another model", t.Name, m.Dir)
		}
	}
	switch {
	case err != nil:
	case m.Output == CausalLM:
		err = m.checkVocabulary(a.Head)
	default:
		err = m.setHead(a.Head)
	}
	if err != nil {
		return fmt.Errorf("load adapter %s: %w", dir, err)
	}
	return nil
}

// checkVocabulary returns an error if the head that AdapterHub stored with an
// adapter of a language model, if it did, is not the model's own.
func (m *Model) checkVocabulary(head []safetensors.Tensor) error {
	own := m.Vocabulary.Weight.Value
	s := torchbind.NewScope()
	defer s.Close()
	for _, t := range head {
		dtype, ok := storedTypes[t.DType]
		if t.Name != m.Vocabulary.Modules[0].Path+".weight" || !ok || !slices.Equal(t.Shape, own.Shape()) {
			return fmt.Errorf("%q of %v %v is not the head of the model %s, which scores %v: the adapter belongs to another model",
				t.Name, t.DType, t.Shape, m.Dir, own.Shape())
		}
		theirs := torchbind.To(s, torchbind.FromBytes(s, t.Data, dtype, t.Shape, torchbind.CPU), own.DType(), own.Device())
		if off := torchbind.ForeachNorm([]*torchbind.Tensor{torchbind.Sub(s, theirs, own)}); off != 0 {
			return fmt.Errorf("%q is not that of the model %s: a head that was trained with the adapter cannot be used here", t.Name, m.Dir)
		}
	}
	return nil
}
