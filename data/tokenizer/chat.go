package tokenizer

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"autolora/data"
	"autolora/data/chattemplate"
	"autolora/foreign"
	"autolora/plainjson"
)

// templateFile has a model's chat template by itself, as transformers writes it today.
const templateFile = "chat_template.jinja"

// chats lays conversations out by the templates of a model.
type chats struct {
	file    string            // where the templates were read
	sources map[string]string // by name: "default", and perhaps "tool_use" for conversations with tools
	tokens  map[string]string // the special tokens that a template may name, "bos_token" and others
	special []string          // all special tokens

	mu       sync.Mutex
	compiled map[string]compiled // by name
}

type compiled struct {
	*chattemplate.Template
	closes                string // the special token after an answer, "" if there is none
	parts                 bool   // it takes a list of parts for a message's content
	opens                 bool   // it wants what tools are called with as an object, not as OpenAI's JSON in a text
	tools, calls, answers bool   // it writes the tools, the calls of them, what they answer
}

// templates are those of tokenizer_config.json: one, or several with names.
type templates map[string]string

func (t *templates) UnmarshalJSON(text []byte) error {
	var one *string
	if plainjson.Unmarshal(text, &one) == nil {
		if one != nil {
			*t = templates{"default": *one}
		}
		return nil
	}
	var named []struct{ Name, Template string }
	if err := plainjson.Unmarshal(text, &named); err != nil {
		return fmt.Errorf("chat_template: %w", err)
	}
	*t = templates{}
	for _, n := range named {
		(*t)[n.Name] = n.Template
	}
	return nil
}

// readChats reads the chat templates of a model folder; it may have none.
func readChats(dir string, set *settings) (*chats, error) {
	c := &chats{file: filepath.Join(dir, "tokenizer_config.json"), sources: set.ChatTemplates, tokens: map[string]string{}}
	path := filepath.Join(dir, templateFile)
	switch text, err := foreign.ReadFile(path, maxFile); {
	case err == nil:
		c.file = path
		c.sources = map[string]string{"default": string(text)}
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	for name, token := range map[string]*namedToken{
		"bos_token": set.BOS, "eos_token": set.EOS, "unk_token": set.Unk, "sep_token": set.Sep, "pad_token": set.Pad, "cls_token": set.CLS, "mask_token": set.Mask,
	} {
		if token != nil {
			c.tokens[name] = token.Content
		}
	}
	return c, nil
}

// HasChatTemplate reports whether the model has a chat template.
func (t *Tokenizer) HasChatTemplate() bool { return len(t.chats.sources) > 0 }

// HasChatTemplate reports whether a model folder has a chat template.
func HasChatTemplate(dir string) (bool, error) {
	sources, err := ChatTemplates(dir)
	return len(sources) > 0, err
}

// ChatTemplates returns the chat templates of a model's or an adapter's folder by their names.
func ChatTemplates(dir string) (map[string]string, error) {
	set, err := readSettings(dir)
	if err != nil {
		return nil, err
	}
	c, err := readChats(dir, set)
	if err != nil {
		return nil, err
	}
	return c.sources, nil
}

func (c *chats) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, template := range c.compiled {
		template.Close()
	}
}

