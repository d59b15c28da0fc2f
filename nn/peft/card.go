package peft

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"autolora/human"
)

// ModelCard is what the README.md of an adapter says beyond the adapter itself.
// Empty parts are left out. No licence is stated: that of the base model and of
// the data is not known here.
type ModelCard struct {
	Task   string   // what the adapter was trained for, "sst2"
	Labels []string // in the order of the logits; none for regression
	Pairs  bool     // a text is a pair of texts
	Chat   bool     // a prompt is a conversation, laid out by the tokenizer's chat template
	// Foreign is set where another program trained it: what a prompt is, is not known.
	Foreign bool
	// Several is set where a text may have any number of the labels: those with a
	// probability above Threshold.
	Several   bool
	Threshold float64
	Length    int    // tokens to which texts are cut; 0: not known
	Search    string // arguments of transformers' generate, as Python has them; "": its own
	Scores    []Score
	Made      []Fact // how it was made: settings, seed, version, …
}

// Score is a measured value, such as an accuracy as a fraction of 1.
type Score struct {
	Name  string
	Value float64
}

// Fact is a line of a card's account of how the adapter was made.
type Fact struct {
	Name, Value string
}

// cardTask has, for the task types whose loading a card can show, the
// transformers class that takes the adapter's head, and the hub's name of the
// task.
var cardTask = map[string]struct{ class, pipeline string }{
	"SEQ_CLS":   {"AutoModelForSequenceClassification", "text-classification"},
	"TOKEN_CLS": {"AutoModelForTokenClassification", "token-classification"},
	"CAUSAL_LM": {"AutoModelForCausalLM", "text-generation"},
}

// hubName matches names of models on the hub, as opposed to folders.
var hubName = regexp.MustCompile(`^[\w-][\w.-]*(/[\w.-]+)?$`)

// plainTag matches tags that YAML reads as they are.
var plainTag = regexp.MustCompile(`^[a-z][a-z0-9_-]*$`)

// markdown renders the card for a.
func (m ModelCard) markdown(a *Adapter) string {
	var b strings.Builder
	c := &a.Config
	b.WriteString(FrontMatter("peft", c.BaseModel, c.TaskType, "autolora", "lora"))
	b.WriteString(m.Title("LoRA adapter"))
	adapter, head := a.Parameters()
	fmt.Fprintf(&b, "A LoRA adapter")
	if c.BaseModel != "" {
		b.WriteString(" for " + BaseModel(c.BaseModel))
	}
	fmt.Fprintf(&b, ", with a rank of its own for each layer. It has %d parameters", adapter)
	if head > 0 {
		fmt.Fprintf(&b, ", and %d in the saved modules", head)
	}
	b.WriteString(". It was made with autolora.\n\n")
	m.usage(&b, c)
	b.WriteString(m.ScoreTable() + rankTable(a) + m.MadeTable())
	return strings.TrimSuffix(b.String(), "\n")
}

// ScoreTable returns the card's section of scores, or "" without scores.
func (m ModelCard) ScoreTable() string {
	rows := [][]string{{"metric", "value"}}
	for _, s := range m.Scores {
		rows = append(rows, []string{s.Name, fmt.Sprintf("%.4f", s.Value)})
	}
	return section("Scores", rows)
}

// MadeTable returns the card's section on how the adapter was made, or "".
func (m ModelCard) MadeTable() string {
	rows := [][]string{{"", ""}}
	for _, f := range m.Made {
		rows = append(rows, []string{f.Name, f.Value})
	}
	return section("How it was made", rows)
}

// section returns a section of one table, whose first row is its head; "" without
// others.
func section(title string, rows [][]string) string {
	if len(rows) < 2 {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "## %s\n\n", title)
	for i, row := range rows {
		b.WriteString("|")
		for _, text := range row {
			if text = Markdown(oneLine(text)); text != "" {
				text = " " + text
			}
			b.WriteString(text + " |")
		}
		if i == 0 {
			b.WriteString("\n|" + strings.Repeat("---|", len(row)))
		}
		b.WriteString("\n")
	}
	return b.String() + "\n"
}

