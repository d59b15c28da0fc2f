package data

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// shown is a conversation in one line.
func (c *Conversation) shown() string {
	var b strings.Builder
	for i, m := range c.Messages {
		fmt.Fprintf(&b, "%s%s ", map[bool]string{true: "*"}[slices.Contains(c.Turns, i)], m.JSON)
	}
	if c.Whole {
		b.WriteString("whole ")
	}
	return b.String() + string(c.Tools)
}

const (
	hi     = `{"role":"user","content":"Hi"} `
	hello  = `*{"role":"assistant","content":"Hello"} `
	format = `{"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]}`
)

// TestConversations reads conversations in all forms that are known.
func TestConversations(t *testing.T) {
	for _, c := range []struct {
		name, file, content string
		task                FileTask
		want                string
	}{
		{"messages", "a.jsonl", format + "\n", FileTask{}, hi + hello},
		{"list", "a.json", "[\n" + format + ",\n" + format + "]", FileTask{}, hi + hello},
		{"all", "a.jsonl", format, FileTask{TrainOn: TrainOnAll}, hi + hello[1:] + "whole "},
		{"last", "a.jsonl", `{"messages": [{"role": "assistant", "content": "Hello"}, {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]}`,
			FileTask{TrainOn: TrainOnLast}, hello[1:] + hi + hello},
		{"sharegpt", "a.jsonl", `{"conversations": [{"from": "system", "value": "s"}, {"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}], "id": 1}`,
			FileTask{}, `{"role":"system","content":"s"} ` + hi + hello},
		{"sharegpt's system", "a.jsonl", `{"system": "s", "conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}]}`,
			FileTask{}, `{"role":"system","content":"s"} ` + hi + hello},
		{"no system", "a.jsonl", `{"system": "", "conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}]}`, FileTask{}, hi + hello},
		{"weights", "a.jsonl", `{"messages": [{"role": "user", "content": "Hi", "weight": null}, {"role": "assistant", "content": "Hello", "weight": 0}, {"role": "user", "content": "Hi", "weight": 1}, {"role": "assistant", "content": "Hello", "weight": 1}, {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Bye", "weight": 0}]}`,
			FileTask{}, hi + hello[1:] + hi + hello},
		{"thanks", "a.jsonl", `{"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}, {"role": "user", "content": "Thanks"}]}`, FileTask{}, hi + hello},
		{"all and thanks", "a.jsonl", `{"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}, {"role": "user", "content": "Hi"}]}`,
			FileTask{TrainOn: TrainOnAll}, hi + hello[1:] + hi + "whole "},
		{"tools", "a.jsonl", `{"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "tool_calls": [{"b": 1.0, "a": null}], "content": null}, {"role": "tool", "content": "3", "name": "f"}, {"role": "assistant", "content": "Hello"}], "tools": [{"name": "f"}]}`,
			FileTask{}, hi + `*{"role":"assistant","tool_calls":[{"b": 1.0, "a": null}]} {"role":"tool","content":"3","name":"f"} ` + hello + `[{"name": "f"}]`},
		{"parts", "a.jsonl", `{"messages": [{"role": "user", "content": [{"type": "text", "text": "H"}, {"type": "text", "text": "i"}]}, {"role": "assistant", "content": "Hello"}]}`,
			FileTask{}, `{"role":"user","content":[{"type": "text", "text": "H"}, {"type": "text", "text": "i"}]} ` + hello},
		{"thoughts", "a.jsonl", `{"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello", "reasoning": "hm"}]}`,
			FileTask{}, hi + `*{"role":"assistant","content":"Hello","reasoning":"hm","reasoning_content":"hm","thinking":"hm"} `},
		{"lists of messages", "a.jsonl", `{"prompt": [{"role": "user", "content": "Hi"}], "completion": [{"role": "assistant", "content": "Hello"}]}`, FileTask{}, hi + hello},
		{"prompt", "a.jsonl", `{"prompt": "Hi", "completion": "Hello"}`, FileTask{Template: true}, hi + hello},
		{"alpaca", "a.jsonl", `{"instruction": "Add.", "input": "1, 2", "output": "3"}`, FileTask{Template: true}, `{"role":"user","content":"Add.\n\n1, 2"} *{"role":"assistant","content":"3"} `},
		{"Dolly", "a.jsonl", `{"instruction": "Add.", "context": "1, 2", "response": "3", "category": "x"}`, FileTask{Template: true}, `{"role":"user","content":"Add.\n\n1, 2"} *{"role":"assistant","content":"3"} `},
		{"capitals", "a.jsonl", `{"system_prompt": "s", "conversations": [{"from": "USER", "value": "Hi"}, {"from": "Assistant", "value": "Hello"}]}`,
			FileTask{}, `{"role":"system","content":"s"} ` + hi + hello},
		{"alpaca without input", "a.csv", "instruction,input,output\nHi,,Hello\n", FileTask{Template: true}, hi + hello},
		{"JSON in a table", "a.csv", "messages\n\"[{\"\"role\"\": \"\"user\"\", \"\"content\"\": \"\"Hi\"\"}, {\"\"role\"\": \"\"assistant\"\", \"\"content\"\": \"\"Hello\"\"}]\"\n", FileTask{}, hi + hello},
		{"kind", "a.jsonl", `{"prompt": "Hi", "completion": "Hello"}`, FileTask{Kind: Chat}, hi + hello},
		{"columns", "a.jsonl", `{"q": "Hi", "a": "Hello"}`, FileTask{Kind: Chat, Text: []string{"q"}, Label: "a"}, hi + hello},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.task.Train = write(t, c.file, c.content)
			task, _, err := c.task.Complete()
			if err != nil {
				t.Fatal(err)
			}
			splits, err := task.Load()
			if err != nil {
				t.Fatal(err)
			}
			d := splits.Train
			if got := d.Examples[0].Chat.shown(); splits.Task.Kind != Chat || got != c.want || splits.Task.Primary != "perplexity" || !d.Labelled() || d.Prompts().Labelled() {
				t.Errorf("%s, %s: got %s\nwant %s", splits.Task.Kind, splits.Task.Primary, got, c.want)
			}
		})
	}
}

