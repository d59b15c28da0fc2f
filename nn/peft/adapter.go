package peft

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"autolora/nn/safetensors"
)

// Adapter is a LoRA adapter with every layer's rank and alpha resolved.
type Adapter struct {
	// Config has the global settings. Write derives TargetModules, RankPattern
	// and AlphaPattern from Layers, whatever is in them.
	Config Config
	// Layers are the adapted linear layers. Read leaves them sorted by name, with
	// numbers in numeric order.
	Layers []Layer
	// Saved are the trained weights of whole modules, such as the task head, by
	// their full parameter names in the model ("classifier.out_proj.weight").
	Saved []safetensors.Tensor
	// Metadata are free-form strings in the weight file. "format" is PEFT's.
	Metadata map[string]string
}

// Layer is one adapted linear layer with a base weight of [out, in].
type Layer struct {
	Name  string             // full module path in the model, "roberta.encoder.layer.0.attention.self.query"
	Rank  int                // r; 0 is a layer left exactly as in the base
	Alpha float64            // see Config.Scale
	A     safetensors.Tensor // [r, in]; not used at rank 0
	B     safetensors.Tensor // [out, r]; not used at rank 0
	// More are the tensors of a form beyond LoRA, by the names that forms has.
	More []safetensors.Tensor
}

// tensors returns what l has in the files, but for rank 0.
func (l *Layer) tensors() []safetensors.Tensor {
	return append([]safetensors.Tensor{l.A, l.B}, l.More...)
}

// forms has the settings of adapter_config.json that make more of a layer than LoRA,
// with the names, after the layer's, of the tensors that it then has beside A and B.
var forms = map[string][]string{}

// splitMoreKey takes a key of such a tensor apart.
func (c *Config) splitMoreKey(key string) (module, name string, ok bool) {
	for _, name := range forms[c.Form] {
		if module, ok := strings.CutSuffix(strings.TrimPrefix(key, prefix), "."+name); ok {
			return module, name, true
		}
	}
	return "", "", false
}

// Scale returns the factor of B·A: alpha/rank, or alpha/√rank with UseRSLora,
// and 0 for rank 0.
func (c *Config) Scale(rank int, alpha float64) float64 {
	switch {
	case rank == 0:
		return 0
	case c.UseRSLora:
		return alpha / math.Sqrt(float64(rank))
	}
	return alpha / float64(rank)
}

// Fold returns the same adapter with every layer's scale multiplied into B, and
// rank and alpha equal: for programs that take one scale, lora_alpha / r, for all
// layers (vLLM). R becomes the largest rank. The new B are F32.
func (a *Adapter) Fold() (*Adapter, error) {
	folded := *a
	folded.Config.UseRSLora = false
	folded.Layers = slices.Clone(a.Layers)
	largest := 0
	for i := range folded.Layers {
		l := &folded.Layers[i]
		if largest = max(largest, l.Rank); l.Rank == 0 {
			l.Alpha = 0
			continue
		}
		b, err := safetensors.Float32s(l.B)
		if err != nil {
			return nil, fmt.Errorf("fold layer %q: %w", l.Name, err)
		}
		scale := float32(a.Config.Scale(l.Rank, l.Alpha))
		for j := range b {
			b[j] *= scale
		}
		l.B = safetensors.FromFloat32s(l.B.Name, l.B.Shape, b)
		l.Alpha = float64(l.Rank)
	}
	if largest > 0 {
		folded.Config.R = largest
	}
	folded.Config.LoraAlpha = float64(folded.Config.R)
	return &folded, nil
}

// Parameters returns the number of weights in A and B of all layers, and in the
// saved modules.
func (a *Adapter) Parameters() (adapter, head int64) {
	for _, l := range a.Layers {
		if l.Rank > 0 {
			adapter += safetensors.NumElements(l.tensors())
		}
	}
	return adapter, safetensors.NumElements(a.Saved)
}

// check says why l is not a layer with the rank that it claims.
func (l *Layer) check() error {
	switch r := int64(l.Rank); {
	case r < 0:
		return fmt.Errorf("layer %q: rank %d", l.Name, r)
	case r == 0:
		return nil
	case len(l.A.Shape) != 2 || l.A.Shape[0] != r:
		return fmt.Errorf("layer %q: lora_A has shape %v, want [%d in] for rank %d", l.Name, l.A.Shape, r, r)
	case len(l.B.Shape) != 2 || l.B.Shape[1] != r:
		return fmt.Errorf("layer %q: lora_B has shape %v, want [out %d] for rank %d", l.Name, l.B.Shape, r, r)
	case math.IsNaN(l.Alpha) || math.IsInf(l.Alpha, 0):
		return fmt.Errorf("layer %q: alpha is %v, want a number", l.Name, l.Alpha)
	}
	for _, t := range l.tensors() {
		switch t.DType {
		case safetensors.F64, safetensors.F32, safetensors.F16, safetensors.BF16:
		default:
			return fmt.Errorf("layer %q: factor has dtype %s, want F32, F16, BF16 or F64", l.Name, t.DType)
		}
	}
	return nil
}

// compareNames orders module names part by part, numbers by their value, so
// that layer.2 comes before layer.10.
func compareNames(a, b string) int {
	return slices.CompareFunc(strings.Split(a, "."), strings.Split(b, "."), func(x, y string) int {
		m, errX := strconv.Atoi(x)
		n, errY := strconv.Atoi(y)
		if errX == nil && errY == nil {
			return cmp.Compare(m, n)
		}
		return cmp.Compare(x, y)
	})
}
