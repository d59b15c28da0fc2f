package runs

import (
	"fmt"
	"path/filepath"
	"slices"
)

// The methods, as results.json, the flags and the tables name them.
const (
	MethodFull     = "full"      // full fine-tuning
	MethodAdapter  = "adapter"   // bottleneck adapters (Houlsby et al. 2019, Pfeiffer et al. 2021)
	MethodLoRA     = "lora"      // LoRA of one rank everywhere
	MethodAdaLoRA  = "adalora"   // Zhang et al. 2023
	MethodLoRAGrid = "lora-grid" // LoRA at the best of a grid of ranks
	MethodAutoLoRA = "autolora"  // ranks learned, then trained anew

	// The ablations of the paper's Table 4.
	MethodNone    = "autolora-none"    // without constraint on α
	MethodSigmoid = "autolora-sigmoid" // α = sigmoid
	MethodEta0    = "autolora-eta0"    // η = 0: no second order

	// The controls of a comparison.
	MethodUniform  = "lora-uniform"      // LoRA spread evenly, at the parameters that AutoLoRA found
	MethodShuffled = "autolora-shuffled" // AutoLoRA's ranks, permuted over the layers
)

// WithControls returns the methods that a comparison of methods makes with
// controls: those, and AutoLoRA's controls where it is among them.
func WithControls(methods []string) []string {
	if !slices.Contains(methods, MethodAutoLoRA) {
		return methods
	}
	return slices.Concat(methods, []string{MethodUniform, MethodShuffled})
}

// SeedFolder is the folder of one run in that of a comparison.
func SeedFolder(method string, seed uint64) string {
	return filepath.Join(method, fmt.Sprintf("seed-%d", seed))
}
