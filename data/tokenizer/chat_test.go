package tokenizer

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"autolora/data"
	"autolora/data/datatest"
)

// messages reads a list of messages as a file of conversations has it.
func messages(t testing.TB, list, tools json.RawMessage, on data.TrainOn) *data.Conversation {
	t.Helper()
	row := fmt.Sprintf(`{"messages": %s, "tools": %s}`, list, append(json.RawMessage{}, tools...))
	if len(tools) == 0 {
		row = fmt.Sprintf(`{"messages": %s}`, list)
	}
	file := filepath.Join(t.TempDir(), "a.jsonl")
	if err := os.WriteFile(file, []byte(row), 0o644); err != nil {
		t.Fatal(err)
	}
	splits, err := data.FileTask{Test: file, Kind: data.Chat, Text: []string{"messages"}, TrainOn: on}.Load()
	if err != nil {
		t.Fatal(err)
	}
	return splits.Test[0].Examples[0].Chat
}

// chatTokenizer opens a tokenizer beside this file with settings and a template of data/chattemplate.
func chatTokenizer(t testing.TB, files []string, settings map[string]any, template string) *Tokenizer {
	t.Helper()
	dir := t.TempDir()
	for _, file := range files {
		text, err := os.ReadFile(filepath.Join("testdata", file))
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Base(file)
		if name == "prepend.json" {
			name = "tokenizer.json"
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := json.Marshal(settings)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "tokenizer_config.json"), text, 0o644)
	}
	if err == nil && template != "" {
		err = os.WriteFile(filepath.Join(dir, templateFile), []byte(template), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	tok, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tok.Close() })
	return tok
}

