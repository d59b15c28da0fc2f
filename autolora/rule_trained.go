package autolora

import (
	"autolora/nn"
	"autolora/torchbind"
)

// singularValues is the measurement of the rule trained (PARA, arXiv:2604.27796): LoRA
// of rank k on all targets is trained, and a part is worth the square of its singular
// value of ΔW, for its parameters (see Trained). It costs the training.
type singularValues struct{ model *nn.Model }

func newSingularValues(model *nn.Model, cfg MeasureConfig) (Measurement, error) {
	cfg.LoRA.Rank, cfg.LoRA.Ranks = int64(cfg.K), nil
	return singularValues{model}, model.AddLoRA(cfg.LoRA)
}

// Halves implements Measurement: no batch is observed.
func (m singularValues) Halves() (first, other bool) { return false, false }

// Observe implements Measurement.
func (m singularValues) Observe(*torchbind.Scope, *Batch, bool) Work { return Work{} }

// Worth implements Measurement.
func (m singularValues) Worth([]int64) ([][]float64, error) { return Trained(m.model) }

// Layers implements Measurement.
func (m singularValues) Layers() []string { return layerNames(m.model.LoRAs()) }

// Tensors implements Measurement.
func (m singularValues) Tensors() []NamedTensor { return nil }
