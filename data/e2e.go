package data

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"autolora/data/metrics"
)

// e2e is the E2E NLG challenge of 2017 (the paper's Table 2): sentences about restaurants from lists of facts.
type e2e struct{}

func (e2e) task() Task {
	return Task{
		Name: "e2e", Kind: Generation, Scoring: "e2e", Stop: stopLoRA,
		Metrics: []string{metrics.NameBLEU, metrics.NameNIST, metrics.NameMETEOR, metrics.NameROUGEL, metrics.NameCIDEr, metrics.NamePyBLEU, metrics.NamePyNIST},
		Primary: metrics.NameBLEU,
	}
}

func (e2e) inside() string { return "trainset.csv, devset.csv and testset_w_refs.csv" }

// e2eLayouts are the official files, LoRA's, and the hub's.
var e2eLayouts = []layout{
	{map[Part][]string{Train: {"trainset.csv"}, Dev: {"devset.csv"}, Test: {"testset_w_refs.csv"}}, findFile},
	{map[Part][]string{Train: {"train.txt"}, Dev: {"valid.txt"}, Test: {"test.txt"}}, findFile},
	{map[Part][]string{Train: {"train"}, Dev: {"validation"}, Test: {"test"}}, findShards},
}

// load reads a part in the first layout of which there is a file.
func (e2e) load(dir string, part Part, s *Splits) error {
	found, which, err := findParts(e2eLayouts, filepath.Join(dir, "e2e-dataset"), filepath.Join(dir, "e2e"), dir)
	if err != nil {
		return fmt.Errorf("task e2e: %w", err)
	}
	files := found[part]
	if files == nil {
		return fmt.Errorf("task e2e: %s set %w: looked for trainset.csv, devset.csv and testset_w_refs.csv, LoRA's train.txt, valid.txt and test.txt, "+
			"and the hub's %s-*-of-*.parquet in %s and its folders e2e-dataset and e2e", part, errNoPart, e2eLayouts[2].parts[part][0], dir)
	}
	spec := exampleSpec{files: files, text: columns("mr"), label: column{name: "ref"}}
	source := linearizeMR
	switch which {
	case 1:
		spec.read, source = readLoRAText, nil
	case 2:
		spec.text, spec.label.name = columns("meaning_representation"), "human_reference"
	}
	d, targets, err := readExamples(spec)
	if err == nil {
		err = d.setTargets(targets, source)
	}
	if err != nil {
		return fmt.Errorf("task e2e: %w", err)
	}
	d.Name = "e2e/" + string(part)
	if part != Train {
		d.joinReferences()
	}
	s.add(part, d)
	return nil
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
