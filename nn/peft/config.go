package peft

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"

	"autolora/plainjson"
)

// Config is what adapter_config.json says about a LoRA adapter, apart from
// settings that are the same in every adapter handled here: peft_type LORA, bias
// none, inference_mode true, no DoRA.
type Config struct {
	TaskType    string // SEQ_CLS, TOKEN_CLS, CAUSAL_LM, …, or ""
	BaseModel   string // base_model_name_or_path
	Revision    string // of the base model, or ""
	R           int    // rank of layers that RankPattern does not name
	LoraAlpha   float64
	LoraDropout float64
	FanInFanOut bool   // base weights are stored [in, out] (GPT-2's Conv1D); A and B are not affected
	UseRSLora   bool   // scale is alpha/√rank, not alpha/rank
	Form        string // the setting that makes more of the layers than LoRA; "": none

	TargetModules     Modules
	ExcludeModules    Modules
	LayersToTransform []int    // block numbers that list entries of TargetModules are limited to
	LayersPattern     []string // names of the block lists that the numbers count
	RankPattern       Pattern[int]
	AlphaPattern      Pattern[float64]
	ModulesToSave     []string // modules whose own weights are in the file

	// Unknown lists keys that this package does not know, sorted: settings of a
	// newer PEFT, worth a warning.
	Unknown []string
}

// taskHeads has the task types of PEFT, and the modules that PEFT adds to
// modules_to_save by itself (peft/peft_model.py).
var taskHeads = map[string][]string{
	"":                   nil,
	"SEQ_CLS":            {"classifier", "score"},
	"TOKEN_CLS":          {"classifier", "score"},
	"CAUSAL_LM":          nil,
	"SEQ_2_SEQ_LM":       nil,
	"QUESTION_ANS":       {"qa_outputs"},
	"FEATURE_EXTRACTION": nil,
}

// AnyTask reports whether a model of any task can have the adapter: it names none, or
// is one of features, which has no head.
func (c *Config) AnyTask() bool { return c.TaskType == "" || c.TaskType == "FEATURE_EXTRACTION" }

// modulesToSave returns all entries that are in force.
func (c *Config) modulesToSave() []string {
	saved := slices.Clone(c.ModulesToSave)
	for _, m := range taskHeads[c.TaskType] {
		if !slices.Contains(saved, m) {
			saved = append(saved, m)
		}
	}
	return saved
}

// fields has the place of what c holds, by its key.
func (c *Config) fields() map[string]any {
	return map[string]any{
		"alpha_pattern":           &c.AlphaPattern,
		"base_model_name_or_path": &c.BaseModel,
		"exclude_modules":         &c.ExcludeModules,
		"fan_in_fan_out":          &c.FanInFanOut,
		"layers_pattern":          (*oneOrMore[string])(&c.LayersPattern),
		"layers_to_transform":     (*oneOrMore[int])(&c.LayersToTransform),
		"lora_alpha":              &c.LoraAlpha,
		"lora_dropout":            &c.LoraDropout,
		"modules_to_save":         &c.ModulesToSave,
		"r":                       &c.R,
		"rank_pattern":            &c.RankPattern,
		"revision":                &c.Revision,
		"target_modules":          &c.TargetModules,
		"task_type":               &c.TaskType,
		"use_rslora":              &c.UseRSLora,
	}
}

// MarshalJSON writes adapter_config.json's object with PEFT's keys in sorted
// order. Only keys are written that PEFT has had since 0.10, since versions up to
// 0.12 refuse what they do not know.
func (c Config) MarshalJSON() ([]byte, error) {
	object := c.fields()
	for key, field := range object {
		if text, ok := field.(*string); ok && *text == "" {
			object[key] = nil
		}
	}
	if c.ExcludeModules.isZero() {
		delete(object, "exclude_modules")
	}
	if c.LayersToTransform == nil {
		delete(object, "layers_to_transform")
		delete(object, "layers_pattern")
	}
	object["bias"], object["peft_type"] = "none", "LORA"
	object["inference_mode"], object["init_lora_weights"], object["use_dora"] = true, true, false
	if c.Form != "" {
		object[c.Form] = true
	}
	return marshal(object, "")
}

// resolver answers what PEFT makes of a module under a config. Where an expression
// is not known here, the tensors of a file say which layers it chooses, and of which
// rank.
type resolver struct {
	config   *Config
	rank     func(module string, otherwise int) int // nil: the tensors say
	alpha    func(module string, otherwise float64) float64
	target   func(module string) bool
	exclude  func(module string) bool
	saved    []expression
	patterns []expression // of LayersPattern, with the block's number as group 1
	endless  error        // an expression that came to no end: what the others say is of no use
}

// anyBlock finds the number of a block in the name of a module.
var anyBlock = regexp.MustCompile(`^.*?\.[^.]*\.(\d+)\.`)

func newResolver(c *Config) (*resolver, error) {
	r := &resolver{config: c}
	var err error
	var unknown *patternError
	if r.rank, err = c.RankPattern.compile(&r.endless); err != nil && !errors.As(err, &unknown) {
		return nil, fmt.Errorf("rank_pattern: %w", err)
	}
	if r.alpha, err = c.AlphaPattern.compile(&r.endless); err != nil {
		return nil, fmt.Errorf("alpha_pattern: %w", err)
	}
	always := func(answer bool) func(string) bool { return func(string) bool { return answer } }
	if r.target, err = c.TargetModules.compile(&r.endless); err != nil {
		r.target = always(true)
	}
	if r.exclude, err = c.ExcludeModules.compile(&r.endless); err != nil {
		r.exclude = always(false)
	}
	for _, m := range c.modulesToSave() {
		re, err := compilePython(`^(^|.*\.)`+m+`($|\..*)`, &r.endless)
		if err != nil {
			return nil, fmt.Errorf("modules_to_save: %q: %w", m, err)
		}
		r.saved = append(r.saved, re)
	}
	for _, p := range c.LayersPattern {
		re, err := compilePython(`^(?:^|.*?\.)`+p+`\.(\d+)\.`, &r.endless)
		if err != nil {
			return nil, fmt.Errorf("layers_pattern: %q: %w", p, err)
		}
		r.patterns = append(r.patterns, re)
	}
	if r.patterns == nil {
		r.patterns = []expression{anyBlock.FindStringSubmatch}
	}
	return r, nil
}

// adapts reports whether PEFT would put a LoRA layer on module
// (check_target_module_exists in peft/tuners/tuners_utils.py).
func (r *resolver) adapts(module string) bool {
	c := r.config
	isMatch := func(re expression) bool { return re(module) != nil }
	switch {
	case r.exclude(module), slices.ContainsFunc(r.saved, isMatch):
		return false
	case c.TargetModules.isZero(), c.TargetModules.Regexp == "all-linear":
		return true // depends on the model; a tensor in the file is witness enough
	case slices.Contains(c.TargetModules.Names, module):
		return true
	case !r.target(module):
		return false
	case len(c.LayersToTransform) == 0:
		return true
	}
	for _, re := range r.patterns {
		if m := re(module); m != nil {
			n, err := strconv.Atoi(m[1])
			return err == nil && slices.Contains(c.LayersToTransform, n)
		}
	}
	return false
}

// oneOrMore reads a single value as a list of one, as PEFT does for
// layers_to_transform and layers_pattern.
type oneOrMore[V any] []V

func (l *oneOrMore[V]) UnmarshalJSON(data []byte) error {
	var one V
	if plainjson.Unmarshal(data, &one) == nil {
		*l = []V{one}
		return nil
	}
	return plainjson.Unmarshal(data, (*[]V)(l))
}
