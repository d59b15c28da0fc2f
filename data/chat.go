package data

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"autolora/plainjson"
)

// Conversation is what several parties say in turn.
type Conversation struct {
	Messages []Message
	Tools    json.RawMessage // JSON list of the tools that the assistant may call; nil if there are none
	Whole    bool            // all of its text is to be written, whoever says it
	Turns    []int           // else the places of the messages that are to be written, all of the assistant's; none of a prompt
}

// Message is what one of them says.
type Message struct {
	Role string          // one of roles
	Text string          // the content, of several parts their texts one after the other
	JSON json.RawMessage // the object with "role", "content" and what else is known
	Mute bool            // OpenAI's weight is 0: an assistant's turn that is not to be learnt
}

// The roles of messages.
const (
	System    = "system"
	User      = "user"
	Assistant = "assistant"
	ToolRole  = "tool"
)

// roles has the role that other programs mean by a name: sharegpt's, OpenAI's older ones.
var roles = map[string]string{
	System: System, "developer": "developer", User: User, Assistant: Assistant, ToolRole: ToolRole,
	"human": User, "gpt": Assistant, "chatgpt": Assistant, "bard": Assistant, "bing": Assistant, "model": Assistant, "bot": Assistant,
	"function_call": Assistant, "function": ToolRole, "function_response": ToolRole, "observation": ToolRole,
}

// TrainOn says which part of a conversation is to be written.
type TrainOn string

// The parts of a conversation.
const (
	TrainOnAll       TrainOn = "all"       // its whole text
	TrainOnAssistant TrainOn = "assistant" // the turns of the assistant
	TrainOnLast      TrainOn = "last"      // the last of them
)

// Answer is the text of the last message, or what stands for it where it only calls tools; ok is false if that is not the
// assistant's.
func (c *Conversation) Answer() (text string, ok bool) {
	if len(c.Messages) == 0 {
		return "", false
	}
	last := c.Messages[len(c.Messages)-1]
	if text = last.Text; text == "" && last.CallsTools() {
		text = string(last.JSON)
	}
	return text, last.Role == Assistant
}

// Prompt is the conversation up to the last turn of the assistant, if it ends with one.
func (c *Conversation) Prompt() *Conversation {
	p := &Conversation{Messages: c.Messages, Tools: c.Tools}
	if _, ok := c.Answer(); ok {
		p.Messages = p.Messages[:len(p.Messages)-1]
	}
	return p
}

// taught reports whether something of it is to be written.
func (c *Conversation) taught() bool { return c.Whole || len(c.Turns) > 0 }

// NewMessage is a message that is a text.
func NewMessage(role, text string) Message {
	content, _ := json.Marshal(text) // of a text, which never fails
	return newMessage(role, text, content)
}

// Flat is the message with its content as one text, for what knows no parts.
func (m Message) Flat() json.RawMessage {
	members, err := plainjson.Members(m.JSON)
	if err != nil {
		return m.JSON
	}
	if at := find(members, "content"); at >= 0 && members[at].Value[0] == '[' {
		members[at].Value, _ = json.Marshal(m.Text)
	}
	return plainjson.Object(members)
}

// calls returns the members of a message, and which of them has its calls of tools, these one by one.
func (m Message) calls() (members []plainjson.Member, at int, list []json.RawMessage) {
	members, err := plainjson.Members(m.JSON)
	if at = find(members, "tool_calls"); err == nil && at >= 0 {
		_ = json.Unmarshal(members[at].Value, &list) // what is no list has none
	}
	return members, at, list
}

// CallsTools reports whether the message calls tools.
func (m Message) CallsTools() bool {
	_, _, calls := m.calls()
	return len(calls) > 0
}

// Opened is the message with what its tools are called with as an object, where it is a text with one, as OpenAI has it.
func (m Message) Opened() json.RawMessage {
	members, at, calls := m.calls()
	if len(calls) == 0 {
		return m.JSON
	}
	for i, call := range calls {
		calls[i] = opened(call)
	}
	members[at].Value, _ = json.Marshal(calls) // of JSON, which never fails
	return plainjson.Object(members)
}

// opened is a tool call, or the function in it, with its arguments as an object.
func opened(call json.RawMessage) json.RawMessage {
	members, err := plainjson.Members(call)
	if err != nil {
		return call
	}
	for i, m := range members {
		var text string
		switch {
		case m.Key == "function":
			members[i].Value = opened(m.Value)
		case m.Key == "arguments" && json.Unmarshal(m.Value, &text) == nil:
			if _, err := plainjson.Members([]byte(text)); err == nil {
				members[i].Value = json.RawMessage(text)
			}
		}
	}
	return plainjson.Object(members)
}

