package data

import (
	"errors"
	"fmt"
	"strings"

	"autolora/data/metrics"
)

// e2e is the E2E NLG challenge of 2017 (the paper's Table 2): sentences about restaurants from lists of facts.
//
// Its data are the official files, LoRA's, or the hub's. The sources are in LoRA's form in all of them; LoRA's texts
// are split into words ("family - friendly"), so that scores on its files and on the official ones are not to be
// compared.
var e2e = namedTask{
	Task: Task{
		Name: "e2e", Kind: Generation, Scoring: "e2e", Stop: stopLoRA,
		Metrics: []string{metrics.NameBLEU, metrics.NameNIST, metrics.NameMETEOR, metrics.NameROUGEL, metrics.NameCIDEr, metrics.NamePyBLEU, metrics.NamePyNIST},
	},
	folders:  []string{"e2e-dataset", "e2e"},
	inside:   "trainset.csv, devset.csv and testset_w_refs.csv",
	together: true,
	layouts: []layout{
		{
			parts: map[Part][]string{Train: {"trainset.csv"}, Dev: {"devset.csv"}, Test: {"testset_w_refs.csv"}},
			form:  form{kind: Generation, text: columns("mr"), label: column{name: "ref"}, source: linearizeMR},
		}, {
			parts: map[Part][]string{Train: {"train.txt"}, Dev: {"valid.txt"}, Test: {"test.txt"}},
			form:  form{kind: Generation, text: columns("source"), label: column{name: "target"}, reader: readLoRAText},
		}, {
			parts: map[Part][]string{Train: {"train" + shards}, Dev: {"validation" + shards}, Test: {"test" + shards}},
			form:  form{kind: Generation, text: columns("meaning_representation"), label: column{name: "human_reference"}, source: linearizeMR},
		},
	},
}

// stopLoRA ends what is generated where LoRA's code decides: its beam search takes "\n\n" (token 628 of GPT-2) for
// the end of a text, and its gpt2_decode.py cuts there.
const stopLoRA = "\n\n"

// readLoRAText reads LoRA's text form of E2E: on every line a source, "||" and its target.
func readLoRAText(file string, b []byte, _ *tableSpec, yield yieldRow) error {
	return lines(file, b, func(line int, text string) error {
		if text == "" {
			return nil
		}
		parts := strings.Split(text, "||")
		if len(parts) != 2 {
			return fmt.Errorf(`%s: "||" is there %d times: want a source, "||" and a target`, place(file, line), len(parts)-1)
		}
		return yield(line, []cell{{kind: isText, text: parts[0]}, {kind: isText, text: parts[1]}})
	})
}

// mrNames are the names of LoRA's form that are not those of a meaning representation.
var mrNames = map[string]string{"eatType": "Type", "priceRange": "price", "familyFriendly": "family friendly"}

// priceWords sets apart what is one word in "£20-25".
var priceWords = strings.NewReplacer("£", "£ ", "-", " - ")

// linearizeMR brings a meaning representation, "name[The Mill], eatType[pub], priceRange[£20-25]", into LoRA's
// form, "name : The Mill | Type : pub | price : £ 20 - 25".
func linearizeMR(mr string) (string, error) {
	var b strings.Builder
	for rest := mr; ; {
		open := strings.IndexAny(rest, "[]")
		name := strings.TrimSpace(rest[:max(open, 0)])
		switch {
		case open < 0:
			return "", mrError(mr, "%s has no value in brackets", shorten(strings.TrimSpace(rest)))
		case rest[open] == ']':
			return "", mrError(mr, `there is a "]" after %s without a "["`, shorten(name))
		case name == "":
			return "", mrError(mr, "a value has no name before it")
		case strings.Contains(name, ","):
			return "", mrError(mr, "%s is no name of one value", shorten(name))
		}
		rest = rest[open+1:]
		end := strings.IndexAny(rest, "[]")
		value := strings.TrimSpace(rest[:max(end, 0)])
		switch {
		case end < 0:
			return "", mrError(mr, "the value of %s has no end", shorten(name))
		case rest[end] == '[':
			return "", mrError(mr, "the value of %s has no end before the next one", shorten(name))
		case value == "":
			return "", mrError(mr, "the value of %s is empty", shorten(name))
		}
		if name == "priceRange" {
			value = strings.Join(strings.Fields(priceWords.Replace(value)), " ")
		}
		if other, ok := mrNames[name]; ok {
			name = other
		}
		b.WriteString(name + " : " + value)
		if rest = strings.TrimSpace(rest[end+1:]); rest == "" {
			return b.String(), nil
		}
		after, ok := strings.CutPrefix(rest, ",")
		if !ok {
			return "", mrError(mr, "there is no comma after the value of %s", shorten(name))
		}
		b.WriteString(" | ")
		rest = after
	}
}

func mrError(mr, format string, args ...any) error {
	return errors.New("the meaning representation " + shorten(mr) + " is broken: " + fmt.Sprintf(format, args...) +
		": want name[value], name[value], ...")
}
