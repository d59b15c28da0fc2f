package settings

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

// Every field of Config has one entry in the table, every entry a usage with a
// placeholder and a word on each of its choices, and names are there once.
func TestTable(t *testing.T) {
	var c Config
	seen, entries := map[string]bool{}, map[uintptr]string{}
	for _, s := range c.Settings() {
		if seen[s.Name] {
			t.Errorf("%s is there twice", s.Name)
		}
		seen[s.Name] = true
		entries[reflect.ValueOf(s.Value).Pointer()] = s.Name
		if _, isFlag := s.Value.(*bool); s.Usage == "" || isFlag == strings.HasPrefix(s.Usage, "`") {
			t.Errorf("%s: usage %q", s.Name, s.Usage)
		}
		for _, choice := range s.Choices {
			if !strings.HasPrefix(s.Name, "method") && !strings.Contains(s.Usage, choice) { // the controls of a method are told together
				t.Errorf("%s: the usage has no word on %s", s.Name, choice)
			}
		}
		if s.Readers == 0 || s.Group == "" {
			t.Errorf("%s is read by nobody", s.Name)
		}
	}
	var fields func(v reflect.Value, path string)
	fields = func(v reflect.Value, path string) {
		for i := range v.NumField() {
			name := path + v.Type().Field(i).Name
			switch f := v.Field(i); {
			case f.Kind() == reflect.Struct:
				fields(f, name+".")
			case entries[f.Addr().Pointer()] == "" && name != "Decoding.End" && name != "Decoding.Seed": // the model's tokens, and Config.Seed
				t.Errorf("%s has no entry", name)
			}
		}
	}
	fields(reflect.ValueOf(&c).Elem(), "")
}

// The defaults make sense, and come back from JSON as they are.
func TestDefault(t *testing.T) {
	c := Default()
	if err := c.Check(); err != nil {
		t.Error(err)
	}
	text, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	var again Config
	if err := json.Unmarshal(text, &again); err != nil {
		t.Fatal(err)
	}
	if a, _ := Differing(c, again, func(Setting) bool { return true }); a != nil {
		t.Errorf("%s does not come back", a.Name)
	}
	if strings.Contains(string(text), `"methods"`) {
		t.Error("a single run has settings of a comparison")
	}
}

func TestSet(t *testing.T) {
	for _, tt := range []struct{ name, value, want string }{
		{"lr", "1e-3", "0.001"}, {"beams", "4", "4"}, {"alpha-form", "none", "none"}, {"alpha-form", `"none"`, "none"},
		{"model", "123", "123"}, {"target", `["query","key"]`, "query key"}, {"sample", "true", "true"},
	} {
		c := Default()
		if err := c.Set(tt.name, tt.value); err != nil {
			t.Errorf("%s=%s: %v", tt.name, tt.value, err)
			continue
		}
		if s, _ := c.Find(tt.name); s.String() != tt.want {
			t.Errorf("%s=%s: got %s, want %s", tt.name, tt.value, s, tt.want)
		}
	}
	for _, tt := range []struct{ name, value, want string }{
		{"lr", "fast", `lr: got "fast", want a number`}, {"beams", "1.5", "beams: got 1.5, want a whole number"}, {"rate", "1", `unknown setting "rate"`},
	} {
		c := Default()
		if err := c.Set(tt.name, tt.value); err == nil || err.Error() != tt.want {
			t.Errorf("%s=%s: got %v, want %s", tt.name, tt.value, err, tt.want)
		}
	}
}

// A list that is set in a copy stays as it was in the original.
func TestSetInACopy(t *testing.T) {
	c := Default()
	other := c
	if err := other.Set("target", `["key"]`); err != nil {
		t.Fatal(err)
	}
	if s, _ := c.Find("target"); s.String() != "query value" {
		t.Errorf("the original has target %s", s)
	}
}
