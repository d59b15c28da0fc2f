package peft

import (
	"regexp"
	"strings"
)

// prefix stands before every name in a weight file: PEFT wraps the model twice.
const prefix = "base_model.model."

// The two ways to spell keys: PEFT leaves the adapter's name out of its files,
// a model's own state_dict has it.
var (
	factorKey = regexp.MustCompile(`^(.+)\.lora_([AB])(?:\.[^.]+)?\.weight$`)
	savedKey  = regexp.MustCompile(`^(.+\.)?modules_to_save\.[^.]+\.(.+)$`)
)

// splitFactorKey takes a key of a LoRA factor apart: the module it belongs to,
// and "A" or "B". The prefix may be absent, as in files of tools that adapt a
// model without wrapping it.
func splitFactorKey(key string) (module, factor string, ok bool) {
	m := factorKey.FindStringSubmatch(strings.TrimPrefix(key, prefix))
	if m == nil {
		return "", "", false
	}
	return m[1], m[2], true
}

// savedName returns the parameter's name in the model for a key that is not of
// a LoRA factor, if it lies in one of the modules to save.
func savedName(key string, modulesToSave []string) (string, bool) {
	name := strings.TrimPrefix(key, prefix)
	if strings.Contains(name, ".lora_") || strings.Contains(name, "original_module.") {
		return "", false
	}
	if m := savedKey.FindStringSubmatch(name); m != nil {
		name = m[1] + m[2]
	}
	return name, isSaved(name, modulesToSave)
}

// isSaved reports whether the parameter name lies in a module that an entry of
// modulesToSave chooses: PEFT takes every module whose name ends in the entry
// (_set_trainable in peft/utils/other.py).
func isSaved(name string, modulesToSave []string) bool {
	for i, c := range name {
		if c != '.' {
			continue
		}
		for _, m := range modulesToSave {
			if strings.HasSuffix(name[:i], m) {
				return true
			}
		}
	}
	return false
}