// FrontMatter returns the YAML block of a card that the hub reads.
func FrontMatter(library, baseModel, taskType string, tags ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "---\nlibrary_name: %s\n", library)
	onHub := hubName.MatchString(baseModel)
	if onHub {
		fmt.Fprintf(&b, "base_model: %s\n", quote(baseModel))
		relation := "adapter"
		if library == "transformers" {
			relation = "finetune" // a model of its own
		}
		tags = append(slices.Clone(tags), "base_model:"+relation+":"+baseModel)
	}
	if t, ok := cardTask[taskType]; ok {
		fmt.Fprintf(&b, "pipeline_tag: %s\n", t.pipeline)
	}
	b.WriteString("tags:\n")
	for _, tag := range tags {
		if !plainTag.MatchString(tag) {
			tag = quote(tag)
		}
		fmt.Fprintf(&b, "- %s\n", tag)
	}
	b.WriteString("---\n\n")
	return b.String()
}

// BaseCode returns Python that loads the base model, with the card's labels, as
// model; "" for a task type that a card cannot show.
func (m ModelCard) BaseCode(base, taskType string) string {
	task, ok := cardTask[taskType]
	if !ok {
		return ""
	}
	if base == "" {
		base = "path/to/the/base/model"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "from transformers import %s, AutoTokenizer\n\nbase = %s\n", task.class, quote(base))
	switch {
	case taskType == "CAUSAL_LM":
		fmt.Fprintf(&b, "model = %s.from_pretrained(base)\n", task.class)
	case len(m.Labels) == 0:
		fmt.Fprintf(&b, "model = %s.from_pretrained(base, num_labels=1, problem_type=\"regression\")\n", task.class)
	default:
		labels := make([]string, len(m.Labels))
		for i, l := range m.Labels {
			labels[i] = quote(l)
		}
		fmt.Fprintf(&b, "labels = [%s]\n", strings.Join(labels, ", "))
		problem := ""
		if m.Several {
			problem = "    problem_type=\"multi_label_classification\",\n"
		}
		fmt.Fprintf(&b, "model = %s.from_pretrained(\n    base,\n    num_labels=len(labels),\n%s"+
			"    id2label=dict(enumerate(labels)),\n    label2id={label: i for i, label in enumerate(labels)},\n)\n", task.class, problem)
	}
	return b.String()
}

// Ask ends the Python of a card, which has made model: it loads the tokenizer of a
// folder or a name, gives both an input as they were trained on, and prints what
// comes of it. After that comes what Python does not say.
func (m ModelCard) Ask(from, taskType string) string {
	words := ""
	if taskType == "TOKEN_CLS" {
		words = spaceBeforeWords
	}
	return fmt.Sprintf("tokenizer = AutoTokenizer.from_pretrained(%s)\n%s%s```\n\n%s", from, words, m.askCode(taskType), m.asked(taskType))
}

// spaceBeforeWords is what AutoTokenizer's add_prefix_space=True is to do, as
// data/tokenizer does it: transformers 5 leaves it undone in tokenizers without a class of
// their own (ModernBERT's), and does it in Qwen2's, where transformers 4 did not. Of the
// tokenizer itself RoBERTa's asks for it.
const spaceBeforeWords = `letters = tokenizer.backend_tokenizer.pre_tokenizer
if hasattr(letters, "add_prefix_space"):  # as in training, a space is before every word
    letters.add_prefix_space = tokenizer.add_prefix_space = True
`