// template returns the template for conversations with or without tools, compiled.
func (c *chats) template(tools bool) (compiled, error) {
	name := "default"
	if _, ok := c.sources["tool_use"]; ok && tools {
		name = "tool_use"
	}
	source, ok := c.sources[name]
	if !ok {
		return compiled{}, fmt.Errorf("%s: no chat template is named \"default\"", c.file)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if t, ok := c.compiled[name]; ok {
		return t, nil
	}
	t, err := chattemplate.New(source)
	if err != nil {
		return compiled{}, fmt.Errorf("%s: the chat template: %w", c.file, err)
	}
	if c.compiled == nil {
		c.compiled = map[string]compiled{}
	}
	// A template that knows no parts fails, or writes the list itself.
	const probe = `[{"role":"user","content":[{"type":"text","text":"probe"}]}]`
	text, _, err := t.Render(c.variables(json.RawMessage(probe), nil, true))
	known := compiled{Template: t, parts: err == nil && strings.Contains(text, "probe") && !strings.Contains(text, "type")}
	const answer = `[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]`
	if text, _, err := t.Render(c.variables(json.RawMessage(answer), nil, false)); err == nil {
		own, closed := c.end(text, 0, "")
		known.closes = strings.TrimSpace(text[own:closed])
	}
	c.probeTools(&known)
	c.compiled[name] = known
	return known, nil
}

// probeTools finds out what a template writes of a conversation with tools. One that refuses it may do all.
func (c *chats) probeTools(t *compiled) {
	const arguments = `{"of":"probe"}`
	const called = `[{"role":"user","content":"a"},{"role":"assistant","content":"","tool_calls":[{"id":"probed000","type":"function","function":{"name":"probed_call","arguments":%s}}]},{"role":"tool","tool_call_id":"probed000","name":"probed","content":"probed_answer"}]`
	const tools = `[{"type":"function","function":{"name":"probed_tool","description":"","parameters":{"type":"object","properties":{}}}}]`
	render := func(arguments string) (string, error) {
		text, _, err := t.Render(c.variables(fmt.Appendf(nil, called, arguments), json.RawMessage(tools), true))
		return text, err
	}
	text, err := render(strconv.Quote(arguments))
	t.opens = err != nil || !strings.Contains(text, arguments)
	if err != nil {
		text, err = render(arguments)
	}
	writes := func(what string) bool { return err != nil || strings.Contains(text, what) }
	t.tools, t.calls, t.answers = writes("probed_tool"), writes("probed_call"), writes("probed_answer")
}

// whole returns an error about what of a conversation with tools its template would leave out without a word.
func (c *chats) whole(conversation *data.Conversation) error {
	template, err := c.template(conversation.Tools != nil)
	if err != nil {
		return err
	}
	lost := func(what string) error {
		return fmt.Errorf("the chat template does not write %s: want one that does, or conversations without tools", what)
	}
	if conversation.Tools != nil && !template.tools {
		return lost("the tools")
	}
	for i, m := range conversation.Messages {
		switch {
		case !template.calls && m.CallsTools():
			return lost(fmt.Sprintf("the tool calls of message %d", i+1))
		case m.Role == data.ToolRole && !template.answers:
			return lost(fmt.Sprintf("message %d, a tool's answer", i+1))
		}
	}
	return nil
}

// variables are those of a template, as transformers sets them.
func (c *chats) variables(messages, tools json.RawMessage, prompt bool) []byte {
	if tools == nil {
		tools = json.RawMessage("null")
	}
	members := []plainjson.Member{
		{Key: "messages", Value: messages}, {Key: "tools", Value: tools}, {Key: "documents", Value: json.RawMessage("null")},
		{Key: "add_generation_prompt", Value: json.RawMessage(fmt.Sprint(prompt))},
	}
	for name, token := range c.tokens {
		value, _ := json.Marshal(token) // of a text, which never fails
		members = append(members, plainjson.Member{Key: name, Value: value})
	}
	return plainjson.Object(members)
}

// render lays out some of the messages of a conversation; prompt says that the assistant is asked to go on.
func (c *chats) render(conversation *data.Conversation, messages []data.Message, prompt bool) (string, []chattemplate.Span, error) {
	template, err := c.template(conversation.Tools != nil)
	if err != nil {
		return "", nil, err
	}
	list := []byte{'['}
	for i, m := range messages {
		if i > 0 {
			list = append(list, ',')
		}
		if !template.parts {
			m.JSON = m.Flat()
		}
		if template.opens {
			m.JSON = m.Opened()
		}
		list = append(list, m.JSON...)
	}
	text, spans, err := template.Render(c.variables(append(list, ']'), conversation.Tools, prompt))
	if err != nil {
		err = fmt.Errorf("the chat template refuses the conversation: %w", err)
	}
	return text, spans, err
}

// span is a part of a text, in bytes.
type span = chattemplate.Span

// turn is a message of the assistant as it is written: the text up to it, and where in that it begins.
type turn struct {
	from int
	full string
}

// layOut returns the text of a conversation and the parts of it that are to be written: of a prompt none. Turns that are
// to be written, but stand otherwise in this text than when they are, are returned as missed. Known are the turns of a
// conversation of which this is the beginning, and those that it finds.
func (c *chats) layOut(conversation *data.Conversation, known map[int]turn) (text string, parts []span, missed []int, err error) {
	messages, turns := conversation.Messages, conversation.Turns
	prompt := !conversation.Whole && len(turns) == 0
	text, generated, err := c.render(conversation, messages, prompt)
	template, _ := c.template(conversation.Tools != nil)
	switch {
	case err != nil || prompt:
		return text, nil, nil, err
	case conversation.Whole:
		return text, []span{{From: 0, To: len(text)}}, nil, nil
	case template.MarksGeneration():
		var said []int
		for i, m := range messages {
			if m.Role == data.Assistant {
				said = append(said, i)
			}
		}
		if len(turns) == len(said) {
			return text, generated, nil, nil
		}
		if len(generated) != len(said) {
			return "", nil, nil, fmt.Errorf("the chat template marks %d of %d turns, so that it cannot be told which of them are to be written", len(generated), len(said))
		}
		for k, i := range said {
			if slices.Contains(turns, i) {
				parts = append(parts, generated[k])
			}
		}
		return text, parts, nil, nil
	}
	for _, i := range turns {
		at, ok := known[i]
		if !ok {
			if at.from, at.full, err = c.begin(conversation, i); err != nil {
				return "", nil, nil, fmt.Errorf("message %d: %w", i+1, err)
			}
			known[i] = at
		}
		end, to := c.end(at.full, at.from, template.closes)
		same := common(at.full, text)
		if same < end {
			missed = append(missed, i)
			continue
		}
		parts = append(parts, span{From: at.from, To: min(to, same)})
	}
	return text, parts, missed, nil
}

// begin returns the text up to message i, and where in it that message begins: behind what the assistant is asked with.
func (c *chats) begin(conversation *data.Conversation, i int) (from int, full string, err error) {
	before, _, err := c.render(conversation, conversation.Messages[:i], true)
	if err == nil {
		full, _, err = c.render(conversation, conversation.Messages[:i+1], false)
	}
	switch {
	case err == nil && strings.HasPrefix(full, before):
		return len(before), full, nil
	case i == 0:
		return 0, "", errors.New("the conversation begins with the assistant, for which the chat template has no prompt")
	case err != nil:
		return 0, "", err
	}
	// Some ask for a thought that the template does not write into an answer. What both have is the prompt then.
	bare, _, err := c.render(conversation, conversation.Messages[:i], false)
	if from = common(before, full); err == nil && from < c.trim(bare) {
		err = errors.New("the chat template writes what is before this turn otherwise when the turn is there, so that it cannot be told from the prompt")
	}
	return from, full, err
}

// end returns where a turn ends that begins at from and is the last of a text: its own text but for special tokens, and
// with the special token that closes it, which is the first but in an answer that itself ends with some.
func (c *chats) end(full string, from int, closes string) (own, closed int) {
	own = max(from, c.trim(full))
	if at := strings.Index(full[own:], closes); at > 0 {
		return own, own + at + len(closes)
	}
	rest := strings.TrimLeft(full[own:], " \t\r\n")
	for _, token := range c.special {
		if strings.HasPrefix(rest, token) {
			return own, len(full) - len(rest) + len(token)
		}
	}
	return own, len(full)
}

// trim is the length of a text without special tokens and white space at its end.
func (c *chats) trim(text string) int {
	for {
		shorter := strings.TrimRight(text, " \t\r\n")
		for _, token := range c.special {
			shorter = strings.TrimSuffix(shorter, token)
		}
		if shorter == text {
			return len(text)
		}
		text = shorter
	}
}

// common is the length of what two texts begin with alike.
func common(a, b string) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}

