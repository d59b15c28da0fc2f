package autolora

import (
	"fmt"
	"math"
	"slices"

	"autolora/nn"
	"autolora/torchbind"
)

// variances is the measurement of the rule eva (EVA, Paischer et al. 2024,
// arXiv:2410.07170): the worth of a layer's i-th part is the share of the variance of
// its inputs that their i-th principal component explains, by an incremental SVD over
// batches. As in PEFT, the parts of all layers compete by that share alone, whatever
// they cost, for ρ = 2 times fewer places than there are; within a budget of
// parameters, by the share for the cost. It knows no label.
//
// It costs a forward pass a batch. PEFT goes on until the components stand still, and
// here the batches are counted. Rows that a model does not compute, as those of the
// last block that the head does not read, are not seen.
type variances struct {
	probed
	components []*torchbind.Tensor // of each layer [K, in]
	means      []*torchbind.Tensor // of its inputs [in]
	singular   *torchbind.Tensor   // [layers, K], singular values of the inputs around their mean
	sums       *torchbind.Tensor   // [layers, 2]: rows seen, or alike, and their squared distances from the mean
}

// alike stands for the rows of a layer that reads what the one before it does.
const alike = -1

func newVariances(model *nn.Model, cfg MeasureConfig) (Measurement, error) {
	p, err := newProbed(model, cfg)
	if err != nil {
		return nil, err
	}
	layers := int64(len(p.probes))
	m := &variances{probed: p, singular: numbers(model, layers, int64(cfg.K)), sums: numbers(model, layers, 2)}
	for _, probe := range p.probes {
		in := p.shape(probe)[1]
		m.components = append(m.components, numbers(model, int64(cfg.K), in))
		m.means = append(m.means, numbers(model, in))
	}
	return m, nil
}

// Halves implements Measurement.
func (m *variances) Halves() (first, other bool) { return true, false }

// Observe implements Measurement.
func (m *variances) Observe(s *torchbind.Scope, b *Batch, _ bool) Work {
	torchbind.NoGrad(func() {
		m.model.Probe(s, func() { m.model.Logits(s, b.Batch, nil) })
		singular, sums := m.singular.Float64s(), m.sums.Float64s()
		for i, probe := range m.probes {
			if i > 0 && probe.X == m.probes[i-1].X {
				sums[2*i] = alike
				continue
			}
			_ = s.Do(func(s *torchbind.Scope) error {
				m.fit(s, i, torchbind.To(s, probe.X, torchbind.Float64, torchbind.CPU), singular[i*m.K:(i+1)*m.K], sums[2*i:2*i+2])
				return nil
			})
		}
		set(m.singular, singular)
		set(m.sums, sums)
	})
	return Work{Tokens: int64(b.Tokens), Forward: 1}
}

// fit takes rows x [n, in] into the components of layer i: those of what the old ones
// stand for, of the rows around their own mean, and of the way between the two means
// (Ross et al. 2008; scikit-learn's IncrementalPCA, which PEFT's is). A batch of fewer
// rows than components is passed over; to have no other is an error of Worth.
func (m *variances) fit(s *torchbind.Scope, i int, x *torchbind.Tensor, singular, sums []float64) {
	n, in := x.Size(0), x.Size(1)
	if n < int64(m.K) {
		return
	}
	ones := torchbind.Full(s, []int64{1, n}, 1, torchbind.Float64, torchbind.CPU)
	mean := torchbind.MulScalar(s, torchbind.MatMul(s, ones, x), 1/float64(n)) // [1, in]
	x = torchbind.Sub(s, x, mean)
	between := torchbind.Sub(s, torchbind.Reshape(s, m.means[i], 1, in), mean)
	seen := sums[0]
	total := seen + float64(n)
	norm := func(t *torchbind.Tensor) float64 { return torchbind.Sum(s, torchbind.Mul(s, t, t)).Item() }

	rows := x
	if seen > 0 {
		scales := torchbind.FromSlice(s, singular, []int64{int64(m.K), 1}, torchbind.CPU)
		rows = torchbind.Cat(s, []*torchbind.Tensor{
			torchbind.Mul(s, m.components[i], scales), x, torchbind.MulScalar(s, between, math.Sqrt(seen*float64(n)/total)),
		}, 0)
		sums[1] += seen * float64(n) / total * norm(between)
	}
	sums[0], sums[1] = total, sums[1]+norm(x)
	_, sigma, v := topSVD(s, rows, m.K)
	copy(singular, sigma)
	m.components[i].CopyInPlace(torchbind.Transpose(s, v, 0, 1))
	moved := torchbind.MulScalar(s, torchbind.Reshape(s, between, in), -float64(n)/total)
	m.means[i].CopyInPlace(torchbind.Add(s, m.means[i], moved))
}

// Worth implements Measurement.
func (m *variances) Worth([]int64) ([][]float64, error) {
	singular, sums := m.singular.Float64s(), m.sums.Float64s()
	worth := make([][]float64, len(m.probes))
	for i := range worth {
		switch rows, spread := sums[2*i], sums[2*i+1]; {
		case rows == alike:
			worth[i] = slices.Clone(worth[i-1])
		case rows == 0:
			return nil, fmt.Errorf("layer %q: no batch had so many rows for it as there are parts to choose from, %d: take larger batches, or fewer parts",
				m.probes[i].Module, m.K)
		default:
			for _, sigma := range singular[i*m.K : (i+1)*m.K] {
				worth[i] = append(worth[i], sigma*sigma/max(spread, math.SmallestNonzeroFloat64))
			}
		}
	}
	return worth, nil
}

// halfOfParts keeps half of the parts of all layers, whatever they cost: PEFT's rank
// r everywhere, of which ρ = 2 times as many compete.
func halfOfParts(e Evidence) []int {
	ones := slices.Repeat([]int64{1}, len(e.Costs))
	return WithinBudget(e.Worth, ones, int64(len(e.Costs)*e.K/2))
}

// Tensors implements Measurement.
func (m *variances) Tensors() []NamedTensor {
	all := append(m.named(m.components, "components"), m.named(m.means, "mean")...)
	return append(all, NamedTensor{"singular", m.singular}, NamedTensor{"sums", m.sums})
}