func (m ModelCard) askCode(taskType string) string {
	cut := ""
	if m.Length > 0 {
		cut = fmt.Sprintf("truncation=True, max_length=%d, ", m.Length)
	}
	switch taskType {
	case "CAUSAL_LM":
		search := m.Search
		if search != "" {
			search += ", "
		}
		if m.Chat {
			return `messages = [{"role": "user", "content": "what to answer"}]
inputs = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt", return_dict=True)
written = model.generate(**inputs, ` + search + `pad_token_id=tokenizer.eos_token_id)
print(tokenizer.decode(written[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True).strip())
`
		}
		end := " + tokenizer.eos_token"
		if m.Foreign {
			end = ""
		}
		return `source = "what to write from"
inputs = tokenizer(source` + end + `, return_tensors="pt")
written = model.generate(**inputs, ` + search + `pad_token_id=tokenizer.eos_token_id)
print(tokenizer.decode(written[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True).strip())
`
	case "TOKEN_CLS":
		return `words = ["A", "sentence", "in", "words", "."]
inputs = tokenizer(words, is_split_into_words=True, return_tensors="pt")
best = model(**inputs).logits[0].argmax(-1).tolist()
first = [inputs.word_ids().index(i) for i in range(len(words))]  # whose token has the word's tag
print([(word, model.config.id2label[best[at]]) for word, at in zip(words, first)])
`
	}
	text := `"a text"`
	if m.Pairs {
		text += `, "the text beside it"`
	}
	code := fmt.Sprintf("inputs = tokenizer(%s, %sreturn_tensors=\"pt\")\nlogits = model(**inputs).logits[0]\n", text, cut)
	if len(m.Labels) == 0 {
		return code + "print(logits.item())\n"
	}
	if m.Several {
		return code + fmt.Sprintf("probabilities = logits.sigmoid().tolist()\n"+
			"print([model.config.id2label[i] for i, p in enumerate(probabilities) if p > %v], probabilities)\n", m.Threshold)
	}
	return code + "print(model.config.id2label[logits.argmax().item()], logits.softmax(-1).tolist())\n"
}

// asked says what Python does not.
func (m ModelCard) asked(taskType string) string {
	switch {
	case taskType != "CAUSAL_LM":
		return ""
	case m.Foreign:
		return "What form its prompts had in training is not known here: give it such.\n\n"
	}
	prompt := "A prompt is the source and the tokenizer's token for the end of a text, with nothing else around it; what the model writes " +
		"up to the next such token is the text."
	if m.Chat {
		prompt = "A prompt is a conversation as the tokenizer's chat template lays it out (`chat_template`), with what it asks the assistant with at its " +
			"end; what the model writes up to the token that closes a turn is the answer."
	}
	return prompt + " `autolora predict` searches by the rules of LoRA's own code unless its beam-rules are `transformers`; " +
		"greedy search (one beam) is the same in both.\n\n"
}

// Model renders the card of a whole model that was made of base.
func (m ModelCard) Model(base, taskType string) string {
	var b strings.Builder
	b.WriteString(FrontMatter("transformers", base, taskType, "autolora"))
	b.WriteString(m.Title("Model"))
	if base != "" {
		b.WriteString("Made with autolora from " + BaseModel(base) + ".\n\n")
	}
	if task, ok := cardTask[taskType]; ok {
		fmt.Fprintf(&b, "## Use\n\n```python\nfrom transformers import %[1]s, AutoTokenizer\n\nfolder = \"path/to/this/folder\"\nmodel = %[1]s.from_pretrained(folder).eval()\n%[2]s",
			task.class, m.Ask("folder", taskType))
	}
	if taskType == "CAUSAL_LM" {
		b.WriteString("In vLLM and llama.cpp:\n\n```\nvllm serve path/to/this/folder\n\n" +
			"python convert_hf_to_gguf.py path/to/this/folder --outfile model.gguf    # of llama.cpp\nllama-server -m model.gguf\n```\n\n" + m.served())
	}
	b.WriteString(m.ScoreTable() + m.MadeTable())
	return strings.TrimSuffix(b.String(), "\n")
}

// served says where the servers of vLLM and llama.cpp take a prompt of the model's form.
func (m ModelCard) served() string {
	switch {
	case m.Foreign:
		return "The server takes a prompt as it is at `/v1/completions`, and a conversation for the chat template at `/v1/chat/completions`.\n\n"
	case m.Chat:
		return "The server lays out by the chat template what it gets at `/v1/chat/completions`.\n\n"
	}
	return "The server takes such a prompt, its last token written out, at `/v1/completions`.\n\n"
}

// GGUF renders the card of a LoRA adapter for base in llama.cpp's form, which file
// has.
func (m ModelCard) GGUF(base, taskType, file string) string {
	var b strings.Builder
	b.WriteString(FrontMatter("llama.cpp", base, taskType, "autolora", "lora", "gguf"))
	b.WriteString(m.Title("LoRA adapter"))
	b.WriteString("A LoRA adapter")
	if base != "" {
		b.WriteString(" for " + BaseModel(base))
	}
	fmt.Fprintf(&b, ", in llama.cpp's form. It was made with autolora.\n\n## Use\n\n```\n"+
		"python convert_hf_to_gguf.py path/to/the/base/model --outfile base.gguf    # of llama.cpp\nllama-server -m base.gguf --lora %s\n```\n\n%s",
		file, m.asked(taskType)+m.served())
	b.WriteString(m.ScoreTable() + m.MadeTable())
	return strings.TrimSuffix(b.String(), "\n")
}