// SplitChat returns a conversation as the examples of it that are needed so that every turn which is to be written
// stands in one as it does when it is written, and in one only. That is the conversation itself, but for templates that
// write earlier turns otherwise: Qwen3's leaves their thoughts out.
//
// What a template would leave out of a conversation with tools, of which it knows none, is an error.
func (t *Tokenizer) SplitChat(c *data.Conversation) ([]*data.Conversation, error) {
	if !t.HasChatTemplate() {
		return []*data.Conversation{c}, nil
	}
	if err := t.chats.whole(c); err != nil {
		return nil, err
	}
	if c.Whole || len(c.Turns) == 0 {
		return []*data.Conversation{c}, nil
	}
	var pieces []*data.Conversation
	known := map[int]turn{}
	for rest := c; ; {
		_, _, missed, err := t.chats.layOut(rest, known)
		if err != nil {
			return nil, err
		}
		if len(missed) == 0 {
			return append([]*data.Conversation{rest}, pieces...), nil
		}
		whole := *rest
		whole.Turns = slices.DeleteFunc(slices.Clone(rest.Turns), func(i int) bool { return slices.Contains(missed, i) })
		if len(whole.Turns) > 0 {
			pieces = append([]*data.Conversation{&whole}, pieces...)
		}
		last := missed[len(missed)-1] // which is not missed where it is the last
		rest = &data.Conversation{Messages: rest.Messages[:last+1], Tools: rest.Tools, Turns: missed}
	}
}

