// Package adapterhub reads and writes bottleneck adapters in the files of
// AdapterHub's library "adapters": a folder with adapter_config.json,
// adapter.safetensors, and the head trained with the adapter in
// head_config.json and model_head.safetensors. With an adapter of a language
// model no head is trained, and none is written. It is pure Go.
//
// Two of AdapterHub's configurations are known, which are the adapters of
// Houlsby et al. (2019) and of Pfeiffer et al. (2021) with their default
// non-linearities. What a folder may have beside, such as gates, layer norms of
// the adapter's own or parallel adapters, is an error that names the setting.
//
// In Python, load_adapter(folder, use_safetensors=True) reads what [Write]
// leaves, into a model with the head's class as well as into AdapterHub's models
// with flexible heads (tried with adapters 1.3.0, which knows BERT, RoBERTa,
// XLM-R, GPT-2, LLaMA and Mistral, but not Qwen2). A folder of AdapterHub's is
// read if it was saved with use_safetensors=True from a model of transformers'
// class; pickles are never read.
package adapterhub

import (
	"math"
	"strings"

	"autolora/nn/safetensors"
)

// Style is where a block's adapters are and what they compute, by the name of
// AdapterHub's configuration.
type Style string

const (
	// Houlsby has two adapters in a block, after attention's output projection
	// and after the feed-forward layer, each x + up(swish(down(x))) of its output x,
	// before the residual connection and layer norm of the block.
	Houlsby Style = "double_seq_bn"
	// Pfeiffer has one, after the feed-forward layer, x + up(relu(down(z))): z is
	// the block's output as it would be without the adapter, layer norm included.
	Pfeiffer Style = "seq_bn"
)

// Bottlenecks are the adapters of a model's blocks and the head trained with it.
type Bottlenecks struct {
	Style      Style
	Size       int64    // of the bottleneck
	Name       string   // by which AdapterHub activates it
	BaseModel  string   // name on the hub, or folder
	ModelType  string   // "bert"
	ModelClass string   // transformers' class of model and head, "BertForSequenceClassification"
	HiddenSize int64    // of the base model
	Labels     []string // in the order of the logits; nil for regression and language models
	// Weights are the adapters' tensors, by their names in the model without the
	// part "adapters.NAME.": "bert.encoder.layer.0.output.adapter_down.0.weight".
	Weights []safetensors.Tensor
	// Head are the head's tensors: "classifier.weight". AdapterHub stores a
	// language model's "lm_head.weight" here, unless it is told with_head=False;
	// training the adapter leaves it as it was.
	Head []safetensors.Tensor
}

// TaskType returns PEFT's name of what the model does: SEQ_CLS, TOKEN_CLS or
// CAUSAL_LM.
func (a *Bottlenecks) TaskType() string {
	switch {
	case strings.HasSuffix(a.ModelClass, "ForTokenClassification"):
		return "TOKEN_CLS"
	case a.generates():
		return "CAUSAL_LM"
	}
	return "SEQ_CLS"
}

// generates reports whether the model is a language model.
func (a *Bottlenecks) generates() bool {
	return strings.HasSuffix(a.ModelClass, "LMHeadModel") || strings.HasSuffix(a.ModelClass, "ForCausalLM")
}

const (
	configName     = "adapter_config.json"
	weightsName    = "adapter.safetensors"
	headConfigName = "head_config.json"
	headName       = "model_head.safetensors"
	cardName       = "README.md"

	version = "adapters.1.3.0" // whose form the files have
)

// config is the content of adapter_config.json and head_config.json.
type config struct {
	Settings   map[string]any   `json:"config"` // of the adapter; null for a head
	HiddenSize int64            `json:"hidden_size"`
	ModelClass string           `json:"model_class"`
	ModelName  string           `json:"model_name"`
	ModelType  string           `json:"model_type"`
	Name       *string          `json:"name"`
	Version    string           `json:"version"`
	Label2ID   map[string]int64 `json:"label2id,omitempty"`   // of a head, as is NumLabels
	NumLabels  int64            `json:"num_labels,omitempty"` // 1 for regression
}

// defaults are AdapterHub's settings of a bottleneck adapter (its BnConfig), but
// for reduction_factor and those in which the styles differ.
var defaults = map[string]any{
	"adapter_residual_before_ln": false, "cross_adapter": false, "dropout": 0.0, "inv_adapter": nil, "is_parallel": false, "leave_out": []any{},
	"ln_after": false, "ln_before": false, "original_ln_after": true, "phm_layer": false, "residual_before_ln": true, "scaling": 1.0,
	"stochastic_depth": 0.0, "use_gating": false,
}

// withoutEffect are settings of initialisation and of layers that [defaults]
// leaves out.
var withoutEffect = map[string]any{
	"factorized_phm_W": true, "factorized_phm_rule": false, "hypercomplex_nonlinearity": "glorot-uniform", "init_weights": "bert",
	"init_weights_seed": nil, "inv_adapter_reduction_factor": nil, "learn_phm": true, "phm_bias": true, "phm_c_init": "normal", "phm_dim": 4.0,
	"phm_init_range": 0.0001, "phm_rank": 1.0, "shared_W_phm": false, "shared_phm_rule": true,
}

// styles are the settings in which the styles differ.
var styles = map[Style]map[string]any{
	Houlsby:  {"mh_adapter": true, "output_adapter": true, "non_linearity": "swish", "original_ln_before": false},
	Pfeiffer: {"mh_adapter": false, "output_adapter": true, "non_linearity": "relu", "original_ln_before": true},
}

// sizeOf returns the bottleneck that AdapterHub makes of a reduction factor:
// int(hidden // factor), at least 1, where // is Python's.
func sizeOf(hidden int64, factor float64) int64 {
	h := float64(hidden)
	return max(1, int64(math.Round((h-math.Mod(h, factor))/factor)))
}

// factorOf returns a reduction factor of which sizeOf makes size.
func factorOf(hidden, size int64) float64 {
	if hidden%size == 0 {
		return float64(hidden / size)
	}
	return float64(hidden) / (float64(size) + 0.5) // in the middle of those that do
}

// inserted is the part of a tensor's name in the files that says whose it is.
func inserted(name string) string { return ".adapters." + name + "." }

// qualified returns a tensor's name in the files.
func (a *Bottlenecks) qualified(name string) string {
	module, rest := name, ""
	if i := strings.LastIndex(name, ".adapter_"); i >= 0 {
		module, rest = name[:i], name[i+1:]
	}
	return module + inserted(a.Name) + rest
}

// Parameters returns the number of weights in the adapters, and in the head.
func (a *Bottlenecks) Parameters() (adapter, head int64) {
	return safetensors.NumElements(a.Weights), safetensors.NumElements(a.Head)
}
