// Package peft reads and writes LoRA adapters in the files of Hugging Face's
// PEFT library: a folder with adapter_config.json and
// adapter_model.safetensors. It is pure Go.
//
// A layer with factors A [r, in] and B [out, r] adds scale·B·A to a base weight
// [out, in], where scale is alpha/r, or alpha/√r with use_rslora. Ranks and
// alphas may differ between layers. In the files they are spread over the
// global r and lora_alpha and the patterns rank_pattern and alpha_pattern, which
// PEFT matches against module names; an [Adapter] holds them resolved, one
// [Layer] each.
//
// [Write] names every adapted layer by its full path, so that no pattern can
// meet a layer it is not meant for, and leaves layers of rank 0 out: PEFT
// refuses rank 0, and a layer that is not targeted is exactly the base layer.
// With no layer left it writes target_modules "dummy-target-modules", the name
// by which PEFT (from 0.12 on; tried with 0.21.2) loads an adapter that has only
// modules_to_save. Two forms are possible: alpha and rank as trained (PEFT,
// llama.cpp), and after [Adapter.Fold] scale 1 everywhere, for programs such as
// vLLM that ignore patterns.
//
// [Read] follows PEFT's own rules, checked against PEFT 0.21.2, and is strict:
// a setting that would change the numbers in a way not known here, a tensor that
// PEFT would silently ignore, a factor without its partner or a shape that does
// not fit is an error. Pickle (adapter_model.bin) is never read.
package peft
