package peft

import (
	"strings"
	"testing"
)

func TestCard(t *testing.T) {
	card := ModelCard{
		Task:   "sst2",
		Labels: []string{"negative", `pos"itive`},
		Scores: []Score{{"accuracy", 0.8321}},
		Made:   []Fact{{"seed", "1"}, {"command", "autolora run | tee\nlog"}},
	}
	const want = `---
library_name: peft
base_model: "roberta-base"
pipeline_tag: text-classification
tags:
- autolora
- lora
- "base_model:adapter:roberta-base"
---

# LoRA adapter for sst2

A LoRA adapter for the base model ` + "`roberta-base`" + `, with a rank of its own for each layer. It has 105 parameters, and 11 in the saved modules. It was made with autolora.

## Use

` + "```python" + `
from peft import PeftModel
from transformers import AutoModelForSequenceClassification, AutoTokenizer

base = "roberta-base"
labels = ["negative", "pos\"itive"]
model = AutoModelForSequenceClassification.from_pretrained(
    base,
    num_labels=len(labels),
    id2label=dict(enumerate(labels)),
    label2id={label: i for i, label in enumerate(labels)},
)
model = PeftModel.from_pretrained(model, "path/to/this/folder").eval()
tokenizer = AutoTokenizer.from_pretrained(base)
inputs = tokenizer("a text", return_tensors="pt")
logits = model(**inputs).logits[0]
print(model.config.id2label[logits.argmax().item()], logits.softmax(-1).tolist())
` + "```" + `

The adapter does not store its labels: the base model must be built with ` + "`num_labels=2`" + `, and the logits are in the order of ` + "`labels`" + `, as above.

## Scores

| metric | value |
|---|---|
| accuracy | 0.8321 |

## Ranks

| block | attention.self.query | attention.self.value |
|---|---|---|
| roberta.encoder.layer.0 | 8 | 3 |
| roberta.encoder.layer.10 | 0 | 10 |

A layer of rank 0 is exactly that of the base model and not in the files.

## How it was made

| | |
|---|---|
| seed | 1 |
| command | autolora run \| tee log |
`
	if got := card.markdown(testAdapter()); got != want {
		t.Errorf("card\n%s\nwant\n%s", got, want)
	}
}

// Names that carry markup appear as they are: neither Markdown, HTML nor YAML takes them for more.
func TestCardShowsNames(t *testing.T) {
	const evil = "x\"><img src=x onerror=alert(1)>`c`|[y](javascript:alert(2))\n# h\n---\n```\n\x1b[31m\u202e*b* _i_ ~s~ $m$ &amp;"
	const shown = "x\">&lt;img src=x onerror=alert(1)>\\`c\\`\\|\\[y](javascript:alert(2)) \\# h --- \\`\\`\\` \uFFFD\\[31m\uFFFD\\*b\\* \\_i\\_ \\~s\\~ \\$m\\$ &amp;amp;"
	a := testAdapter()
	a.Config.TaskType, a.Config.BaseModel = "SEQ_CLS", evil
	card := ModelCard{Task: evil, Labels: []string{evil}, Scores: []Score{{evil, 0.5}}, Made: []Fact{{evil, evil}}}
	got := card.markdown(a) + FrontMatter("peft", evil, "SEQ_CLS", evil)
	for _, want := range []string{"# LoRA adapter for " + shown, "| " + shown + " | 0.5000 |"} {
		if !strings.Contains(got, want) {
			t.Errorf("lacks %q:\n%s", want, got)
		}
	}
	fence := false
	for line := range strings.Lines(got) {
		if strings.HasPrefix(line, "```") {
			fence = !fence
		}
		if fence {
			continue
		}
		quoted := strings.HasPrefix(line, "- \"")
		for i, part := range strings.Split(strings.ReplaceAll(line, "\\`", ""), "`") {
			if isCode := i%2 == 1; !isCode && !quoted && (strings.Contains(part, "<") || strings.Contains(strings.ReplaceAll(part, `\[`, ""), "[y]")) {
				t.Errorf("markup in %q", line)
			}
		}
	}
	if fence || strings.ContainsAny(got, "\x1b\u202e") || strings.Contains(got, "\n# h") {
		t.Errorf("a fence is open, or a control character or a heading is there:\n%s", got)
	}
}

