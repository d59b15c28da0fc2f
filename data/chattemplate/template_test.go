package chattemplate

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"

	"autolora/data/datatest"
)

// render renders a template with variables of one conversation.
func render(t *testing.T, source, variables string) (string, []Span, error) {
	t.Helper()
	template, err := New(source)
	if err != nil {
		t.Fatal(err)
	}
	defer template.Close()
	return template.Render([]byte(variables))
}

// TestGolden compares texts, what is generated of them and what templates raise with transformers' (testdata/golden.py).
func TestGolden(t *testing.T) {
	var golden struct {
		Special       map[string]string
		Conversations map[string]struct{ Messages, Tools json.RawMessage }
		Cases         []struct {
			Template, Conversation string
			Prompt                 bool
			Text, Raised           string
			Generated              [][2]int
		}
	}
	datatest.ReadJSON(t, "testdata/golden.json.gz", &golden)
	for _, c := range golden.Cases {
		source, err := os.ReadFile(filepath.Join("testdata/templates", c.Template+".jinja"))
		if err != nil {
			t.Fatal(err)
		}
		conversation := golden.Conversations[c.Conversation]
		variables := map[string]any{"messages": conversation.Messages, "tools": conversation.Tools, "documents": nil, "add_generation_prompt": c.Prompt}
		for name, token := range golden.Special {
			variables[name] = token
		}
		text, err := json.Marshal(variables)
		if err != nil {
			t.Fatal(err)
		}
		got, spans, err := render(t, string(source), string(text))
		name := c.Template + ", " + c.Conversation
		if c.Raised != "" {
			if err == nil || err.Error() != strings.Join(strings.Fields(c.Raised), " ") {
				t.Errorf("%s: got %q, %v, want the error %q", name, got, err, c.Raised)
			}
			continue
		}
		if err != nil || got != c.Text {
			t.Errorf("%s: got %q, %v\nwant %q", name, got, err, c.Text)
			continue
		}
		var generated [][2]int
		for _, s := range spans {
			generated = append(generated, [2]int{s.From, s.To})
		}
		if len(generated)+len(c.Generated) > 0 && !reflect.DeepEqual(generated, c.Generated) {
			t.Errorf("%s: generated is %v, want %v", name, generated, c.Generated)
		}
	}
}

// TestForms compares what values look like with Python.
func TestForms(t *testing.T) {
	const variables = `{"v": {"b": 1.0, "a": [null, true, 1e16, 1.5e-7, 0.0001, -0.0, "it's", "\"\n\u00e9\ud83d\ude00"]}, "n": 3}`
	for source, want := range map[string]string{
		`{{ v }}`:                             `{'b': 1.0, 'a': [None, True, 1e+16, 1.5e-07, 0.0001, -0.0, "it's", '"\n` + "é😀" + `']}`,
		`{{ v | tojson }}`:                    `{"b": 1.0, "a": [null, true, 1e+16, 1.5e-07, 0.0001, -0.0, "it's", "\"\n` + "é😀" + `"]}`,
		`{{ v | tojson(ensure_ascii=true) }}`: `{"b": 1.0, "a": [null, true, 1e+16, 1.5e-07, 0.0001, -0.0, "it's", "\"\n\u00e9\ud83d\ude00"]}`,
		`{{ {"z": [1, {}], "y": []} | tojson(indent=2) }}`:                         "{\n  \"z\": [\n    1,\n    {}\n  ],\n  \"y\": []\n}",
		`{{ {"z": 1, "y": [2]} | tojson(sort_keys=true, separators=(",", ":")) }}`: `{"y":[2],"z":1}`,
		`{{ none }}{{ missing }}{{ n / 2 }}{{ n // 2 }}{{ 'ab'[::-1] }}`:           `None1.51ba`,
		`{% set ns = namespace(x=0) %}{% for i in range(9) %}{% if i == 3 %}{% continue %}{% endif %}{% if i > 5 %}{% break %}{% endif %}{% set ns.x = ns.x + i %}{% endfor %}{{ ns.x }}`: `12`,
		"a\r\n  {% if true %}\r\n b\r\n  {% endif %}\r\nc\r\n":                                                                   "a\n b\nc",
		`{% for k, x in {"p": 1}.items() %}{{ k }}{{ x }}{% endfor %}{{ n is string }}{{ "x" is string }}{{ none is iterable }}`: `p1FalseTrueFalse`,
		`{{ strftime_now("%d %b %Y, %A %-d %B, %Y-%m-%d %H:%M") }}`:                                                              `26 Jul 2024, Friday 26 July, 2024-07-26 00:00`,
	} {
		if got, _, err := render(t, source, variables); err != nil || got != strings.ReplaceAll(want, "\n", "\n") {
			t.Errorf("%s: got %q, %v, want %q", source, got, err, want)
		}
	}
}

