package peft

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestParseConfigDefaults(t *testing.T) {
	c, err := ParseConfig([]byte(`{"peft_type": "LORA"}`))
	if err != nil {
		t.Fatal(err)
	}
	if want := (&Config{R: 8, LoraAlpha: 8}); !reflect.DeepEqual(c, want) {
		t.Errorf("config %+v, want PEFT's defaults %+v", c, want)
	}
}

func TestParseConfig(t *testing.T) {
	c, err := ParseConfig([]byte(`{
		"peft_type": "LORA", "task_type": "TOKEN_CLS", "base_model_name_or_path": "base", "revision": "main",
		"r": 4, "lora_alpha": 0.5, "lora_dropout": 0.1, "fan_in_fan_out": true, "use_rslora": true,
		"target_modules": ["query", "value"], "exclude_modules": "x.*", "layers_to_transform": 3, "layers_pattern": "layer",
		"rank_pattern": {"z": 2, "a": 1}, "alpha_pattern": {"z": 2.5, "a": 16}, "modules_to_save": ["classifier"],
		"bias": "none", "init_lora_weights": "gaussian", "use_dora": false, "layer_replication": null, "loftq_config": {},
		"peft_version": "9.9", "set_by_a_newer_peft": {"a": [1]}, "another": 1
	}`))
	if err != nil {
		t.Fatal(err)
	}
	want := &Config{
		TaskType: "TOKEN_CLS", BaseModel: "base", Revision: "main",
		R: 4, LoraAlpha: 0.5, LoraDropout: 0.1, FanInFanOut: true, UseRSLora: true,
		TargetModules: Modules{Names: []string{"query", "value"}}, ExcludeModules: Modules{Regexp: "x.*"},
		LayersToTransform: []int{3}, LayersPattern: []string{"layer"},
		RankPattern:   Pattern[int]{{"z", 2}, {"a", 1}},
		AlphaPattern:  Pattern[float64]{{"z", 2.5}, {"a", 16}},
		ModulesToSave: []string{"classifier"},
		Unknown:       []string{"another", "set_by_a_newer_peft"},
	}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("config %+v\nwant   %+v", c, want)
	}
}

