package peft

import (
	"encoding/json"
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
		{"r is a fraction", `"r": 1.5`, "r: got 1.5, want an integer"},
		{"lora_alpha is a word", `"lora_alpha": "much"`, "lora_alpha: got a text, want a number"},
		{"dropout above 1", `"lora_dropout": 1.5`, "lora_dropout is 1.5, want a probability"},
		{"task type", `"task_type": "seq_cls"`, `task_type is "seq_cls", want one of CAUSAL_LM, FEATURE_EXTRACTION`},
		{"target_modules is a number", `"target_modules": 5`, "target_modules: 5, want a list of module names or a regular expression"},
		{"rank_pattern is a list", `"rank_pattern": ["a"]`, `rank_pattern: found ["a"] where a JSON object should be`},
		{"rank 0", `"rank_pattern": {"a": 0}`, `rank_pattern: key "a" has rank 0, which PEFT refuses: leave a layer of rank 0 out of target_modules`},
		{"rank_pattern with a key twice", `"rank_pattern": {"a": 1, "a": 2}`, `rank_pattern: key "a" appears twice`},
		{"rank_pattern with a fraction", `"rank_pattern": {"a": 1.5}`, `rank_pattern: key "a"`},
		{"alpha_pattern with a bad expression", `"alpha_pattern": {"a(": 1}`, `alpha_pattern: key "a("`},
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

// What PEFT's own matching functions say; see testdata/make_goldens.py.
func TestMatchingEqualsPEFT(t *testing.T) {
	var golden struct {
		Patterns []struct {
			RankPattern Pattern[int] `json:"rank_pattern"`
			Module      string
			Rank        int
		}
		Modules []string
		Targets []struct {
			Config json.RawMessage
			Adapts []string
		}
	}
	if err := json.Unmarshal(readFile(t, "testdata/matching.json"), &golden); err != nil {
		t.Fatal(err)
	}
	if len(golden.Patterns) == 0 || len(golden.Targets) == 0 {
		t.Fatal("no cases")
	}
	for _, g := range golden.Patterns {
		lookup, err := g.RankPattern.compile(new(error))
		if err != nil {
			t.Fatal(err)
		}
		if got := lookup(g.Module, 99); got != g.Rank {
			t.Errorf("%v on %q gives %d, PEFT says %d", g.RankPattern, g.Module, got, g.Rank)
		}
	}
	for _, g := range golden.Targets {
		c, err := ParseConfig(g.Config)
		if err != nil {
			t.Fatal(err)
		}
		got, err := adapted(c, golden.Modules)
		if err != nil || !slices.Equal(got, g.Adapts) {
			t.Errorf("%s adapts %q, PEFT says %q (%v)", g.Config, got, g.Adapts, err)
		}
	}
}

// Settings of which PEFT makes something only together with the model.
func TestAdaptsAnything(t *testing.T) {
	modules := []string{"a.query", "classifier.dense"}
	for _, target := range []string{"null", `"all-linear"`} {
		c, err := ParseConfig([]byte(`{"peft_type": "LORA", "task_type": "SEQ_CLS", "target_modules": ` + target + `}`))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := adapted(c, modules); err != nil || !slices.Equal(got, modules[:1]) {
			t.Errorf("%s adapts %q (%v), want all but the head", target, got, err)
		}
	}
}

// adapted returns those of a model's modules on which PEFT would put a layer.
func adapted(c *Config, modules []string) (all []string, err error) {
	r, err := newResolver(c)
	if err != nil {
		return nil, err
	}
	for _, m := range modules {
		if r.adapts(m) {
			all = append(all, m)
		}
	}
	return all, nil
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
		out, err := marshal(c, "  ")
		if err != nil {
			t.Fatalf("cannot write what was read: %v", err)
		}
		again, err := ParseConfig(out)
		if err != nil {
			t.Fatalf("cannot read what was written: %v\n%s", err, out)
		}
		second, err := marshal(again, "  ")
		if err != nil || string(second) != string(out) {
			t.Errorf("%s\nbecame\n%s (%v)", out, second, err)
		}
	})
}