// realTemplate is one of data/chattemplate.
func realTemplate(t testing.TB, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../chattemplate/testdata/templates", name+".jinja"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

var gpt2Files = []string{"gpt2/vocab.json", "gpt2/merges.txt"}

// gpt2Chat opens GPT-2's tokenizer with special tokens and a template.
func gpt2Chat(t testing.TB, template string, special ...string) *Tokenizer {
	return chatTokenizer(t, gpt2Files, map[string]any{
		"tokenizer_class": "GPT2Tokenizer", "bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>", "additional_special_tokens": special,
	}, template)
}

// TestChatIDs compares ids with transformers', and which of them are trained on with its mask of the assistant's.
func TestChatIDs(t *testing.T) {
	var golden struct {
		Configs map[string]struct {
			Files    []string
			Settings map[string]map[string]any
		}
		Conversations map[string]struct{ Messages, Tools json.RawMessage }
		Cases         []struct {
			Tokenizer, Template, Conversation string
			Prompt                            bool
			IDs                               []int32
			Mask                              []int
		}
	}
	datatest.ReadJSON(t, "testdata/golden_chat.json.gz", &golden)
	opened := map[string]*Tokenizer{}
	for _, c := range golden.Cases {
		config, conversation := golden.Configs[c.Tokenizer], golden.Conversations[c.Conversation]
		tok := opened[c.Tokenizer+c.Template]
		if tok == nil {
			tok = chatTokenizer(t, config.Files, config.Settings[c.Template], realTemplate(t, c.Template))
			opened[c.Tokenizer+c.Template] = tok
		}
		on := data.TrainOnAll
		if c.Mask != nil {
			on = data.TrainOnAssistant
		}
		chat := messages(t, conversation.Messages, conversation.Tools, on)
		if c.Prompt {
			chat = chat.Prompt()
		}
		enc, truncated, err := tok.EncodeChat(chat, 0)
		name := fmt.Sprint(c.Tokenizer, " ", c.Template, " ", c.Conversation, " ", c.Prompt)
		want := c.IDs
		if c.Mask != nil && !c.Prompt { // what comes after the last that is to be written is left out
			want = want[:len(c.Mask)-slices.Index(reversed(c.Mask), 1)]
		}
		if err != nil || truncated || !slices.Equal(enc.IDs, want) {
			t.Errorf("%s: got %v, %v\nwant %v", name, enc.IDs, err, want)
			continue
		}
		if c.Mask == nil || c.Prompt {
			continue
		}
		mask := make([]int, len(c.Mask))
		for _, s := range enc.Trained {
			for i := s.From; i < s.To; i++ {
				mask[i] = 1
			}
		}
		if !slices.Equal(mask, c.Mask) {
			t.Errorf("%s: got the mask %v\nwant %v", name, mask, c.Mask)
		}
	}
}

func reversed(list []int) []int {
	list = slices.Clone(list)
	slices.Reverse(list)
	return list
}

// marked is an example's text, with what is trained on between brackets.
func marked(t testing.TB, tok *Tokenizer, c *data.Conversation, maxLength int) string {
	t.Helper()
	parts, err := tok.Parts(data.Example{Chat: c}, maxLength)
	if err != nil {
		return "error: " + err.Error()
	}
	var b strings.Builder
	for _, part := range parts {
		if part.Written {
			part.Text = "[" + part.Text + "]"
		}
		b.WriteString(part.Text)
	}
	return b.String()
}

const (
	oneTurn = `[{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]`
	turns   = `[{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"}, {"role": "assistant", "content": "d"}]`
)

// TestTrainedParts shows what is trained on with the templates of models: the assistant's words and what ends its turn,
// each turn once, in the form in which the model is asked for it.
func TestTrainedParts(t *testing.T) {
	chatML, gemma, llama := []string{"<|im_start|>", "<|im_end|>"}, []string{"<start_of_turn>", "<end_of_turn>"}, []string{"<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"}
	phi := []string{"<|user|>", "<|assistant|>", "<|end|>"}
	const thought = `[{"role": "user", "content": "a"}, {"role": "assistant", "content": "b", "reasoning_content": "hm"}, {"role": "user", "content": "c"}, {"role": "assistant", "content": "d"}]`
	const calls = `[{"role": "user", "content": "a"}, {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "f", "arguments": {}}}]}, {"role": "tool", "content": "1"}, {"role": "assistant", "content": "d"}]`
	for _, c := range []struct {
		template string
		special  []string
		messages string
		on       data.TrainOn
		want     []string
	}{
		{"phi4", append(chatML, "<|im_sep|>"), turns, data.TrainOnAssistant, []string{
			"<|im_start|>user<|im_sep|>a<|im_end|><|im_start|>assistant<|im_sep|>[b<|im_end|>]<|im_start|>user<|im_sep|>c<|im_end|><|im_start|>assistant<|im_sep|>[d<|im_end|>]"}},
		{"phi4", append(chatML, "<|im_sep|>"), turns, data.TrainOnLast, []string{
			"<|im_start|>user<|im_sep|>a<|im_end|><|im_start|>assistant<|im_sep|>b<|im_end|><|im_start|>user<|im_sep|>c<|im_end|><|im_start|>assistant<|im_sep|>[d<|im_end|>]"}},
		{"phi4", append(chatML, "<|im_sep|>"), `[{"role": "user", "content": "a"}]`, data.TrainOnAll, []string{"<|im_start|>[user<|im_sep|>a<|im_end|>]"}},
		// A special token at the end of an answer is part of it, and does not close the turn.
		{"smollm2", append(chatML, "<|yes|>"), `[{"role": "system", "content": "s"}, {"role": "user", "content": "a"}, {"role": "assistant", "content": "<|yes|>"}, {"role": "user", "content": "c"}, {"role": "assistant", "content": "d\n<|yes|>"}]`, data.TrainOnAssistant, []string{
			"<|im_start|>system\ns<|im_end|>\n<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\n[<|yes|><|im_end|>]\n<|im_start|>user\nc<|im_end|>\n<|im_start|>assistant\n[d\n<|yes|><|im_end|>]"}},
		{"phi3", phi, turns, data.TrainOnAssistant, []string{
			"<|user|>\na<|end|>\n<|assistant|>\n[b<|end|>]\n<|user|>\nc<|end|>\n<|assistant|>\n[d<|end|>]"}},
		{"gemma3", gemma, turns, data.TrainOnAssistant, []string{
			"<|endoftext|><start_of_turn>user\na<end_of_turn>\n<start_of_turn>model\n[b<end_of_turn>]\n<start_of_turn>user\nc<end_of_turn>\n<start_of_turn>model\n[d<end_of_turn>]"}},
		{"gemma3_training", gemma, `[{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"}, {"role": "assistant", "content": "d", "weight": 0}, {"role": "user", "content": "e"}, {"role": "assistant", "content": "f"}]`, data.TrainOnAssistant, []string{
			"<|endoftext|><start_of_turn>user\na<end_of_turn>\n<start_of_turn>model\n[b<end_of_turn>\n]<start_of_turn>user\nc<end_of_turn>\n<start_of_turn>model\nd<end_of_turn>\n<start_of_turn>user\ne<end_of_turn>\n<start_of_turn>model\n[f<end_of_turn>\n]"}},
		{"gemma3_training", gemma, turns, data.TrainOnLast, []string{
			"<|endoftext|><start_of_turn>user\na<end_of_turn>\n<start_of_turn>model\nb<end_of_turn>\n<start_of_turn>user\nc<end_of_turn>\n<start_of_turn>model\n[d<end_of_turn>\n]"}},
		{"llama3_2", llama, turns, data.TrainOnAssistant, []string{
			"<|endoftext|><|start_header_id|>system<|end_header_id|>\n\nCutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n<|eot_id|><|start_header_id|>user<|end_header_id|>\n\na<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n[b<|eot_id|>]<|start_header_id|>user<|end_header_id|>\n\nc<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n[d<|eot_id|>]"}},
		{"mistral_7b", nil, turns, data.TrainOnAssistant, []string{
			"<|endoftext|>[INST] a [/INST][b<|endoftext|>][INST] c [/INST][d<|endoftext|>]"}},
		{"zephyr", nil, turns, data.TrainOnAssistant, []string{
			"<|user|>\na<|endoftext|>\n<|assistant|>\n[b<|endoftext|>]\n<|user|>\nc<|endoftext|>\n<|assistant|>\n[d<|endoftext|>]"}},
		// Qwen3 leaves the thoughts of earlier turns out, so each of its turns is an example.
		{"qwen3", chatML, thought, data.TrainOnAssistant, []string{
			"<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\n[<think>\nhm\n</think>\n\nb<|im_end|>]",
			"<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\nb<|im_end|>\n<|im_start|>user\nc<|im_end|>\n<|im_start|>assistant\n[<think>\n\n</think>\n\nd<|im_end|>]"}},
		{"qwen3", chatML, calls, data.TrainOnAssistant, []string{
			"<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\n[<think>\n\n</think>\n\n<tool_call>\n{\"name\": \"f\", \"arguments\": {}}\n</tool_call><|im_end|>]",
			"<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\n<tool_call>\n{\"name\": \"f\", \"arguments\": {}}\n</tool_call><|im_end|>\n<|im_start|>user\n<tool_response>\n1\n</tool_response><|im_end|>\n<|im_start|>assistant\n[<think>\n\n</think>\n\nd<|im_end|>]"}},
		{"qwen2_5_training", chatML, oneTurn, data.TrainOnAssistant, []string{
			"<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\n<|im_start|>user\na<|im_end|>\n<|im_start|>assistant[\nb<|im_end|>\n]"}},
	} {
		t.Run(c.template, func(t *testing.T) {
			tok := gpt2Chat(t, realTemplate(t, c.template), c.special...)
			pieces, err := tok.SplitChat(messages(t, json.RawMessage(c.messages), nil, c.on))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, piece := range pieces {
				got = append(got, marked(t, tok, piece, 0))
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got %q\nwant %q", got, c.want)
			}
		})
	}
}

// TestToolArguments: OpenAI's arguments, JSON in a text, are written as a template writes an object, unless it writes the
// text itself; DeepSeek's takes a text alone.
func TestToolArguments(t *testing.T) {
	const deepSeek = "{% for m in messages %}{{ m.role }}:{% for c in m.tool_calls or [] %}{{ c.function.name + ' ' + c.function.arguments }}{% endfor %}{{ m.content }}\n{% endfor %}"
	for _, c := range []struct{ template, arguments, want string }{
		{realTemplate(t, "llama3_2"), `"{\"b\": [1.50]}"`, `{"name": "f", "parameters": {"b": [1.5]}}`},
		{realTemplate(t, "llama3_2"), `{"b": [1.50]}`, `{"name": "f", "parameters": {"b": [1.5]}}`},
		{realTemplate(t, "llama3_2"), `"none"`, `{"name": "f", "parameters": "none"}`},
		{realTemplate(t, "qwen2_5"), `"{\"b\": 1}"`, `{"name": "f", "arguments": {"b": 1}}`},
		{realTemplate(t, "qwen3"), `"{\"b\":1}"`, `{"name": "f", "arguments": {"b":1}}`},
		{deepSeek, `"{\"b\": 1}"`, `f {"b": 1}`},
	} {
		list := fmt.Sprintf(`[{"role": "user", "content": "a"}, {"role": "assistant", "content": "", "tool_calls": [{"type": "function", "function": {"name": "f", "arguments": %s}}]}]`, c.arguments)
		if got := marked(t, gpt2Chat(t, c.template), messages(t, json.RawMessage(list), nil, data.TrainOnAll), 0); !strings.Contains(got, c.want) {
			t.Errorf("%s: got %s, want %s", c.arguments, got, c.want)
		}
	}
}

// TestToolsLeftOut: nothing is learnt of a conversation whose calls, tools or answers a template leaves out.
func TestToolsLeftOut(t *testing.T) {
	const ask, call, answer = `{"role": "user", "content": "a"}`, `{"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "f", "arguments": {}}}]}`, `{"role": "tool", "content": "1"}`
	const said = `{"role": "assistant", "content": "d", "tool_calls": []}`
	for _, c := range []struct{ template, messages, tools, lost string }{
		{"smollm2", ask + "," + call, "", "the tool calls of message 2"},
		{"smollm2", ask + "," + said, `[{"name": "f"}]`, "the tools"},
		{"smollm2", ask + "," + said + "," + answer + "," + said, "", ""},
		{"phi3_5", ask + "," + said + "," + answer + "," + said, "", "message 3, a tool's answer"},
		{"qwen3", ask + "," + call + "," + answer + "," + said, `[{"name": "f"}]`, ""},
	} {
		for _, on := range []data.TrainOn{data.TrainOnAssistant, data.TrainOnAll} {
			_, err := gpt2Chat(t, realTemplate(t, c.template), "<|end|>", "<|im_end|>").SplitChat(messages(t, json.RawMessage("["+c.messages+"]"), json.RawMessage(c.tools), on))
			if got, want := fmt.Sprint(err), "the chat template does not write "+c.lost+": want one that does, or conversations without tools"; err == nil && c.lost != "" || err != nil && got != want {
				t.Errorf("%s, %s %s: got %v, want %q", c.template, c.messages, c.tools, err, c.lost)
			}
		}
	}
}

// TestPlainChat lays conversations out for a model without a template, as sources and targets are.
func TestPlainChat(t *testing.T) {
	tok := gpt2Chat(t, "")
	const end = "<|endoftext|>"
	for list, want := range map[string]string{
		turns: "a" + end + "[ b" + end + "]c" + end + "[ d" + end + "]",
		`[{"role": "system", "content": "s"}, {"role": "user", "content": " a\n"}, {"role": "assistant", "content": " b "}]`: "s\na" + end + "[ b" + end + "]",
		`[{"role": "user", "content": "a"}]`:                                                           "a" + end,
		`[{"role": "assistant", "content": "a"}]`:                                                      "error: message 1 is the assistant's, and the model has no chat template: want a message before it",
		`[{"role": "user", "content": "a"}, {"role": "tool", "content": "a"}]`:                         "error: the conversation has tools, and the model no chat template that says how they are written",
		`[{"role": "user", "content": "a"}, {"role": "assistant", "tool_calls": [{"function": "f"}]}]`: "error: message 2: the assistant says nothing, and the model has no chat template that says how its tool calls are written",
	} {
		if got := marked(t, tok, messages(t, json.RawMessage(list), nil, data.TrainOnAssistant), 0); got != want {
			t.Errorf("%s: got %s\nwant %s", list, got, want)
		}
	}
	source, _, err := tok.EncodeGeneration("a", "b", 0)
	chat, _, err2 := tok.EncodeChat(messages(t, json.RawMessage(oneTurn), nil, data.TrainOnAssistant), 0)
	if err != nil || err2 != nil || !slices.Equal(source.IDs, chat.IDs) || !slices.Equal(source.Trained, chat.Trained) {
		t.Errorf("one turn is %+v, source and target are %+v", chat, source)
	}
}

// TestChatCut cuts conversations so that something to be written is always left.
func TestChatCut(t *testing.T) {
	tok := gpt2Chat(t, "{% for m in messages %}{{ m.content }}{% if m.role == 'assistant' %}<|im_end|>{% endif %}{% endfor %}", "<|im_end|>")
	long := func(asked, answer string) string {
		return fmt.Sprintf(`[{"role": "user", "content": %q}, {"role": "assistant", "content": %q}]`, asked, answer)
	}
	for _, c := range []struct {
		list string
		max  int
		want string
	}{
		{long("#$&(", "=?@"), 8, "#$&([=?@<|im_end|>]"},
		{long("#$&(", "=?@"), 6, "#$&([=?@]"},
		{long("#$&(", "=?@"), 5, "#$&([=?]"},
		{long("#$&(", "=?@"), 3, "([=?]"},
		{long("#$&()*+,", "="), 4, "+,[=<|im_end|>]"},
		{long("#$&()*+,", "=?@_"), 3, ",[=?]"},
		{`[{"role": "user", "content": "#$&()*+,"}]`, 3, "*+,"},
	} {
		enc, truncated, err := tok.EncodeChat(messages(t, json.RawMessage(c.list), nil, data.TrainOnAssistant), c.max)
		got := marked(t, tok, messages(t, json.RawMessage(c.list), nil, data.TrainOnAssistant), c.max)
		if err != nil || len(enc.IDs) > c.max || truncated != (c.max < 8) || got != c.want {
			t.Errorf("%s, %d: got %s, %v, %v, want %s", c.list, c.max, got, truncated, err, c.want)
		}
	}
}

func TestChatEnd(t *testing.T) {
	for template, want := range map[string]string{"": "", "zephyr": "", "gemma3": "<end_of_turn>", "smollm2": "<|im_end|>", "phi3": "<|end|>", "llama3_2": "<|eot_id|>"} {
		source := ""
		if template != "" {
			source = realTemplate(t, template)
		}
		tok := gpt2Chat(t, source, "<end_of_turn>", "<|im_end|>", "<|end|>", "<|eot_id|>", "<|im_start|>")
		end, err := tok.ChatEnd()
		got := ""
		if len(end) == 2 {
			got, _ = tok.Decode(end[1:], false)
		}
		if err != nil || end[0] != tok.eos || got != want {
			t.Errorf("%s: got %v (%s), %v, want %s", template, end, got, err, want)
		}
	}
}

func TestChatTemplates(t *testing.T) {
	one := messages(t, json.RawMessage(turns), nil, data.TrainOnAssistant).Prompt()
	tools := messages(t, json.RawMessage(turns), json.RawMessage(`[{"name": "f"}]`), data.TrainOnAssistant).Prompt()
	load := func(settings map[string]any) *Tokenizer {
		settings["tokenizer_class"], settings["eos_token"] = "GPT2Tokenizer", "<|endoftext|>"
		return chatTokenizer(t, gpt2Files, settings, "")
	}
	named := load(map[string]any{"chat_template": []map[string]string{{"name": "default", "template": "d"}, {"name": "tool_use", "template": "t"}}})
	if a, b := marked(t, named, one, 0), marked(t, named, tools, 0); a != "d" || b != "t" {
		t.Errorf("named templates: got %s, %s", a, b)
	}
	if got := marked(t, load(map[string]any{"chat_template": "{{ eos_token }}{{ bos_token }}x"}), one, 0); got != "<|endoftext|>x" {
		t.Errorf("special tokens: got %s", got)
	}
	for name, c := range map[string]struct{ template, want string }{
		"broken":  {"{% if %}", "error: FILE: the chat template: line 1: unexpected end of block"},
		"raises":  {"{{ raise_exception('no such role') }}", "error: the chat template refuses the conversation: no such role"},
		"nothing": {"{% generation %}{% endgeneration %}x", "error: the chat template leaves nothing of the conversation to be written"},
	} {
		tok := load(map[string]any{"chat_template": c.template})
		chat := messages(t, json.RawMessage(turns), nil, data.TrainOnAssistant)
		if got := marked(t, tok, chat, 0); got != strings.ReplaceAll(c.want, "FILE", tok.chats.file) {
			t.Errorf("%s: got %s\nwant %s", name, got, c.want)
		}
	}
	first := messages(t, json.RawMessage(`[{"role": "assistant", "content": "a"}]`), nil, data.TrainOnAssistant)
	if _, err := gpt2Chat(t, realTemplate(t, "smollm2")).SplitChat(first); err == nil || err.Error() != "message 1: the conversation begins with the assistant, for which the chat template has no prompt" {
		t.Errorf("assistant first: got %v", err)
	}
	missing := load(map[string]any{"chat_template": []map[string]string{{"name": "rag", "template": "d"}}})
	if got := marked(t, missing, one, 0); !strings.HasSuffix(got, `tokenizer_config.json: no chat template is named "default"`) {
		t.Errorf("no default: got %s", got)
	}
}

// A template that knows no parts of a content gets their texts, and one that knows them the parts.
func TestContentParts(t *testing.T) {
	chat := messages(t, json.RawMessage(`[{"role": "user", "content": [{"type": "text", "text": " a "}, {"type": "text", "text": "b"}]}]`), nil, data.TrainOnAssistant)
	for template, want := range map[string]string{
		"gemma3": "<|endoftext|><start_of_turn>user\nab<end_of_turn>\n<start_of_turn>model\n",
		"phi3":   "<|user|>\n a b<|end|>\n<|assistant|>\n",
	} {
		if got := marked(t, gpt2Chat(t, realTemplate(t, template)), chat, 0); got != want {
			t.Errorf("%s: got %q, want %q", template, got, want)
		}
	}
}