// EncodeChat gives the tokens of a conversation as the model's chat template lays it out, those of transformers'
// apply_chat_template up to the last that is to be written. A prompt ends with what the template asks the assistant
// with. Without a template, every turn of the assistant is what [Tokenizer.EncodeGeneration] makes of it and of the texts
// since the turn before, joined by line feeds.
//
// Where that is more than maxLength tokens, truncated is true: a prompt loses its beginning, other texts their end, unless
// nothing to be written were left. Then the text is cut on both sides, so that at least half of it is what comes before
// the first token to be written. maxLength 0 cuts nothing.
func (t *Tokenizer) EncodeChat(c *data.Conversation, maxLength int) (enc data.Encoded, truncated bool, err error) {
	if !t.HasChatTemplate() {
		enc, err = t.encodePlain(c)
	} else {
		enc, err = t.encodeChat(c)
	}
	if err != nil {
		return data.Encoded{}, false, err
	}
	if n := len(enc.Trained); n > 0 {
		enc.IDs = enc.IDs[:enc.Trained[n-1].To]
	}
	if maxLength == 0 || len(enc.IDs) <= maxLength {
		return enc, false, nil
	}
	return window(enc, int32(maxLength)), true, nil
}

func (t *Tokenizer) encodeChat(c *data.Conversation) (enc data.Encoded, err error) {
	text, parts, missed, err := t.chats.layOut(c, map[int]turn{})
	if err == nil && len(missed) > 0 {
		err = fmt.Errorf("message %d: the chat template writes this turn otherwise than when it is the last", missed[0]+1)
	}
	if err == nil {
		err = errors.Join(checkText(text), t.growth.check(text))
	}
	if err != nil {
		return enc, err
	}
	ids, offsets, err := t.native.encodeOffsets(text)
	if err != nil {
		return enc, err
	}
	enc.IDs = appendIDs(nil, ids)
	at := 1 // before which nothing can be written
	for _, part := range parts {
		for at < len(offsets) && offsets[at].To <= part.From {
			at++
		}
		first := at
		for at < len(offsets) && offsets[at].From < part.To {
			at++
		}
		if at > first {
			enc.Trained = append(enc.Trained, data.Span{From: int32(first), To: int32(at)})
		}
	}
	if len(parts) > 0 && len(enc.Trained) == 0 || c.Turns != nil && len(parts) == 0 {
		return enc, errors.New("the chat template leaves nothing of the conversation to be written")
	}
	return enc, nil
}