// find returns the place of a key, -1 if it is not there.
func find(members []plainjson.Member, key string) int {
	return slices.IndexFunc(members, func(m plainjson.Member) bool { return m.Key == key })
}

// set chooses what is to be written.
func (c *Conversation) set(on TrainOn) {
	for i, m := range c.Messages {
		if m.Role == Assistant && !m.Mute {
			c.Turns = append(c.Turns, i)
		}
	}
	switch on {
	case TrainOnAll:
		c.Whole, c.Turns = true, nil
	case TrainOnLast:
		c.Turns = c.Turns[max(0, len(c.Turns)-1):]
	}
}

// endWithTurns leaves out what is said after the last turn that is to be written: thanks, say, of which nothing is learnt.
// A conversation in which nothing is to be written is an error, but in a test set.
func (d *Dataset) endWithTurns(part Part) error {
	for i := range d.Examples {
		switch c := d.Examples[i].Chat; {
		case len(c.Turns) > 0:
			c.Messages = c.Messages[:c.Turns[len(c.Turns)-1]+1]
		case !c.Whole && part != Test:
			return fmt.Errorf("%s: the conversation has no turn of the assistant that is to be learnt: take it out", d.Examples[i].Where())
		}
	}
	return nil
}

// The columns of conversations: a list of messages, or a prompt (of which alpaca's instruction has a further part) and
// an answer, each of them a text or a list of messages.
var (
	messageNames = []string{"messages", "conversations", "conversation"}
	promptNames  = [][2]string{{"prompt", "completion"}, {"prompt", "response"}, {"instruction", "output"}, {"instruction", "response"}}
)

// inputColumn is the further part of an instruction: Dolly calls it context.
var inputColumn = column{name: "input", other: "context", optional: true}

// chatColumns are those that a conversation may have beside the first.
func chatColumns(first string) []column {
	return append([]column{
		{name: first, raw: true},
		{name: "tools", optional: true, raw: true},
		{name: System, other: "system_prompt", optional: true},
	}, sourceColumns(first)[1:]...)
}

// sourceColumns are those of a source: of alpaca's instruction its input too, which is apart as in alpaca's prompt.
func sourceColumns(name string) []column {
	if name != promptNames[2][0] {
		return columns(name)
	}
	return []column{{name: name}, inputColumn}
}

// isPrompt reports whether a column, or plain text, has what a user says: "[...]" in it is no list of messages.
func isPrompt(name string) bool {
	return name == "text" || slices.ContainsFunc(promptNames, func(p [2]string) bool { return strings.EqualFold(p[0], name) })
}

// joinInput is an instruction with its input, if it has one.
func joinInput(instruction, input cell) cell {
	if strings.TrimSpace(input.String()) == "" {
		return instruction
	}
	return cell{kind: isText, text: instruction.String() + "\n\n" + input.String()}
}

// setChat sets the conversation of a row with the cells of chatColumns and perhaps an answer.
func (ex *Example) setChat(cells []cell, answer cell, names [2]string) error {
	ex.Chat = &Conversation{}
	c := ex.Chat
	add := func(name string, content cell, role string) error {
		if content.kind == missing {
			return nil
		}
		messages, err := parseMessages(content, role)
		if err != nil {
			return fmt.Errorf("%q: %w", name, err)
		}
		c.Messages = append(c.Messages, messages...)
		return nil
	}
	first, tools, system := cells[0], cells[1], cells[2]
	if names[0] == promptNames[2][0] && first.kind == isText {
		first = joinInput(first, cells[3])
	}
	role := ""
	if names[1] != "" || isPrompt(names[0]) || first.kind == isText && !strings.HasPrefix(strings.TrimSpace(first.text), "[") {
		role = User
	}
	var err error
	if !system.blank() {
		err = add(System, system, System)
	}
	if err == nil {
		err = add(names[0], first, role)
	}
	if err == nil {
		err = add(names[1], answer, Assistant)
	}
	if err != nil {
		return err
	}
	if tools.kind != missing && strings.TrimSpace(tools.text) != "" {
		var list []json.RawMessage
		if err := plainjson.Unmarshal([]byte(tools.text), &list); err != nil {
			return fmt.Errorf("\"tools\": %w: want a list of objects", err)
		}
		if len(list) > 0 {
			c.Tools = json.RawMessage(tools.text)
		}
	}
	if len(c.Messages) == 0 {
		return errors.New("the conversation is empty: want at least one message")
	}
	return nil
}