// usage shows how to load the adapter in PEFT.
func (m ModelCard) usage(b *strings.Builder, c *Config) {
	if _, ok := cardTask[c.TaskType]; !ok {
		return
	}
	fmt.Fprintf(b, "## Use\n\n```python\nfrom peft import PeftModel\n%s", m.BaseCode(c.BaseModel, c.TaskType))
	b.WriteString("model = PeftModel.from_pretrained(model, \"path/to/this/folder\").eval()\n" + m.Ask("base", c.TaskType))
	switch {
	case c.TaskType == "CAUSAL_LM":
	case len(m.Labels) == 0:
		b.WriteString("The single logit is the predicted value. The adapter does not store this: " +
			"the base model must be built with `num_labels=1`, as above.\n\n")
	default:
		fmt.Fprintf(b, "The adapter does not store its labels: the base model must be built with `num_labels=%d`, "+
			"and the logits are in the order of `labels`, as above.\n\n", len(m.Labels))
	}
}

// rankTable returns the section of ranks, blocks by kinds of layer.
func rankTable(a *Adapter) string {
	ranks := map[[2]string]string{}
	var blocks, kinds []string
	note := ""
	for _, l := range a.Layers {
		block, kind := splitBlock(l.Name)
		if !slices.Contains(blocks, block) {
			blocks = append(blocks, block)
		}
		if !slices.Contains(kinds, kind) {
			kinds = append(kinds, kind)
		}
		ranks[[2]string{block, kind}] = strconv.Itoa(l.Rank)
		if l.Rank == 0 {
			note = "A layer of rank 0 is exactly that of the base model and not in the files.\n\n"
		}
	}
	slices.SortFunc(blocks, compareNames)
	rows := [][]string{append([]string{"block"}, kinds...)}
	for _, block := range blocks {
		row := []string{block}
		for _, kind := range kinds {
			row = append(row, ranks[[2]string{block, kind}])
		}
		rows = append(rows, row)
	}
	return section("Ranks", rows) + note
}

var blockNumber = regexp.MustCompile(`^(.*?\.\d+)\.(.+)$`)

// splitBlock splits a module's name after its block number:
// "roberta.encoder.layer.3" and "attention.self.query".
func splitBlock(name string) (block, rest string) {
	if m := blockNumber.FindStringSubmatch(name); m != nil {
		return m[1], m[2]
	}
	return name, "rank"
}

// quote writes s as a literal that Python and YAML read alike.
func quote(s string) string { return strconv.Quote(s) }

// Title returns the heading of a card, which begins with what the adapter is.
func (m ModelCard) Title(kind string) string {
	if m.Task != "" {
		kind += " for " + m.Task
	}
	return "# " + Markdown(oneLine(kind)) + "\n\n"
}

// BaseModel returns "the base model NAME", and of a folder that no other machine
// need have that this is all that is known.
func BaseModel(name string) string {
	text := "the base model " + code(name)
	if !hubName.MatchString(name) {
		text += " (its folder where this was made: its name on the hub is not known)"
	}
	return text
}

// Markdown returns a line that Markdown and HTML show as it is and do not take for
// more. Names and texts of somebody else's may have markup.
func Markdown(line string) string { return markdownEscapes.Replace(line) }

var markdownEscapes = strings.NewReplacer(`\`, `\\`, "|", `\|`, "*", `\*`, "_", `\_`, "`", "\\`", "<", "&lt;", "&", "&amp;", "[", `\[`, "#", `\#`, "~", `\~`, "$", `\$`)

// code returns s as code within a line of Markdown.
func code(s string) string { return "`" + strings.ReplaceAll(oneLine(s), "`", "'") + "`" }

// oneLine returns s with single spaces for white space, and without what would
// steer a terminal or turn the direction of what follows.
func oneLine(s string) string { return human.Line(strings.Join(strings.Fields(s), " ")) }