// A model without a chat template reads prompts and instructions as sources, as it did before there were conversations.
func TestInstructionsAsSources(t *testing.T) {
	task, note, err := FileTask{Train: write(t, "a.jsonl", `{"instruction": "Add.", "input": "1, 2", "output": "3"}`+"\n"+`{"instruction": "Hi", "input": "", "output": "Hello"}`)}.Complete()
	if err != nil || task.Kind != Generation {
		t.Fatalf("got %v, %s, %v", task.Kind, note, err)
	}
	splits, err := task.Load()
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"Add.\n\n1, 2", "Hi"} {
		if got := splits.Train.Examples[i].Source; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	in, err := ReadTexts(task.Train, Task{Kind: Generation}, InputConfig{Text: task.Text})
	if err != nil || in.Examples[0].Source != "Add.\n\n1, 2" {
		t.Errorf("predict: got %+v, %v", in, err)
	}
}

func TestConversationErrors(t *testing.T) {
	message := func(m string) string { return `{"messages": [` + m + `]}` }
	for name, c := range map[string]struct{ content, want string }{
		"empty":          {message(""), "line 1: the conversation is empty: want at least one message"},
		"null":           {`{"messages": null}`, `line 1: "messages" is null: want a value`},
		"no list":        {message(`{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}`) + "\n" + `{"messages": {"a": 1}}`, `line 2: "messages": `},
		"unknown role":   {message(`{"role": "narrator", "content": "a"}`), `line 1: "messages": message 1: unknown role "narrator": want system, user, assistant or tool`},
		"no role":        {message(`{"content": "a"}`), `line 1: "messages": message 1: it has no "role": it has {"content": "a"}`},
		"null role":      {message(`{"role": null, "content": "a"}`), `line 1: "messages": message 1: it has no "role": `},
		"no content":     {message(`{"role": "user"}`), `line 1: "messages": message 1: it has no "content"`},
		"picture":        {message(`{"role": "user", "content": [{"type": "image"}]}`), `line 1: "messages": message 1: "content": a part of type "image": only texts are read`},
		"number":         {message(`{"role": "user", "content": 3}`), `line 1: "messages": message 1: "content": 3 is neither a text nor a list of parts`},
		"no assistant":   {message(`{"role": "user", "content": "a"}`), "line 1: the conversation has no turn of the assistant that is to be learnt: take it out"},
		"no weight":      {message(`{"role": "user", "content": "a"}, {"role": "assistant", "content": "b", "weight": 0}`), "line 1: the conversation has no turn of the assistant that is to be learnt"},
		"half a weight":  {message(`{"role": "assistant", "content": "a", "weight": 0.5}`), `line 1: "messages": message 1: "weight": got 0.5, want 0 (not to be learnt) or 1`},
		"no object":      {message(`"a"`), `line 1: "messages": message 1: found "a" where a JSON object should be`},
		"role twice":     {message(`{"role": "user", "role": "user", "content": "a"}`), `line 1: "messages": message 1: key "role" appears twice`},
		"tools no list":  {`{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}], "tools": {"a": 1}}`, `line 1: "tools": `},
		"text, no JSON":  {`{"messages": "[a"}`, `line 1: "messages": `},
		"null completed": {`{"messages": "Hi"}`, "line 1: the conversation has no turn of the assistant"},
	} {
		file := write(t, "a.jsonl", c.content)
		_, err := FileTask{Train: file, Kind: Chat, Text: []string{"messages"}}.Load()
		if err == nil || !strings.HasPrefix(err.Error(), file+": "+c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: got %v\nwant %s: %s", name, err, file, c.want)
		}
	}
	if _, err := (FileTask{Train: "a.jsonl", Kind: Chat, Text: []string{"a", "b"}}).Load(); err == nil || err.Error() != "2 text columns: want the one with the messages or the prompt" {
		t.Errorf("two columns: got %v", err)
	}
}

