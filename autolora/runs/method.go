package runs

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