// parseMessages reads a list of messages, or a text, which is one message of a role.
func parseMessages(content cell, role string) ([]Message, error) {
	if content.kind != isOther && role != "" {
		return []Message{NewMessage(role, content.String())}, nil
	}
	var list []json.RawMessage
	if err := plainjson.Unmarshal([]byte(content.text), &list); err != nil {
		return nil, fmt.Errorf("%w: want a list of messages, [{\"role\": ..., \"content\": ...}, ...]", err)
	}
	messages := make([]Message, len(list))
	for i, text := range list {
		m, err := parseMessage(text)
		if err != nil {
			return nil, fmt.Errorf("message %d: %w", i+1, err)
		}
		messages[i] = m
	}
	return messages, nil
}

func newMessage(role, text string, content json.RawMessage, more ...plainjson.Member) Message {
	members := []plainjson.Member{member("role", role)}
	if content != nil {
		members = append(members, plainjson.Member{Key: "content", Value: content})
	}
	return Message{Role: role, Text: text, JSON: plainjson.Object(append(members, more...))}
}

// parseMessage reads one message: of the keys "role" and "content", or sharegpt's "from" and "value". What is null is left
// out, as transformers does: "tool_calls" of a row in a table whose other rows have some.
func parseMessage(text json.RawMessage) (m Message, err error) {
	members, err := plainjson.Members(text)
	if err != nil {
		return m, err
	}
	members = slices.DeleteFunc(members, func(f plainjson.Member) bool { return string(f.Value) == "null" })
	take := func(names ...string) (value json.RawMessage) {
		for _, name := range names {
			if at := find(members, name); at >= 0 && value == nil {
				value = members[at].Value
				members = slices.Delete(members, at, at+1)
			}
		}
		return value
	}
	var role string
	switch value := take("role", "from"); {
	case value == nil:
		return m, fmt.Errorf("it has no \"role\": it has %s", plainjson.Short(text))
	case json.Unmarshal(value, &role) != nil:
		return m, fmt.Errorf("\"role\": %s is no text", plainjson.Short(value))
	}
	known, ok := roles[strings.ToLower(role)]
	if !ok {
		return m, fmt.Errorf("unknown role %s: want %s, %s, %s or %s", shorten(role), System, User, Assistant, ToolRole)
	}
	weight := 1.0
	if value := take("weight"); value != nil && (json.Unmarshal(value, &weight) != nil || weight != 0 && weight != 1) {
		return m, fmt.Errorf("\"weight\": got %s, want 0 (not to be learnt) or 1", plainjson.Short(value))
	}
	content := take("content", "value")
	said, err := contentText(content)
	if err != nil {
		return m, err
	}
	if content == nil && find(members, "tool_calls") < 0 {
		return m, errors.New("it has no \"content\"")
	}
	m = newMessage(known, said, content, reasoning(members)...)
	m.Mute = weight == 0
	return m, nil
}

// reasoning gives a thought all the names under which chat templates look for it, as transformers does.
func reasoning(members []plainjson.Member) []plainjson.Member {
	const first, second = "reasoning_content", "thinking"
	for _, name := range []string{first, second, "reasoning"} {
		at := find(members, name)
		if at < 0 {
			continue
		}
		for _, other := range []string{first, second} {
			if find(members, other) < 0 {
				members = append(members, plainjson.Member{Key: other, Value: members[at].Value})
			}
		}
		break
	}
	return members
}

// contentText is the text of a message's content: a text, or a list of parts.
func contentText(content json.RawMessage) (string, error) {
	var text string
	if content == nil || json.Unmarshal(content, &text) == nil {
		return text, checkText(text)
	}
	var parts []struct{ Type, Text string }
	if err := plainjson.Unmarshal(content, &parts); err != nil {
		return "", fmt.Errorf("\"content\": %s is neither a text nor a list of parts", plainjson.Short(content))
	}
	for _, part := range parts {
		if part.Type != "text" {
			return "", fmt.Errorf("\"content\": a part of type %s: only texts are read", shorten(part.Type))
		}
		text += part.Text
	}
	return text, nil
}
