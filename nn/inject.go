package nn

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"

	"autolora/torchbind"
)

// LoRAConfig says which modules get LoRA, and how large.
type LoRAConfig struct {
	// Targets names modules as Model.Modules takes them: by full path or by their
	// last components ("query", "output.dense"), as PEFT's target_modules, or a
	// kind of them ("all-linear"). Without Targets, the keys of Ranks are it.
	Targets []string
	Rank    int64            // of every target
	Ranks   map[string]int64 // by full path, in place of Rank; 0 is no LoRA
	Alpha   float64          // lora_alpha
	Dropout float64
	SVD     bool   // AdaLoRA's form, with E
	Seed    uint64 // of A, and of B in the SVD form
}

// svdStd is the standard deviation of A and B in a fresh layer of the SVD form.
const svdStd = 0.02

// AddLoRA gives the model fresh LoRA layers, which change nothing yet: A
// Kaiming-uniform(√5) and B zero, or in the SVD form A and B normal and E zero.
func (m *Model) AddLoRA(cfg LoRAConfig) error {
	targets := cfg.Targets
	if len(targets) == 0 {
		targets = slices.Sorted(maps.Keys(cfg.Ranks))
	}
	paths, err := m.Modules(targets)
	if err != nil {
		return err
	}
	rng := rand.New(rand.NewPCG(cfg.Seed, loraStream))
	for _, path := range paths {
		rank, ok := cfg.Rank, true
		if cfg.Ranks != nil {
			if rank, ok = cfg.Ranks[path]; !ok {
				return fmt.Errorf("no rank is given for target %q", path)
			}
		}
		l, part := m.linear(path)
		out := l.Modules[part].Rows
		if most := min(l.In(), out); rank < 0 || rank > most {
			return fmt.Errorf("rank of %q: got %d, want 0 to %d", path, rank, most)
		}
		if rank == 0 {
			continue
		}
		a, b := uniform(rng, rank*l.In(), kaimingBound(l.In())), make([]float32, out*rank)
		if cfg.SVD {
			a, b = normal(rng, rank*l.In(), svdStd), normal(rng, out*rank, svdStd)
		}
		lora := m.setLoRA(l, part, a, b, cfg.Alpha, cfg.Dropout)
		if cfg.SVD {
			lora.E = m.trained(path+".lora_E", make([]float32, rank), rank)
		}
	}
	return nil
}

// setLoRA gives the i-th module of l a LoRA layer with factors a [rank, in] and
// b [out, rank].
func (m *Model) setLoRA(l *Linear, i int, a, b []float32, alpha, dropout float64) *LoRA {
	module, rank := l.Modules[i], int64(len(a))/l.In()
	lora := &LoRA{
		Module: module.Path, Rank: rank, Alpha: alpha, Dropout: dropout,
		A: m.trained(module.Path+".lora_A.weight", a, rank, l.In()),
		B: m.trained(module.Path+".lora_B.weight", b, module.Rows, rank),
	}
	l.Adapters[i] = lora
	return lora
}

// trained returns a parameter of an adapter.
func (m *Model) trained(name string, data []float32, shape ...int64) *Param {
	p := newParam(m.added, name, data, shape, factorType(m.dtype), m.device)
	p.Value.SetRequiresGrad(true)
	return p
}

// FoldSVD makes the layers of the SVD form plain LoRA layers of those triplets
// (A[j,:], B[:,j], E_j) that stay: keep has a row per layer of LoRAs and a
// column per triplet. E and the ratio of the two scales go into B, so that Alpha
// stays and ΔW is the same if E is zero wherever keep is false. A layer of which
// nothing stays is gone: it is exactly the base.
func (m *Model) FoldSVD(keep [][]bool) {
	m.keep(keep, func(s *torchbind.Scope, l, plain *LoRA) *torchbind.Tensor {
		return torchbind.MulScalar(s, torchbind.Mul(s, l.B.Value, l.E.Value), l.Scale()/plain.Scale())
	})
}

// Keep leaves of plain LoRA layers only some of their rank-1 parts: keep has a row
// for those of JoinedLoRAs and a column per part. The scale of a layer stays: its Alpha
// becomes that of the smaller rank. A layer of which nothing stays is gone.
func (m *Model) Keep(keep [][]bool) {
	var rows [][]bool
	for i, joined := range m.JoinedLoRAs() {
		rows = append(rows, slices.Repeat(keep[i:i+1], len(joined))...)
	}
	m.keep(rows, func(_ *torchbind.Scope, l, plain *LoRA) *torchbind.Tensor {
		plain.Alpha = l.Scale() * float64(plain.Rank)
		return l.B.Value
	})
}

// keep puts plain layers of the kept parts in the place of the model's LoRA layers.
// factor returns B before parts are left out, and may set the plain layer's Alpha.
func (m *Model) keep(keep [][]bool, factor func(s *torchbind.Scope, l, plain *LoRA) *torchbind.Tensor) {
	torchbind.NoGrad(func() {
		shared := make(map[*Param]*Param) // what is left of every A
		for i, l := range m.LoRAs() {
			linear, part := m.linear(l.Module)
			linear.Adapters[part] = nil
			if slices.Contains(keep[i], true) {
				plain := m.kept(l, keep[i], factor)
				if a := shared[l.A]; a != nil {
					plain.A = a
				}
				shared[l.A], linear.Adapters[part] = plain.A, plain
			}
		}
	})
}

// kept returns the plain layer of the kept parts of l.
func (m *Model) kept(l *LoRA, keep []bool, factor func(s *torchbind.Scope, l, plain *LoRA) *torchbind.Tensor) *LoRA {
	var kept []int64
	for j, stays := range keep {
		if stays {
			kept = append(kept, int64(j))
		}
	}
	plain := &LoRA{Module: l.Module, Rank: int64(len(kept)), Alpha: l.Alpha, Dropout: l.Dropout}
	part := func(p *Param, value *torchbind.Tensor, dim int) *Param {
		value = m.added.Tidy(func(s *torchbind.Scope) *torchbind.Tensor {
			return torchbind.IndexSelect(s, value, dim, indices(s, kept, m.device))
		})
		return &Param{Name: p.Name, Shape: value.Shape(), Value: value.SetRequiresGrad(true)}
	}
	s := torchbind.NewScope()
	defer s.Close()
	plain.A, plain.B = part(l.A, l.A.Value, 0), part(l.B, factor(s, l, plain), 1)
	return plain
}

// linear returns the layer and the part of it that is the module at path.
func (m *Model) linear(path string) (*Linear, int) {
	for _, l := range m.linears() {
		if i := l.index(path); i >= 0 {
			return l, i
		}
	}
	return nil, -1
}

// RankSize returns the parameters that one rank of LoRA costs on the module at
// path: in + out.
func (m *Model) RankSize(path string) (int64, error) {
	l, part := m.linear(path)
	if l == nil {
		return 0, fmt.Errorf("layer %q is not in the model %s", path, m.Dir)
	}
	return l.In() + l.Modules[part].Rows, nil
}

// Select makes alpha the selection variables of the model's LoRA layers: a number
// for every rank-1 part, layer by layer, as [layers, k] has them where all ranks are
// k; nil takes them away. The rows live in s.
func (m *Model) Select(s *torchbind.Scope, alpha *torchbind.Tensor) {
	if alpha != nil {
		alpha = torchbind.Reshape(s, alpha, -1)
	}
	first := int64(0)
	for _, l := range m.LoRAs() {
		l.Select = nil
		if alpha != nil {
			l.Select = torchbind.Narrow(s, alpha, 0, first, l.Rank)
			first += l.Rank
		}
	}
}