func TestParseConfigErrors(t *testing.T) {
	tests := []struct {
		name, fields, want string // fields follow peft_type
	}{
		{"r is 0", `"r": 0`, "r is 0, want a positive rank"},
		{"r is null", `"r": null`, "r is null"},
		{"r is a fraction", `"r": 1.5`, "r: json: cannot unmarshal number 1.5"},
		{"lora_alpha is a string", `"lora_alpha": "16"`, "lora_alpha: json: cannot unmarshal string"},
		{"dropout above 1", `"lora_dropout": 1.5`, "lora_dropout is 1.5, want a probability"},
		{"task type", `"task_type": "seq_cls"`, `task_type is "seq_cls", want one of CAUSAL_LM, FEATURE_EXTRACTION`},
		{"target_modules is a number", `"target_modules": 5`, "target_modules: 5, want a list of module names or a regular expression"},
		{"target_modules with look-around", `"target_modules": "(?!x).*"`, "target_modules: \"(?!x).*\": regular expression that Go cannot compile (write plain module names instead)"},
		{"rank_pattern is a list", `"rank_pattern": ["a"]`, `rank_pattern: ["a"], want an object`},
		{"rank 0", `"rank_pattern": {"a": 0}`, `rank_pattern: key "a" has rank 0, which PEFT refuses: leave a layer of rank 0 out of target_modules`},
		{"rank_pattern with a key twice", `"rank_pattern": {"a": 1, "a": 2}`, `rank_pattern: key "a" is there twice`},
		{"rank_pattern with a fraction", `"rank_pattern": {"a": 1.5}`, `rank_pattern: key "a"`},
		{"rank_pattern with a bad expression", `"rank_pattern": {"a(": 1}`, `rank_pattern: key "a("`},
		{"alpha_pattern with a string", `"alpha_pattern": {"a": "x"}`, `alpha_pattern: key "a"`},
		{"modules_to_save with a bad expression", `"modules_to_save": ["a("]`, `modules_to_save: "a("`},
		{"layers_pattern alone", `"layers_pattern": ["h"]`, "layers_pattern needs layers_to_transform"},
		{"layers_to_transform and an expression", `"layers_to_transform": [1], "target_modules": "x"`, "need a list as target_modules"},

		{"bias all", `"bias": "all"`, `bias is "all", want "none": trained biases are not supported`},
		{"PiSSA", `"init_lora_weights": "pissa_niter_16"`, `init_lora_weights is "pissa_niter_16", with which PEFT changes the base weights`},
		{"DoRA", `"use_dora": true`, "use_dora is set, which is not supported: DoRA rescales"},
		{"LoRA bias", `"lora_bias": true`, "lora_bias is set, which is not supported: B has a bias"},
		{"layer replication", `"layer_replication": [[0, 4], [2, 5]]`, "layer_replication is set"},
		{"target parameters", `"target_parameters": ["x"]`, "target_parameters is set"},
		{"trainable tokens", `"trainable_token_indices": [0]`, "trainable_token_indices is set"},
		{"aLoRA", `"alora_invocation_tokens": [1]`, "alora_invocation_tokens is set"},
		{"KaSA", `"kasa_config": {"beta": 1}`, "kasa_config is set"},
		{"BD-LoRA", `"use_bdlora": {"nblocks": 2}`, "use_bdlora is set"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := ParseConfig([]byte(`{"peft_type": "LORA", ` + tt.fields + `}`))
			if err == nil {
				t.Fatalf("config %+v", c)
			}
			if !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %q\nwant  %q", err, tt.want)
			}
		})
	}
	for data, want := range map[string]string{
		`{`:                       "not a JSON object",
		`[]`:                      "not a JSON object",
		`{}`:                      `peft_type is missing, want "LORA"`,
		`null`:                    `peft_type is missing, want "LORA"`,
		`{"peft_type":"ADALORA"}`: `peft_type is "ADALORA", want "LORA": other methods are not supported`,
	} {
		if _, err := ParseConfig([]byte(data)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", data, err, want)
		}
	}
}

// The cases of PEFT's get_pattern_key; each was tried in Python.
func TestPattern(t *testing.T) {
	const query = "bert.encoder.layer.1.attention.self.query"
	tests := []struct {
		name    string
		pattern Pattern[int]
		module  string
		want    int // 99 for no match
	}{
		{"none", nil, query, 99},
		{"full name", Pattern[int]{{query, 1}}, query, 1},
		{"full name with a caret", Pattern[int]{{"^" + query, 1}}, query, 1},
		{"suffix", Pattern[int]{{"self.query", 1}}, query, 1},
		{"suffix inside a part", Pattern[int]{{"f.query", 1}}, query, 99},
		{"middle", Pattern[int]{{"attention", 1}}, query, 99},
		{"first of two", Pattern[int]{{"query", 1}, {query, 2}}, query, 1},
		{"layer 1 is not layer 11", Pattern[int]{{"layer.1.attention.self.query", 1}}, "bert.encoder.layer.11.attention.self.query", 99},
		{"a dot is any character", Pattern[int]{{"self.query", 1}}, "x.self_query", 1},
		{"alternatives", Pattern[int]{{"key|query", 1}}, query, 1},
		{"numbers", Pattern[int]{{`layer\.[0-2]\..*`, 1}}, query, 1},
		{"longer name", Pattern[int]{{"query", 1}}, "x.query.y", 99},
		{"exact name that does not match itself", Pattern[int]{{"a[0].q", 1}}, "a[0].q", 1},
		{"prefix of the file", Pattern[int]{{"base_model.model." + query, 1}}, query, 99},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			lookup, err := tt.pattern.compile()
			if err != nil {
				t.Fatal(err)
			}
			if got := lookup(tt.module, 99); got != tt.want {
				t.Errorf("%v on %q gives %d, want %d", tt.pattern, tt.module, got, tt.want)
			}
		})
	}
}

