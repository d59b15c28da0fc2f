package nn

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"

	"autolora/nn/safetensors"
	"autolora/torchbind"
)

// Model is a Transformer with what it makes of its hidden states: scores of K
// labels for sequences or tokens, a number (K = 1), or, of a language model,
// scores of every token of the vocabulary.
type Model struct {
	*Config
	Body       *Transformer
	Output     Output
	Head       *Head   // nil in a language model
	Vocabulary *Linear // [V, C], of a language model
	Dir        string  // the model folder
	// Stored is the type in which the checkpoint has most of its numbers: one of
	// WriteTypes.
	Stored safetensors.DType
	// Notes are what a user should know of how the checkpoint was read.
	Notes []string

	params    []*Param // body and head, in the order of the architecture
	scope     *torchbind.Scope
	added     *torchbind.Scope // of what training adds
	dtype     torchbind.DType
	device    torchbind.Device
	full      bool
	round     bool
	smoothing float64
	weights   []float64 // of the classes in a loss; nil: they count alike
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
	Output  Output
	Labels  int64 // K; 1 in regression, of no meaning in a language model
	Head    HeadSource
	Seed    uint64   // of a fresh head
	Dropout *float64 // overrides every dropout of config.json
	Full    bool     // train every weight; else the base model is frozen
	Pack    bool     // keep frozen matrices in oneDNN's packed forms, but for those in 8 or 4 bits
	// Quantize is the form in which the frozen matrices of blocks are held; "" is AsStored.
	Quantize Quantization
	Round    bool // round the sizes of batches up, for a device that likes to see the same again
	DType    torchbind.DType
	Device   torchbind.Device
	// LabelSmoothing spreads this share of every label evenly over all labels in
	// Loss, where that is computed with dropout masks; where classes have weights, in
	// Targets.
	LabelSmoothing float64
	// ClassWeights are what the examples of each class count in Loss, [K]; where a text may
	// have several labels, of each label what the texts without and those with it count in
	// its loss, [2K]; nil: all 1.
	ClassWeights []float64
	// Units are those in which a regression is learnt.
	Units Units
}