func TestCardForms(t *testing.T) {
	tests := []struct {
		name, taskType, base string
		labels               []string
		want                 []string
		not                  []string
	}{
		{"regression", "SEQ_CLS", "roberta-base", nil,
			[]string{`num_labels=1, problem_type="regression"`, "The single logit is the predicted value"}, []string{"labels ="}},
		{"tagging", "TOKEN_CLS", "org/roberta-base", []string{"O", "B-X"},
			[]string{"AutoModelForTokenClassification", "pipeline_tag: token-classification", `base_model: "org/roberta-base"`, `labels = ["O", "B-X"]`}, nil},
		{"a folder as base", "SEQ_CLS", "/models/a b", []string{"x"},
			[]string{`base = "/models/a b"`}, []string{"base_model:"}},
		{"generation", "CAUSAL_LM", "gpt2", nil,
			[]string{"AutoModelForCausalLM.from_pretrained(base)", "pipeline_tag: text-generation"}, []string{"num_labels"}},
		{"no task type", "", "", nil, []string{"# LoRA adapter\n"}, []string{"## Use", "## Scores", "pipeline_tag", "base_model"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := testAdapter()
			a.Config.TaskType, a.Config.BaseModel = tt.taskType, tt.base
			got := ModelCard{Labels: tt.labels}.markdown(a)
			for _, w := range tt.want {
				if !strings.Contains(got, w) {
					t.Errorf("lacks %q:\n%s", w, got)
				}
			}
			for _, n := range append(tt.not, "license") {
				if strings.Contains(got, n) {
					t.Errorf("has %q:\n%s", n, got)
				}
			}
		})
	}
}

// What a card shows was run: a model prompted so gives what autolora predict gives.
func TestCardOfModel(t *testing.T) {
	if got := (ModelCard{}).Model("org/model", "CAUSAL_LM"); !strings.Contains(got, `- "base_model:finetune:org/model"`) {
		t.Errorf("the base of a whole model is not in its card:\n%s", got)
	}
	for _, c := range []struct {
		task string
		card ModelCard
		want []string
	}{
		{"CAUSAL_LM", ModelCard{Length: 48, Search: "max_new_tokens=20, do_sample=False"}, []string{
			"model = AutoModelForCausalLM.from_pretrained(folder).eval()\ntokenizer = AutoTokenizer.from_pretrained(folder)\n",
			`inputs = tokenizer(source + tokenizer.eos_token, return_tensors="pt")`,
			"model.generate(**inputs, max_new_tokens=20, do_sample=False, pad_token_id=", "A prompt is the source and", "\nvllm serve path/to/this/folder\n", "\nllama-server -m model.gguf\n", "`/v1/completions`"}},
		{"CAUSAL_LM", ModelCard{Foreign: true}, []string{"tokenizer(source, return_tensors", "is not known here: give it such", "`/v1/chat/completions`"}},
		{"CAUSAL_LM", ModelCard{Chat: true}, []string{"A prompt is a conversation", "\nvllm serve ", "`/v1/chat/completions`"}},
		{"SEQ_CLS", ModelCard{Length: 48, Pairs: true, Labels: []string{"a", "b"}}, []string{
			`tokenizer("a text", "the text beside it", truncation=True, max_length=48, return_tensors="pt")`, "id2label[logits.argmax()"}},
		{"SEQ_CLS", ModelCard{Labels: []string{"a", "b"}, Several: true, Threshold: 0.4}, []string{
			"probabilities = logits.sigmoid().tolist()\nprint([model.config.id2label[i] for i, p in enumerate(probabilities) if p > 0.4], probabilities)"}},
		{"SEQ_CLS", ModelCard{}, []string{`tokenizer("a text", return_tensors="pt")`, "print(logits.item())"}},
		{"TOKEN_CLS", ModelCard{Labels: []string{"O"}}, []string{
			"from_pretrained(folder)\nletters = tokenizer.backend_tokenizer.pre_tokenizer\n", "add_prefix_space = True", "is_split_into_words=True"}},
	} {
		got := c.card.Model("/home/me/model", c.task)
		for _, want := range append(c.want, "base model `/home/me/model` (its folder where this was made: its name on the hub is not known)") {
			if !strings.Contains(got, want) {
				t.Errorf("%s lacks %q:\n%s", c.task, want, got)
			}
		}
	}
}