func TestAdapts(t *testing.T) {
	modules := []string{
		"bert.encoder.layer.0.attention.self.query", "bert.encoder.layer.0.attention.self.value",
		"bert.encoder.layer.1.attention.self.query", "bert.encoder.layer.1.attention.self.value",
		"classifier", "classifier.query",
	}
	tests := []struct {
		name   string
		config Config
		want   []int // indices into modules
	}{
		{"nothing", Config{TargetModules: Modules{Names: []string{}}}, nil},
		{"suffix", Config{TargetModules: Modules{Names: []string{"query"}}}, []int{0, 2, 5}},
		{"suffix inside a part", Config{TargetModules: Modules{Names: []string{"uery"}}}, nil},
		{"full name", Config{TargetModules: Modules{Names: []string{modules[3]}}}, []int{3}},
		{"a list is not a pattern", Config{TargetModules: Modules{Names: []string{"self.*"}}}, nil},
		{"expression", Config{TargetModules: Modules{Regexp: `.*\.1\..*`}}, []int{2, 3}},
		{"expression for a part of the name", Config{TargetModules: Modules{Regexp: "query"}}, nil},
		{"no target_modules", Config{}, []int{0, 1, 2, 3, 4, 5}},
		{"all-linear", Config{TargetModules: Modules{Regexp: "all-linear"}, TaskType: "SEQ_CLS"}, []int{0, 1, 2, 3}},
		{"dummy", Config{TargetModules: Modules{Regexp: dummyTarget}}, nil},
		{"excluded by list", Config{TargetModules: Modules{Names: []string{"query", "value"}}, ExcludeModules: Modules{Names: []string{"self.query"}}}, []int{1, 3}},
		{"excluded by expression", Config{TargetModules: Modules{Names: []string{"query"}}, ExcludeModules: Modules{Regexp: `.*\.0\..*`}}, []int{2, 5}},
		{"saved modules are not adapted", Config{TargetModules: Modules{Names: []string{"query", "classifier"}}, ModulesToSave: []string{"classifier"}}, []int{0, 2}},
		{"nor those of the task", Config{TargetModules: Modules{Names: []string{"query", "classifier"}}, TaskType: "SEQ_CLS"}, []int{0, 2}},
		{"one layer", Config{TargetModules: Modules{Names: []string{"query"}}, LayersToTransform: []int{1}}, []int{2}},
		{"one layer, named", Config{TargetModules: Modules{Names: []string{"query"}}, LayersToTransform: []int{1}, LayersPattern: []string{"h", "layer"}}, []int{2}},
		{"one layer, named otherwise", Config{TargetModules: Modules{Names: []string{"query"}}, LayersToTransform: []int{1}, LayersPattern: []string{"h"}}, nil},
		{"no layers means all", Config{TargetModules: Modules{Names: []string{"self.query"}}, LayersToTransform: []int{}}, []int{0, 2}},
		{"a full name is not limited", Config{TargetModules: Modules{Names: []string{modules[0]}}, LayersToTransform: []int{1}}, []int{0}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := tt.config.Adapts(modules)
			if err != nil {
				t.Fatal(err)
			}
			var want []string
			for _, i := range tt.want {
				want = append(want, modules[i])
			}
			if !slices.Equal(got, want) {
				t.Errorf("adapts %q, want %q", got, want)
			}
		})
	}
}

// FuzzParseConfig checks that no adapter_config.json makes the reader panic, and
// that what it accepts means the same after being written and read.
func FuzzParseConfig(f *testing.F) {
	for _, g := range goldens {
		data, err := os.ReadFile(filepath.Join("testdata", g.family, g.name, configName))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte(`{"peft_type":"LORA","rank_pattern":null,"target_modules":"all-linear"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := ParseConfig(data)
		if err != nil {
			return
		}
		out, err := indented(c)
		if err != nil {
			t.Fatalf("cannot write what was read: %v", err)
		}
		again, err := ParseConfig(out)
		if err != nil {
			t.Fatalf("cannot read what was written: %v\n%s", err, out)
		}
		second, err := indented(again)
		if err != nil || string(second) != string(out) {
			t.Errorf("%s\nbecame\n%s (%v)", out, second, err)
		}
	})
}
