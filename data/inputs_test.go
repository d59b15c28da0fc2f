package data

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// TestReadTexts reads what people want labels for, in every form of it.
func TestReadTexts(t *testing.T) {
	yes, no := true, false
	labels := Task{Kind: Classification, Labels: []string{"neg", "pos"}}
	tags := Task{Kind: Tagging, Labels: []string{"O", "B-x"}}
	writes := Task{Kind: Generation}
	for _, c := range []struct {
		name, file, content string
		task                Task
		config              InputConfig
		want                string // each example as text|pair, words or source, and its fields
	}{
		{"the columns of the run", "a.csv", "id,title,label\n1,good,gold\n2,\"a, b\",\n", labels, InputConfig{Text: []string{"title"}, Pairs: &no},
			`good {id:"1" title:"good" label:"gold"}; a, b {id:"2" title:"a, b" label:""}`},
		{"the usual name", "a.tsv", "text\tn\nx\t1\n", labels, InputConfig{Text: []string{"title"}}, `x {text:"x" n:"1"}`},
		{"another usual name", "a.csv", "Review,n\nx,1\n", labels, InputConfig{}, `x {Review:"x" n:"1"}`},
		{"columns of one name", "a.csv", "text,x,x,,\na,1,2,3,4\n", labels, InputConfig{}, `a {text:"a" x:"1" x_2:"2" :"3" _2:"4"}`},
		{"a pair by usual names", "a.csv", "premise,hypothesis\nx,y\n", labels, InputConfig{Pairs: &yes}, `x|y {premise:"x" hypothesis:"y"}`},
		{"a single text beside a pair", "a.csv", "premise,hypothesis,sentence\nx,y,z\n", labels, InputConfig{Pairs: &no}, `z {premise:"x" hypothesis:"y" sentence:"z"}`},
		{"lines", "a.jsonl", `{"n": 1.50, "text": "x", "more": {"a": [1, null]}}` + "\n\n" + `{"text": "y", "text_pair": null}`, labels, InputConfig{Pairs: &no},
			`x {n:1.50 text:"x" more:{"a":[1,null]}}; y {text:"y" text_pair:null}`},
		{"a list in one line", "a.json", `[{"text": "x", "n": 1}, {"text": "y", "n": 2}]`, labels, InputConfig{}, `x {text:"x" n:1}; y {text:"y" n:2}`},
		{"plain", "a.txt", "one text\n\ttwo\n\n{third}\r\n", labels, InputConfig{Text: []string{"title"}, Pairs: &no},
			`one text {text:"one text"}; 	two {text:"\ttwo"}; {third} {text:"{third}"}; a.txt is read as plain text: empty lines left out: 1`},
		{"plain pairs", "a.txt", "x y\tz\n", labels, InputConfig{Pairs: &yes}, `x y|z {text:"x y" text_pair:"z"}`},
		{"a number", "a.csv", "text,label\nx,not a number\n", Task{Kind: Regression}, InputConfig{}, `x {text:"x" label:"not a number"}`},
		{"words", "a.jsonl", `{"words": ["a", "b"], "id": 1}`, tags, InputConfig{}, `a b {words:["a","b"] id:1}`},
		{"words of the run", "a.jsonl", `{"w": ["a"], "tokens": ["c"], "tags": ["O"]}`, tags, InputConfig{Text: []string{"w"}}, `a {w:["a"] tokens:["c"] tags:["O"]}`},
		{"a word a line", "a.txt", "a\nb\n\nc\n", tags, InputConfig{}, `a b {tokens:["a","b"]}; c {tokens:["c"]}`},
		{"a word and a tag a line", "a.txt", "a O\nb B-x\n", tags, InputConfig{}, `a b {tokens:["a","b"]}`},
		{"a sentence a line", "a.txt", "The cat sat .\nIt purrs .\n", tags, InputConfig{},
			`The cat sat . {tokens:["The","cat","sat","."]}; It purrs . {tokens:["It","purrs","."]}; a.txt is read as plain text: a sentence a line, its words between spaces`},
		{"one sentence", "a.txt", "It purrs .\n", tags, InputConfig{}, `It purrs . {tokens:["It","purrs","."]}; a.txt is read as plain text: a sentence a line, its words between spaces`},
		{"sources", "a.csv", "mr,ref,id\nx,right,1\n", writes, InputConfig{Text: []string{"source"}}, `x {mr:"x" ref:"right" id:"1"}`},
		{"E2E's own file", "a.csv", "MR,ref\nname[A],right\n", Task{Name: "e2e", Kind: Generation}, InputConfig{}, `name : A {MR:"name[A]" ref:"right"}`},
		{"E2E's of the hub", "a.csv", "human_reference,meaning_representation\nright,name[A]\n", Task{Name: "e2e", Kind: Generation}, InputConfig{},
			`name : A {human_reference:"right" meaning_representation:"name[A]"}`},
		{"E2E's in LoRA's form", "a.jsonl", `{"source": "name : A"}`, Task{Name: "e2e", Kind: Generation}, InputConfig{}, `name : A {source:"name : A"}`},
		{"E2E's, damaged", "a.csv", "mr,ref\nA,right\n", Task{Name: "e2e", Kind: Generation}, InputConfig{}, `error: line 2: the meaning representation "A" is broken`},
		{"MRPC's own file", "a.tsv", "Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\n1\t2\t3\tx\ty\n", Task{Name: "mrpc", Kind: Classification, Labels: []string{"not_equivalent", "equivalent"}}, InputConfig{},
			`x|y {Quality:"1" #1 ID:"2" #2 ID:"3" #1 String:"x" #2 String:"y"}`},
		{"plain sources", "a.txt", "x | y\n", writes, InputConfig{Text: []string{"mr"}}, `x | y {source:"x | y"}`},
		{"a pair for a single", "a.jsonl", `{"text": "x", "text_pair": "y"}`, labels, InputConfig{Pairs: &no}, "error: line 1: a pair of texts, and the model takes single ones: leave the second out"},
		{"a single for a pair", "a.jsonl", "{\"text\": \"x\", \"text_pair\": \"y\"}\n{\"text\": \"x\"}", labels, InputConfig{Pairs: &yes}, "error: line 2: one text, and the model takes pairs: want a second one"},
		{"a plain single for a pair", "a.txt", "x\n", labels, InputConfig{Pairs: &yes}, "error: line 1: one text, and the model takes pairs"},
		{"half of a pair", "a.csv", "question,text\nx,y\n", labels, InputConfig{Text: []string{"question", "answer"}, Pairs: &yes}, "error: line 2: one text, and the model takes pairs"},
		{"no such column", "a.csv", "text,n\nx,1\n", labels, InputConfig{Text: []string{"title"}, Only: true}, `error: no column "title": it has "text", "n"`},
		{"no text", "a.jsonl", `{"n": 1}`, labels, InputConfig{}, `error: line 1: no "text": it has "n"`},
		{"no words", "a.jsonl", `{"text": "a b"}`, tags, InputConfig{}, `error: line 1: no "tokens": it has "text"`},
		{"a key twice", "a.jsonl", `{"text": "a", "text": "b"}`, labels, InputConfig{}, `error: line 1: key "text" appears twice`},
		{"nothing", "a.txt", "\n\n", labels, InputConfig{}, "error: the file is empty"},
		{"not UTF-8", "a.txt", "x\n\xff\n", labels, InputConfig{}, "error: line 2: byte 1 is not UTF-8 (0xff): convert the file to UTF-8"},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := write(t, c.file, c.content)
			in, err := ReadTexts(file, c.task, c.config)
			var got []string
			switch {
			case err != nil:
				got = []string{"error: " + strings.TrimPrefix(err.Error(), "input: "+file+": ")}
				if want, ok := strings.CutPrefix(c.want, "error: "); ok && strings.HasPrefix(got[0], "error: "+want) {
					return
				}
			default:
				for i, ex := range in.Examples {
					text := ex.Text
					switch {
					case ex.HasPair:
						text += "|" + ex.Pair
					case ex.Sentence != nil:
						text = strings.Join(ex.Words, " ")
					case ex.Writing != nil:
						text = ex.Source
					}
					var fields []string
					for _, f := range in.Fields[i] {
						fields = append(fields, fmt.Sprintf("%s:%s", f.Key, f.Value))
					}
					got = append(got, text+" {"+strings.Join(fields, " ")+"}")
				}
				if in.Note != "" {
					got = append(got, strings.Replace(in.Note, file, c.file, 1))
				}
			}
			if all := strings.Join(got, "; "); all != c.want || slices.Contains(got, "") {
				t.Errorf("got  %s\nwant %s", all, c.want)
			}
		})
	}
}