func TestErrors(t *testing.T) {
	for source, want := range map[string]string{
		"{% if %}":         "line 1: unexpected end of block",
		"x\n{% unknown %}": "line 2: unknown statement unknown",
	} {
		if template, err := New(source); err == nil || err.Error() != want {
			t.Errorf("%s: got %v, %v, want %s", source, template, err, want)
		}
	}
	for source, want := range map[string]string{
		"{{ raise_exception('no\nsuch role') }}":                                           "no such role",
		"\n\n{{ messages[0].role }}":                                                       "line 3: undefined value",
		"{% for i in range(100000) %}{% for k in range(100000) %}{% endfor %}{% endfor %}": "line 1: it does not come to an end",
	} {
		if text, _, err := render(t, source, `{}`); err == nil || err.Error() != want {
			t.Errorf("%s: got %q, %v, want %s", source, text, err, want)
		}
	}
	if _, _, err := render(t, "x", `{"a": `); err == nil || strings.Contains(err.Error(), "\n") {
		t.Errorf("broken variables: got %v", err)
	}
	template, err := New("x")
	if err != nil {
		t.Fatal(err)
	}
	template.Close()
	template.Close()
	if _, _, err := template.Render([]byte("{}")); err == nil {
		t.Error("a closed template renders")
	}
}

// TestGenerationBlocks takes marks within the variables for what they are: no marks of the template.
func TestGenerationBlocks(t *testing.T) {
	text, spans, err := render(t, "a{%- generation -%} b {%- endgeneration %}\nc{% generation %}{{ x }}{% endgeneration %}", `{"x": "d"}`)
	if want := []Span{{1, 2}, {3, 4}}; err != nil || text != "abcd" || !reflect.DeepEqual(spans, want) {
		t.Errorf("got %q, %v, %v, want abcd, %v", text, spans, err, want)
	}
}

func TestConcurrently(t *testing.T) {
	template, err := New("{% for m in messages %}{{ m }},{% endfor %}")
	if err != nil {
		t.Fatal(err)
	}
	defer template.Close()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 100 {
				if text, _, err := template.Render([]byte(`{"messages": ["a", "b"]}`)); err != nil || text != "a,b," {
					t.Errorf("got %q, %v", text, err)
				}
			}
		})
	}
	wg.Wait()
}

func FuzzRender(f *testing.F) {
	f.Add("{% for m in messages %}{{ m.role | upper }}{% endfor %}", `{"messages": [{"role": "user"}]}`)
	f.Add("{%- generation -%}{{ x[1:] }}{% endgeneration %}", `{"x": "\ufdd0abc\ufdd1"}`)
	f.Add("{{ x | tojson(indent=4) }}", `{"x": [1e308, -0.0, "\u0000"]}`)
	f.Fuzz(func(t *testing.T, source, variables string) {
		template, err := New(source)
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Fatalf("error %q: want one line", err)
			}
			return
		}
		defer template.Close()
		text, spans, err := template.Render([]byte(variables))
		if err != nil && strings.Contains(err.Error(), "\n") {
			t.Fatalf("error %q: want one line", err)
		}
		for _, s := range spans {
			if s.From < 0 || s.To < s.From || s.To > len(text) {
				t.Fatalf("span %v of %d bytes", s, len(text))
			}
		}
	})
}
