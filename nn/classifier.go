package nn

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"

	"autolora/nn/safetensors"
	"autolora/torchbind"
)

// Classifier is an encoder with a head for the classification of sequences or
// tokens (K labels), or for regression (K = 1).
type Classifier struct {
	*Encoder
	Head       *Head
	Regression bool
	Tokens     bool   // a label for every wanted row, not for every sequence
	Dir        string // the model folder

	params []*Param // base model and head, in the order of the architecture
	scope  *torchbind.Scope
	dtype  torchbind.DType
	device torchbind.Device
	full   bool
}

// HeadSource says where the head's weights come from.
type HeadSource int

const (
	// HeadIfStored takes the checkpoint's head, and a fresh one where it has none.
	HeadIfStored HeadSource = iota
	// HeadStored wants a head in the checkpoint.
	HeadStored
	// HeadFresh draws a new head, whatever the checkpoint has.
	HeadFresh
)

// LoadConfig says how to load a model.
type LoadConfig struct {
	Labels     int64 // K; 1 with Regression
	Regression bool
	Tokens     bool // a label for every wanted row, not for every sequence
	Head       HeadSource
	Seed       uint64   // of a fresh head
	Dropout    *float64 // overrides every dropout of config.json
	Full       bool     // train every weight; else the base model is frozen
	Pack       bool     // keep frozen matrices in oneDNN's packed forms
	DType      torchbind.DType
	Device     torchbind.Device
}

// Load reads a Hugging Face folder: config.json and *.safetensors, in one file
// or in shards, of float32, float16 or bfloat16. Loading is strict: every
// parameter once, every key used or known to belong to another head.
// The model is to be closed.
func Load(dir string, cfg LoadConfig) (model *Classifier, err error) {
	arch, err := ReadConfig(dir)
	if err != nil {
		return nil, err
	}
	if cfg.Dropout != nil {
		p := *cfg.Dropout
		if !(p >= 0 && p < 1) {
			return nil, fmt.Errorf("dropout: got %v, want at least 0 and less than 1", p)
		}
		arch.HiddenDropout, arch.AttentionDropout, arch.ClassifierDropout = p, p, &p
	}
	if cfg.Regression && cfg.Tokens {
		return nil, errors.New("regression of tokens: want labels for tokens, or regression of sequences")
	}
	if cfg.Full && cfg.DType == torchbind.BFloat16 {
		return nil, errors.New("full fine-tuning in bfloat16 loses small updates: use float32")
	}
	ckpt, err := safetensors.OpenCheckpoint(dir)
	if err != nil {
		return nil, err
	}
	defer ckpt.Close()

	m := &Classifier{Regression: cfg.Regression, Tokens: cfg.Tokens, Dir: dir, scope: torchbind.NewScope(), dtype: cfg.DType, device: cfg.Device, full: cfg.Full}
	defer func() {
		if model == nil { // an error, or a panic of an operation
			m.Close()
		}
	}()
	prefix := families[arch.ModelType].prefix
	ld := &loader{scope: m.scope, ckpt: ckpt, prefix: prefix, dtype: cfg.DType, device: cfg.Device, used: map[string]bool{}}
	m.Encoder = newEncoder(ld, arch, prefix)
	rng := rand.New(rand.NewPCG(cfg.Seed, headStream))
	fresh, err := useFreshHead(ld, arch, cfg)
	if err != nil {
		return nil, fmt.Errorf("load %s: %w", dir, err)
	}
	m.Head = newHead(ld, arch, cfg, fresh, rng)
	if err := ld.finish(dir); err != nil {
		return nil, err
	}
	m.params = ld.params
	if cfg.Full {
		for _, p := range m.params {
			p.Value.SetRequiresGrad(true)
		}
		return m, nil
	}
	for _, l := range ld.linears {
		l.freeze(m.scope, cfg.Pack)
	}
	for _, p := range m.Head.Params() {
		p.Value.SetRequiresGrad(true)
	}
	return m, nil
}

// Streams keep the random numbers of one seed apart.
const (
	headStream       = 1
	loraStream       = 2
	bottleneckStream = 3
)

