package peft

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"autolora/plainjson"
)

// ParseConfig reads the content of an adapter_config.json. Absent keys have
// PEFT's defaults. Keys of a newer PEFT are noted in Unknown; a known setting
// that would change the numbers in a way not known here is an error, as is a
// value of the wrong kind.
func ParseConfig(data []byte) (*Config, error) {
	var object map[string]json.RawMessage
	if err := plainjson.Unmarshal(data, &object); err != nil {
		return nil, fmt.Errorf("not a JSON object: %w", err)
	}
	c := &Config{R: 8, LoraAlpha: 8} // PEFT's defaults
	if err := checkKind(object); err != nil {
		return nil, err
	}
	fields := c.fields()
	for _, key := range slices.Sorted(maps.Keys(object)) {
		field, known := fields[key]
		if _, ok := forms[key]; ok && !plainjson.Falsy(object[key]) {
			c.Form = key
		}
		switch _, refused := refusedWhenSet[key]; {
		case !known && !refused && !slices.Contains(withoutEffect, key):
			c.Unknown = append(c.Unknown, key)
		case !known:
		case string(object[key]) != "null":
			value := []byte(object[key])
			switch field.(type) {
			case *int, *float64, *bool, *oneOrMore[int]:
				value = plainjson.Loosen(value)
			}
			if err := plainjson.Unmarshal(value, field); err != nil {
				return nil, fmt.Errorf("%s: %w", key, err)
			}
		case slices.Contains(neverNull, key):
			return nil, fmt.Errorf("%s is null", key)
		}
	}
	if err := c.validate(); err != nil {
		return nil, err
	}
	return c, nil
}

// withoutEffect has PEFT's keys that do not touch the numbers of a trained
// adapter; checkKind has looked at the first three.
var withoutEffect = []string{
	"peft_type", "bias", "init_lora_weights",
	"auto_mapping", "corda_config", "eva_config", "inference_mode", "loftq_config", "lora_ga_config",
	"megatron_core", "peft_version", "qalora_group_size", "runtime_config", "velora_config",
}

// neverNull has the keys for which PEFT needs a value.
var neverNull = []string{"r", "lora_alpha", "lora_dropout", "fan_in_fan_out", "use_rslora"}

// refusedWhenSet has the settings with which a layer is no longer its base plus
// scale·B·A, and what they do.
var refusedWhenSet = map[string]string{
	"alora_invocation_tokens": "activated LoRA adapts only some tokens",
	"arrow_config":            "Arrow mixes several adapters",
	"ensure_weight_tying":     "it ties adapted layers to each other",
	"kasa_config":             "KaSA changes the base weights",
	"layer_replication":       "it changes the model's layers",
	"lora_bias":               "B has a bias",
	"megatron_config":         "it is for Megatron's layers",
	"monteclora_config":       "MonteCLoRA has weights of its own",
	"target_parameters":       "it adapts parameters, not modules",
	"trainable_token_indices": "it changes rows of the embeddings",
	"use_bdlora":              "its factors are block-diagonal",
	"use_dora":                "DoRA rescales the adapted weights",
	"use_qalora":              "QALoRA pools the inputs",
}

// harmlessInits are the values of init_lora_weights that leave the base weights
// alone. The others (PiSSA, OLoRA, CorDA, LoftQ, LoRA-GA) make PEFT change them
// when it loads the adapter.
var harmlessInits = []string{"null", "true", "false", `"gaussian"`, `"eva"`, `"orthogonal"`, `"mica"`}

// checkKind refuses adapters that are not plain LoRA.
func checkKind(object map[string]json.RawMessage) error {
	if kind := string(object["peft_type"]); kind != `"LORA"` {
		if kind == "" {
			kind = "missing"
		}
		return fmt.Errorf(`peft_type is %s, want "LORA": other methods are not supported`, kind)
	}
	if bias, ok := object["bias"]; ok && string(bias) != `"none"` {
		return fmt.Errorf(`bias is %s, want "none": trained biases are not supported`, bias)
	}
	if init, ok := object["init_lora_weights"]; ok && !slices.Contains(harmlessInits, string(init)) {
		return fmt.Errorf("init_lora_weights is %s, with which PEFT changes the base weights; "+
			"save the adapter with path_initial_model_for_weight_conversion in PEFT", init)
	}
	for _, key := range slices.Sorted(maps.Keys(refusedWhenSet)) {
		if raw, ok := object[key]; ok && !plainjson.Falsy(raw) && forms[key] == nil {
			return fmt.Errorf("%s is set, which is not supported: %s", key, refusedWhenSet[key])
		}
	}
	return nil
}

// validate checks values as PEFT would when it loads the adapter.
func (c *Config) validate() error {
	switch _, known := taskHeads[c.TaskType]; {
	case !known:
		return fmt.Errorf("task_type is %q, want one of %s", c.TaskType, strings.Join(slices.Sorted(maps.Keys(taskHeads))[1:], ", "))
	case c.R <= 0:
		return fmt.Errorf("r is %d, want a positive rank", c.R)
	case !(c.LoraDropout >= 0 && c.LoraDropout <= 1):
		return fmt.Errorf("lora_dropout is %v, want a probability", c.LoraDropout)
	case math.IsNaN(c.LoraAlpha) || math.IsInf(c.LoraAlpha, 0):
		return fmt.Errorf("lora_alpha is %v, want a number", c.LoraAlpha)
	case c.TargetModules.Regexp != "" && (c.LayersToTransform != nil || c.LayersPattern != nil):
		return errors.New("layers_to_transform and layers_pattern need a list as target_modules, not a regular expression")
	case len(c.LayersPattern) > 0 && c.LayersToTransform == nil:
		return errors.New("layers_pattern needs layers_to_transform")
	}
	for _, e := range c.RankPattern {
		if e.Value <= 0 {
			return fmt.Errorf("rank_pattern: key %q has rank %d, which PEFT refuses: leave a layer of rank 0 out of target_modules", e.Key, e.Value)
		}
	}
	_, err := newResolver(c)
	return err
}
