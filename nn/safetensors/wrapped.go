package safetensors

import (
	"slices"
	"strings"
)

// wrappers are the modules that torch.compile, FSDP and activation checkpointing
// put around others.
var wrappers = []string{"_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"}

// Unwrapped returns a parameter's name without those of the modules that a training
// wrapped the model in, and that stay in the names of its state_dict; the outermost
// may be DistributedDataParallel's "module".
func Unwrapped(name string) string {
	parts := slices.DeleteFunc(strings.Split(name, "."), func(part string) bool { return slices.Contains(wrappers, part) })
	if len(parts) > 1 && parts[0] == "module" {
		parts = parts[1:]
	}
	return strings.Join(parts, ".")
}

// WhyEmpty says where weights without numbers come from, and what to do.
const WhyEmpty = "DeepSpeed's ZeRO-3 leaves empty tensors when it saves without gathering the weights: " +
	"save with stage3_gather_16bit_weights_on_model_save, or convert its checkpoint with zero_to_fp32.py"