// useFreshHead decides, and marks a stored head that is not used as known. A
// stored head of the other kind is an error, also where its shapes would fit.
func useFreshHead(ld *loader, arch Config, cfg LoadConfig) (bool, error) {
	stored := false
	for _, name := range ld.ckpt.Names() {
		if hasAnyPrefix(name, []string{"classifier."}) {
			stored = true
			if cfg.Head == HeadFresh {
				ld.used[name] = true
			}
		}
	}
	if stored && cfg.Head != HeadFresh && slices.Contains(arch.Architectures, arch.Architecture(!cfg.Tokens)) {
		return false, fmt.Errorf("the head is that of %s, want that of %s: use --new-head", arch.Architecture(!cfg.Tokens), arch.Architecture(cfg.Tokens))
	}
	return cfg.Head == HeadFresh || (cfg.Head == HeadIfStored && !stored), nil
}

// Close frees the model's memory.
func (m *Classifier) Close() { m.scope.Close() }

// DType returns the type of the base model's weights.
func (m *Classifier) DType() torchbind.DType { return m.dtype }

// Device returns where the model is.
func (m *Classifier) Device() torchbind.Device { return m.device }

// Scope returns the scope of the model's life, for what lives as long:
// optimiser states and the like.
func (m *Classifier) Scope() *torchbind.Scope { return m.scope }

// Logits returns the scores [M, K] of the wanted rows of b, which are one for
// each sequence unless b was made for tokens, in the head's type.
func (m *Classifier) Logits(s *torchbind.Scope, b *Batch, masks *Masks) *torchbind.Tensor {
	return s.Tidy(func(s *torchbind.Scope) *torchbind.Tensor {
		h := m.Encoder.Forward(s, b, b.Want, b.WantAt, masks)
		return m.Head.Forward(s, h, masks)
	})
}

// Loss returns the mean loss over the wanted rows of the batch: cross entropy
// against labels [M] int64, or for regression mean squared error against labels
// [M] of floats.
func (m *Classifier) Loss(s *torchbind.Scope, b *Batch, labels *torchbind.Tensor, masks *Masks) *torchbind.Tensor {
	return s.Tidy(func(s *torchbind.Scope) *torchbind.Tensor {
		logits := m.Logits(s, b, masks)
		if !m.Regression {
			return torchbind.CrossEntropy(s, logits, labels, 0)
		}
		return torchbind.MSELoss(s, torchbind.Reshape(s, logits, -1), torchbind.To(s, labels, logits.DType(), m.device))
	})
}

// Params returns every parameter of the base model and the head, in the order
// of the architecture.
func (m *Classifier) Params() []*Param { return m.params }

// LoRAs returns the model's LoRA layers, in the order of the architecture:
// query and value of layer 0, of layer 1, and so on.
func (m *Classifier) LoRAs() []*LoRA {
	var all []*LoRA
	for _, l := range m.linears() {
		for _, a := range l.LoRA {
			if a != nil {
				all = append(all, a)
			}
		}
	}
	return all
}

// AdapterParams returns A, B and, in the SVD form, E of every LoRA layer, or the
// weights of every bottleneck adapter.
func (m *Classifier) AdapterParams() []*Param {
	var all []*Param
	for _, l := range m.LoRAs() {
		all = append(all, l.Params()...)
	}
	for _, b := range m.Bottlenecks() {
		all = append(all, b.Params()...)
	}
	return all
}

// TrainableParams returns what training changes: everything, or the adapter and
// the head.
func (m *Classifier) TrainableParams() []*Param {
	if m.full {
		return m.params
	}
	return append(m.AdapterParams(), m.Head.Params()...)
}

// ReorderHead makes the head's output order[i] the i-th, for a task whose
// classes stand in another order than the checkpoint's id2label.
func (m *Classifier) ReorderHead(order []int) error {
	if int64(len(order)) != m.Head.Labels() {
		return fmt.Errorf("%d classes for a head of %d labels", len(order), m.Head.Labels())
	}
	index := make([]int64, len(order))
	for i, o := range order {
		index[i] = int64(o)
	}
	m.Head.reorder(index)
	return nil
}