// Load reads a Hugging Face folder: config.json and *.safetensors, in one file
// or in shards, of float32, float16 or bfloat16. Loading is strict: every
// parameter once, every key used or known to belong to another head.
// The model is to be closed.
func Load(dir string, cfg LoadConfig) (model *Model, err error) {
	arch, err := ReadConfig(dir)
	if err != nil {
		return nil, err
	}
	if cfg.Dropout != nil {
		p := *cfg.Dropout
		if !(p >= 0 && p < 1) {
			return nil, fmt.Errorf("dropout: got %v, want at least 0 and less than 1", p)
		}
		arch.HiddenDropout, arch.AttentionDropout, arch.EmbedDropout, arch.Pooler.Dropout, arch.ClassifierDropout = p, p, p, p, &p
	}
	if cfg.Output == CausalLM && !arch.Generates() {
		return nil, fmt.Errorf("load %s: model_type %q has no head that generates text: choose a model that fits the task", dir, arch.ModelType)
	}
	if cfg.Full && cfg.DType == torchbind.BFloat16 {
		return nil, errors.New("full fine-tuning in bfloat16 loses small updates: use float32")
	}
	if err := arch.checkQuantization(dir, cfg); err != nil {
		return nil, err
	}
	ckpt, err := safetensors.OpenCheckpoint(dir)
	if err != nil {
		return nil, err
	}
	defer ckpt.Close()

	m := &Model{
		Config: &arch, Output: cfg.Output, Dir: dir, smoothing: cfg.LabelSmoothing, weights: cfg.ClassWeights,
		scope: torchbind.NewScope(), added: torchbind.NewScope(), dtype: cfg.DType, device: cfg.Device, full: cfg.Full, round: cfg.Round,
	}
	defer func() {
		if model == nil { // an error, or a panic of an operation
			m.Close()
		}
	}()
	ld := newLoader(m.scope, ckpt, arch.family, cfg.DType, cfg.Device)
	ld.quantize.to = cmp.Or(cfg.Quantize, AsStored)
	m.Body = arch.family.build(ld, m.Config, arch.family.prefix)
	if cfg.Output == CausalLM {
		m.Vocabulary = ld.vocabulary(&arch, m.Body)
	} else {
		ld.used[headModule+".weight"] = true // of a decoder, in the place of whose head there is another
		fresh, err := useFreshHead(ld, arch, cfg)
		if err != nil {
			return nil, fmt.Errorf("load %s: %w", dir, err)
		}
		m.Head = newHead(ld, arch, cfg, fresh, rand.New(rand.NewPCG(cfg.Seed, headStream)))
	}
	if err := ld.finish(dir); err != nil {
		return nil, err
	}
	m.params, m.Notes, m.Stored = ld.params, ld.notes, ld.storedType()
	if m.Head != nil && !m.Head.fresh { // stored in the labels' own units
		m.Head.toLearnt()
	}
	if cfg.Full {
		for _, p := range m.params {
			p.Value.SetRequiresGrad(true)
		}
		return m, nil
	}
	for _, l := range ld.linears {
		l.freeze(m.scope, cfg.Pack)
	}
	for _, p := range m.HeadParams() {
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

// ErrHead is matched, with errors.Is, by the error of Load about a stored head of
// the other kind, or with another number of outputs.
var ErrHead = errors.New("a fresh one can be drawn")

// useFreshHead decides, and marks a stored head that is not used as known. A
// stored head of the other kind is an error, also where its shapes would fit.
func useFreshHead(ld *loader, arch Config, cfg LoadConfig) (bool, error) {
	stored := false
	for name := range ld.stored {
		if ld.family.ofHead(name) {
			stored = true
			if cfg.Head == HeadFresh {
				ld.used[name] = true
			}
		}
	}
	if stored && cfg.Head != HeadFresh {
		err := arch.CheckHead(cfg.Output)
		for _, name := range outputWeights {
			if !ld.family.ofHead(name) {
				continue
			}
			if t, ok := ld.find(name); ok && err == nil && len(t.Shape) == 2 && t.Shape[0] != cfg.Labels {
				err = fmt.Errorf("its head has %d outputs, want %d", t.Shape[0], cfg.Labels)
			}
		}
		if err != nil && cfg.Head == HeadIfStored {
			err = fmt.Errorf("%w: %w", err, ErrHead)
		}
		if err != nil {
			return false, err
		}
	}
	return cfg.Head == HeadFresh || (cfg.Head == HeadIfStored && !stored), nil
}

// Close frees the model's memory.
func (m *Model) Close() {
	m.added.Close()
	m.scope.Close()
}

// DType returns the type of the base model's weights.
func (m *Model) DType() torchbind.DType { return m.dtype }

// FactorType returns the type of LoRA factors, heads and optimiser states.
func (m *Model) FactorType() torchbind.DType { return factorType(m.dtype) }

// Device returns where the model is.
func (m *Model) Device() torchbind.Device { return m.device }

// Scope returns the scope of what training adds to the model, for what lives as
// long as its adapters: optimiser states and the like.
func (m *Model) Scope() *torchbind.Scope { return m.added }

// Logits returns the scores [Wanted, K] of the wanted rows of b, which are one for
// each sequence unless b says otherwise, in the head's type: float32, or float64
// where the model is. A language model has a score for every token: [Wanted, V].
func (m *Model) Logits(s *torchbind.Scope, b *Batch, rng *DropoutRNG) *torchbind.Tensor {
	return m.logits(s, b, nil, rng)
}

// logits returns Logits of rows that see what is in a cache too, if there is one.
func (m *Model) logits(s *torchbind.Scope, b *Batch, cache *KVCache, rng *DropoutRNG) *torchbind.Tensor {
	return s.Tidy(func(s *torchbind.Scope) *torchbind.Tensor {
		all := forward(s, append(m.Body.segments(s, b, cache), m.scores), rng)
		if int64(b.Wanted) == all.Size(0) {
			return all
		}
		return torchbind.Narrow(s, all, 0, 0, int64(b.Wanted))
	})
}

// scores maps hidden states [M, C] to [M, K], or [M, V].
func (m *Model) scores(s *torchbind.Scope, h *torchbind.Tensor, rng *DropoutRNG) *torchbind.Tensor {
	if m.Output != CausalLM {
		return m.Head.Forward(s, h, rng)
	}
	return s.Tidy(func(s *torchbind.Scope) *torchbind.Tensor { // of what is as large, derivatives need the tanh alone
		x := torchbind.To(s, m.Vocabulary.Forward(s, h, nil), factorType(m.dtype), m.device)
		if m.LogitCap == 0 {
			return x
		}
		return torchbind.MulScalar(s, torchbind.Tanh(s, torchbind.MulScalar(s, x, 1/m.LogitCap)), m.LogitCap)
	})
}

// Loss returns the mean loss over the wanted rows of the batch: cross entropy
// against labels such as Targets makes, where a text may have several labels binary
// cross entropy of each, or for regression mean squared error against labels [M] of
// floats, in the units that are learnt; LossScale gives that in the labels' own.
func (m *Model) Loss(s *torchbind.Scope, b *Batch, labels *torchbind.Tensor, rng *DropoutRNG) *torchbind.Tensor {
	return s.Tidy(func(s *torchbind.Scope) *torchbind.Tensor { return forward(s, m.Segments(s, b, labels), rng) })
}

// Segments returns the computation of Loss: the embeddings, every block, the head
// with the loss. What they share lives in s.
func (m *Model) Segments(s *torchbind.Scope, b *Batch, labels *torchbind.Tensor) []Segment {
	return append(m.Body.segments(s, b, nil), func(s *torchbind.Scope, h *torchbind.Tensor, rng *DropoutRNG) *torchbind.Tensor {
		if m.Output == Regression {
			scores := torchbind.Reshape(s, m.Head.learnt(s, h, rng), -1)
			return torchbind.MSELoss(s, scores, torchbind.To(s, m.Head.units.of(s, labels), scores.DType(), m.device))
		}
		logits := m.scores(s, h, rng)
		if m.Output == MultiLabel { // whose loss is cross entropy of the scores 0 and x
			x := torchbind.Reshape(s, logits, -1, 1) // [M·K, 1]
			logits = torchbind.Cat(s, []*torchbind.Tensor{torchbind.MulScalar(s, torchbind.Detach(s, x), 0), x}, 1)
		}
		if m.weights != nil {
			shares := torchbind.To(s, labels, logits.DType(), m.device)
			return torchbind.MulScalar(s, torchbind.Sum(s, torchbind.Mul(s, torchbind.LogSoftmax(s, logits, -1), shares)), -1)
		}
		smoothing := m.smoothing
		if rng == nil {
			smoothing = 0
		}
		return torchbind.CrossEntropy(s, logits, labels, smoothing)
	})
}

// LossRoot returns v [M, K], a draw for which the mean of v vᵀ is the second derivative of
// Loss by Logits x [M, K], a block for every row: then that of u uᵀ, for the derivative u of
// v·x by whatever x depends on, is the Gauss–Newton matrix of Loss (Martens 2020, "New
// insights and perspectives on the natural gradient method"). Rows are drawn with signs of
// their own. One row of a regression or of two classes has only one v, up to its sign. labels
// are those of Loss.
func (m *Model) LossRoot(s *torchbind.Scope, x, labels *torchbind.Tensor, rng *DropoutRNG) (v *torchbind.Tensor) {
	torchbind.NoGrad(func() {
		rows, k := x.Size(0), x.Size(1)
		ones := func(shape ...int64) *torchbind.Tensor { return torchbind.Full(s, shape, 1, x.DType(), x.Device()) }
		signs := func(columns int64) *torchbind.Tensor { // [M, columns]
			p, seed := rng.draw(0.5)
			return torchbind.AddScalar(s, torchbind.Dropout(s, ones(rows, columns), p, seed), -1) // of 0 and 2
		}
		// deviation is that of a label that is 1 with the probability of a logit: √(p (1 − p)).
		deviation := func(logit *torchbind.Tensor) *torchbind.Tensor {
			p, q := torchbind.Sigmoid(s, logit), torchbind.Sigmoid(s, torchbind.MulScalar(s, logit, -1))
			return torchbind.Sqrt(s, torchbind.Mul(s, p, q))
		}
		labelled := int64(1) // of a row, each with a loss of its own
		switch {
		case m.Output == Regression:
			v = torchbind.MulScalar(s, signs(k), math.Sqrt(2/m.LossScale()))
		case m.Output == MultiLabel:
			v, labelled = torchbind.Mul(s, signs(k), deviation(x)), k
		case k == 2:
			of := torchbind.Sub(s, torchbind.Narrow(s, x, 1, 0, 1), torchbind.Narrow(s, x, 1, 1, 1))
			first := torchbind.Mul(s, signs(1), deviation(of))
			v = torchbind.Cat(s, []*torchbind.Tensor{first, torchbind.MulScalar(s, first, -1)}, 1)
		default: // of √p ∘ r − p (√p·r), for independent signs r, the mean is diag p − p pᵀ
			p := torchbind.Softmax(s, x, -1)
			r := torchbind.Mul(s, torchbind.Sqrt(s, p), signs(k))
			v = torchbind.Sub(s, r, torchbind.Mul(s, p, torchbind.MatMul(s, r, ones(k, 1))))
		}
		if m.weights == nil {
			v = torchbind.MulScalar(s, v, math.Sqrt(1/float64(rows*labelled)))
			return
		}
		// Each counts as much as Targets' shares of it together.
		shares := torchbind.MatMul(s, torchbind.To(s, labels, x.DType(), x.Device()), ones(labels.Size(1), 1))
		counts := torchbind.Narrow(s, torchbind.Reshape(s, shares, -1, labelled), 0, 0, rows)
		v = torchbind.Mul(s, v, torchbind.Sqrt(s, counts))
	})
	return v
}

// LossScale returns by what Loss is to be multiplied to be in the labels' own units.
func (m *Model) LossScale() float64 {
	if m.Head == nil || m.Head.units.Scale == 0 {
		return 1
	}
	return m.Head.units.Scale * m.Head.units.Scale
}

// Targets returns the labels for Loss of the rows that b wants: their classes, as
// Batch.Labels, of texts that may have several labels 1 or 0 for each [M·K]; or where
// classes have weights what each log probability counts in the loss, [M, K] float64, or
// [M·K, 2]. That is the mean of weighted losses over the examples, and not over their
// weights, so that parts of a batch add up to the whole.
func (m *Model) Targets(s *torchbind.Scope, b *Batch, classes []int64) *torchbind.Tensor {
	labels := b.Labels(s, classes)
	if m.weights == nil {
		return labels
	}
	rows, k := labels.Size(0), len(m.weights)
	if m.Output == MultiLabel {
		k = 2
	}
	shares := make([]float64, int(rows)*k)
	for i, class := range classes {
		own := m.weights[i*k%len(m.weights):] // of the label that row i is about, where a text may have several
		weight := own[class] / float64(len(classes))
		row := shares[i*k : (i+1)*k]
		for j := range row {
			row[j] = weight * m.smoothing / float64(k)
		}
		row[class] += weight * (1 - m.smoothing)
	}
	return torchbind.FromSlice(s, shares, []int64{rows, int64(k)}, b.Want.Device())
}

// Params returns every parameter of the base model and the head, in the order
// of the architecture.
func (m *Model) Params() []*Param { return m.params }

// LoRAs returns the model's LoRA layers, in the order of the architecture:
// query and value of layer 0, of layer 1, and so on.
func (m *Model) LoRAs() []*LoRA {
	return adaptersOf[*LoRA](m)
}

// JoinedLoRAs returns LoRAs, those together that share their A: what PEFT has as one
// layer on several modules (GPT-2's c_attn).
func (m *Model) JoinedLoRAs() [][]*LoRA {
	var all [][]*LoRA
	for _, l := range m.LoRAs() {
		if last := len(all) - 1; last >= 0 && all[last][0].A == l.A {
			all[last] = append(all[last], l)
		} else {
			all = append(all, []*LoRA{l})
		}
	}
	return all
}

// adaptersOf returns the adapters of one kind.
func adaptersOf[A AdapterLayer](m *Model) []A {
	var all []A
	for _, a := range m.adapters() {
		if a, ok := a.(A); ok {
			all = append(all, a)
		}
	}
	return all
}

// adapters returns all adapters: those of linear layers, then those of residual
// connections, in the order of computation.
func (m *Model) adapters() []AdapterLayer {
	var all []AdapterLayer
	for _, l := range m.linears() {
		for _, a := range l.Adapters {
			if a != nil {
				all = append(all, a)
			}
		}
	}
	for _, r := range m.Body.residuals() {
		if r.Adapter != nil {
			all = append(all, r.Adapter)
		}
	}
	return all
}

// linears returns the linear layers that may have adapters, in the order of
// computation: those of the blocks, and BERT's pooler.
func (m *Model) linears() []*Linear {
	all := m.Body.linears()
	if m.Head != nil && m.Head.pooler {
		all = append(all, m.Head.Dense)
	}
	return all
}

// AdapterParams returns the parameters of every adapter: A, B and, in the SVD form,
// E of a LoRA layer, or the weights of a bottleneck adapter. Each is there once, also
// an A that several layers share.
func (m *Model) AdapterParams() []*Param {
	var all []*Param
	seen := make(map[*Param]bool)
	for _, a := range m.adapters() {
		for _, p := range a.Params() {
			if !seen[p] {
				all = append(all, p)
			}
			seen[p] = true
		}
	}
	return all
}

// TrainableParams returns what training changes: everything, or the adapter and
// the head.
func (m *Model) TrainableParams() []*Param {
	if m.full {
		return m.params
	}
	return append(m.AdapterParams(), m.HeadParams()...)
}

// HeadParams returns what a task trains of the head: nothing in a language
// model.
func (m *Model) HeadParams() []*Param {
	if m.Head == nil {
		return nil
	}
	return m.Head.Params()
}

// Labels returns the number of labels: K, or V in a language model.
func (m *Model) Labels() int64 {
	if m.Head == nil {
		return m.VocabSize
	}
	return m.Head.Labels()
}

// ReorderHead makes the head's output order[i] the i-th, for a task whose
// classes stand in another order than the checkpoint's id2label.
func (m *Model) ReorderHead(order []int) error {
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