// Of what predict reads, the last turn of the assistant is what is asked for.
func TestChatInputs(t *testing.T) {
	for content, want := range map[string]string{
		format: hi,
		`{"messages": [{"role": "user", "content": "Hi"}]}`: hi,
		`{"prompt": "Hi"}`:                                           hi,
		`{"prompt": "[INST] Hi"}`:                                    strings.Replace(hi, "Hi", "[INST] Hi", 1),
		`{"prompt": [{"role": "user", "content": "Hi"}]}`:            hi,
		`{"messages": "[{\"from\": \"human\", \"value\": \"Hi\"}]"}`: hi,
	} {
		in, err := ReadTexts(write(t, "in.jsonl", content), Task{Kind: Chat}, InputConfig{})
		if err != nil {
			t.Fatal(err)
		}
		if got := in.Prompts().Examples[0].Chat.shown(); got != want || len(in.Fields) != 1 {
			t.Errorf("%s: got %s, want %s", content, got, want)
		}
	}
	in, err := ReadTexts(write(t, "in.txt", "Hi\n[Hi\n"), Task{Kind: Chat}, InputConfig{})
	if err != nil || in.Examples[0].Chat.shown() != hi || in.Len() != 2 {
		t.Errorf("plain text: got %+v, %v", in, err)
	}
}

// TestAnswer has what is compared with what a model writes.
func TestAnswer(t *testing.T) {
	for text, want := range map[string]string{
		`[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]`: "b true",
		`[{"role":"assistant","content":""}]`:                                " true",
		`[{"role":"assistant","content":"","tool_calls":[{"name":"f"}]}]`:    `{"role":"assistant","content":"","tool_calls":[{"name":"f"}]} true`,
		`[{"role":"assistant","content":"b"},{"role":"user","content":"a"}]`: "a false",
	} {
		messages, err := parseMessages(cell{kind: isOther, text: text}, "")
		if err != nil {
			t.Fatal(err)
		}
		answer, ok := (&Conversation{Messages: messages}).Answer()
		if got := fmt.Sprint(answer, " ", ok); got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
}

// TestChatBatch packs a conversation of which two turns are to be written, what comes after the last of them, and a prompt.
func TestChatBatch(t *testing.T) {
	d := &Dataset{Kind: Chat, Examples: []Example{{Chat: &Conversation{}, Line: 1}, {Chat: &Conversation{}, Line: 2}}}
	c := NewCorpus(d, encoderFunc(func(ex Example) (Encoded, error) {
		if ex.Line == 2 {
			return Encoded{IDs: []int32{7, 8}}, nil
		}
		return Encoded{IDs: []int32{1, 2, 3, 4, 5, 6}, Trained: []Span{{1, 2}, {3, 5}}}, nil
	}))
	b, err := c.Batch([]int{0, 1})
	if err != nil {
		t.Fatal(err)
	}
	checkAlone(t, c, b)
	got := fmt.Sprint(b.IDs, b.Lengths, b.Want, b.WantPer, b.Labels)
	if want := "[1 2 3 4 7 8] [4 2] [0 2 3 5] [3 1] [2 4 5 -1]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestChatPieces(t *testing.T) {
	d := &Dataset{Kind: Chat, Examples: []Example{{File: "a", Line: 4, Chat: &Conversation{Messages: make([]Message, 4), Turns: []int{1, 3}}}}}
	p, cut, err := Pieces(d, splitterFunc(func([]string) ([]int, error) { return nil, nil }))
	if err != nil || len(cut) != 1 || p.Len() != 2 || len(p.Examples[0].Chat.Messages) != 2 || p.Examples[1].Line != 4 || p.Examples[0].Further || !p.Examples[1].Further {
		t.Errorf("got %+v, %d, %v", p, cut, err)
	}
	if _, _, err := Pieces(d, splitterFunc(func([]string) ([]int, error) { return nil, errBadText })); err == nil || err.Error() != "a: line 4: bad text" {
		t.Errorf("got %v", err)
	}
}

// TestChatParquet reads conversations that pyarrow wrote (testdata/make_chats.py), of which some fields are missing.
func TestChatParquet(t *testing.T) {
	task, _, err := FileTask{Train: "testdata/chats.parquet"}.Complete()
	if err != nil {
		t.Fatal(err)
	}
	splits, err := task.Load()
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("testdata/chats.txt")
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	for _, ex := range splits.Train.Examples {
		fmt.Fprintln(&got, ex.Chat.shown())
	}
	if got.String() != string(want) {
		t.Errorf("got %s\nwant %s", got.String(), want)
	}
}

func FuzzConversation(f *testing.F) {
	f.Add(`[{"role": "user", "content": [{"type": "text", "text": "a"}], "tool_calls": null}]`)
	f.Add(`[{"from": "gpt", "value": "a", "reasoning": "b"}]`)
	f.Fuzz(func(t *testing.T, text string) {
		messages, err := parseMessages(cell{kind: isOther, text: text}, "")
		if err != nil && strings.Contains(err.Error(), "\n") {
			t.Fatalf("error %q: want one line", err)
		}
		for _, m := range messages {
			again, err := parseMessage(m.JSON)
			if err != nil || again.Role != m.Role || again.Text != m.Text || len(m.Flat()) == 0 {
				t.Fatalf("%s: read again %+v, %v", m.JSON, again, err)
			}
		}
	})
}
