package nn

import (
	"fmt"
	"math/rand/v2"
	"sort"
	"strings"

	"autolora/torchbind"
)

// LoRAConfig says which modules get LoRA, and how large.
type LoRAConfig struct {
	// Targets names modules as PEFT's target_modules does: by full path or by
	// their last components ("query", "output.dense"); "all-linear" is every
	// linear layer of the encoder. Without Targets, the keys of Ranks are it.
	Targets []string
	Rank    int64            // of every target
	Ranks   map[string]int64 // by full path, in place of Rank; 0 is no LoRA
	Alpha   float64          // lora_alpha
	Dropout float64
	Seed    uint64 // of A
}

// Modules returns the full paths of the encoder's linear modules that targets
// name, in the order of the architecture. A target that names none is an error.
func (m *Classifier) Modules(targets []string) ([]string, error) {
	hit := make(map[string]bool)
	var paths, last []string
	for _, l := range m.linears() {
		for _, path := range l.Modules {
			chosen := false
			for _, t := range targets {
				if t == "all-linear" || path == t || strings.HasSuffix(path, "."+t) {
					hit[t], chosen = true, true
				}
			}
			if chosen {
				paths = append(paths, path)
			}
			if name := path[strings.LastIndex(path, ".layer.")+1:]; strings.HasPrefix(name, "layer.0.") {
				last = append(last, strings.TrimPrefix(name, "layer.0."))
			}
		}
	}
	for _, t := range targets {
		if !hit[t] {
			return nil, fmt.Errorf("target %q names no linear layer of the model; its layers have %s", t, strings.Join(last, ", "))
		}
	}
	return paths, nil
}

// AddLoRA gives the model fresh LoRA layers: A Kaiming-uniform(√5), B zero.
func (m *Classifier) AddLoRA(cfg LoRAConfig) error {
	targets := cfg.Targets
	if len(targets) == 0 {
		for path := range cfg.Ranks {
			targets = append(targets, path)
		}
		sort.Strings(targets)
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
		if most := min(l.In(), l.Out()); rank < 0 || rank > most {
			return fmt.Errorf("rank of %q: got %d, want 0 to %d", path, rank, most)
		}
		if rank == 0 {
			continue
		}
		a := uniform(rng, rank*l.In(), kaimingBound(l.In()))
		l.LoRA[part] = m.newLoRA(path, a, make([]float32, l.Out()*rank), rank, l, cfg.Alpha, cfg.Dropout)
	}
	return nil
}

// newLoRA returns a trainable LoRA layer with factors a [rank, in] and
// b [out, rank].
func (m *Classifier) newLoRA(path string, a, b []float32, rank int64, l *Linear, alpha, dropout float64) *LoRA {
	factor := func(name string, data []float32, shape ...int64) *Param {
		value := m.scope.Tidy(func(s *torchbind.Scope) *torchbind.Tensor {
			return torchbind.To(s, torchbind.FromSlice(s, data, shape, m.device), factorType(m.dtype), m.device)
		})
		return &Param{Name: path + "." + name, Shape: shape, Value: value.SetRequiresGrad(true)}
	}
	return &LoRA{
		Module: path, Rank: rank, Alpha: alpha, Dropout: dropout,
		A: factor("lora_A.weight", a, rank, l.In()),
		B: factor("lora_B.weight", b, l.Out(), rank),
	}
}

// linear returns the layer and the part of it that is the module at path.
func (m *Classifier) linear(path string) (*Linear, int) {
	for _, l := range m.linears() {
		if i := l.part(path); i >= 0 {
			return l, i
		}
	}
	return nil, -1
}

// Select makes alpha [layers, k] the selection variables of the model's LoRA
// layers, row by row; nil takes them away. The rows live in s.
func (m *Classifier) Select(s *torchbind.Scope, alpha *torchbind.Tensor) {
	for i, l := range m.LoRAs() {
		l.Select = nil
		if alpha != nil {
			l.Select = torchbind.Reshape(s, torchbind.Narrow(s, alpha, 0, int64(i), 1), l.Rank)
		}
	}
}