// encodePlain is EncodeChat for a model without a chat template.
func (t *Tokenizer) encodePlain(c *data.Conversation) (enc data.Encoded, err error) {
	if t.eos < 0 {
		return enc, errors.New("the tokenizer has neither a chat template nor a token for the end of a text, without which no conversation can be laid out")
	}
	add := func(text string) error {
		ids, err := t.encode(text, false)
		enc.IDs = append(appendIDs(enc.IDs, ids), int32(t.eos))
		return err
	}
	enc.IDs = t.template.start()
	var asked []string
	for i, m := range c.Messages {
		text := strings.TrimSpace(m.Text)
		switch {
		case m.Role == data.ToolRole || c.Tools != nil:
			return enc, errors.New("the conversation has tools, and the model no chat template that says how they are written")
		case m.Role != data.Assistant:
			asked = append(asked, text)
			continue
		case text == "":
			return enc, fmt.Errorf("message %d: the assistant says nothing, and the model has no chat template that says how its tool calls are written", i+1)
		case i == 0:
			return enc, errors.New("message 1 is the assistant's, and the model has no chat template: want a message before it")
		}
		if len(asked) > 0 {
			if err := add(strings.Join(asked, "\n")); err != nil {
				return enc, err
			}
			asked = nil
		}
		from := int32(len(enc.IDs))
		if err := add(t.space + text); err != nil {
			return enc, err
		}
		if slices.Contains(c.Turns, i) {
			enc.Trained = append(enc.Trained, data.Span{From: from, To: int32(len(enc.IDs))})
		}
	}
	if len(asked) > 0 {
		if err := add(strings.Join(asked, "\n")); err != nil {
			return enc, err
		}
	}
	if c.Whole {
		enc.Trained = []data.Span{{From: 1, To: int32(len(enc.IDs))}}
	}
	return enc, nil
}

// window cuts tokens to the length of most, see [Tokenizer.EncodeChat].
func window(enc data.Encoded, most int32) data.Encoded {
	from, to := int32(0), most
	if len(enc.Trained) == 0 {
		to = int32(len(enc.IDs))
		from = to - most
	} else if first := enc.Trained[0]; first.From >= most {
		to = min(first.To, first.From+most-most/2)
		from = to - most
	}
	cut := data.Encoded{IDs: slices.Clone(enc.IDs[from:to])}
	for _, s := range enc.Trained {
		s.From, s.To = max(s.From-from, 1), min(s.To, to)-from
		if s.From < s.To {
			cut.Trained = append(cut.Trained, s)
		}
	}
	return cut
}

// ChatEnd gives the tokens that end what the assistant writes: the end of text, and the one with which the chat template
// closes a turn.
func (t *Tokenizer) ChatEnd() ([]int64, error) {
	var end []int64
	if t.eos >= 0 {
		end = append(end, t.eos)
	}
	if !t.HasChatTemplate() {
		return end, nil
	}
	turns := &data.Conversation{Messages: []data.Message{data.NewMessage(data.User, "a"), data.NewMessage(data.Assistant, "b")}}
	from, full, err := t.chats.begin(turns, 1)
	if err != nil {
		return nil, err
	}
	own, closed := t.chats.end(full, from, "")
	if own < closed && closed <= len(full) {
		if id, ok := t.ids[strings.TrimSpace(full[own:closed])]; ok && id != t.eos {
			end = append(end, id)
		}
	}
	if len(end) == 0 {
		err = errors.New("the tokenizer has no token for the end of a text, and its chat template none for the end of a turn, without which none can be generated")
	}
	return end, err
}

// Part is a part of what a model reads of an example.
type Part struct {
	Text    string `json:"text"`
	Written bool   `json:"written,omitempty"` // it is to be written
}

// Parts returns the text of an example's tokens, at most maxLength if that is not 0, special ones included.
func (t *Tokenizer) Parts(ex data.Example, maxLength int) (parts []Part, err error) {
	enc, _, err := t.EncodeExample(ex, maxLength)
	if err != nil {
		return nil, err
	}
	add := func(from, to int32, written bool) {
		if from == to || err != nil {
			return
		}
		var ids []int64
		for _, id := range enc.IDs[from:to] {
			ids = append(ids, int64(id))
		}
		var text string
		text, err = t.Decode(ids, false)
		parts = append(parts, Part{text, written})
	}
	from := int32(0)
	for _, s := range enc.Trained {
		add(from, s.From, false)
		add(s.From, s.To, true)
		from = s.To
	}
	add(from, int32(len(enc.IDs)), false)
	return parts, err
}

// longestFirstOrder puts tokens of which one begins with another in an order in which the longest is found.
func longestFirstOrder(a, b string) int {
	return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b))
}
