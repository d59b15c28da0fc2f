package nlg

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"autolora/data"
	"autolora/data/metrics"
	"autolora/human"
	"autolora/plainjson"
)

// ReadSegments reads outputs, one a line, and the references of each: one a line; several with an empty line after
// those of an output, as JSON lists, one a line, or as E2E's CSV file; or several files with one of each output.
func ReadSegments(outputs metrics.File, references ...metrics.File) ([]Segment, error) {
	lines, err := outputs.Lines()
	if err != nil {
		return nil, err
	}
	segments := make([]Segment, len(lines))
	for i, line := range lines {
		segments[i].Hypothesis = line
	}
	if len(references) > 1 {
		return segments, addColumns(outputs.Name, segments, references)
	}
	read, err := lists(references[0], len(segments))
	if err != nil {
		return nil, err
	}
	if len(read) != len(segments) {
		return nil, fmt.Errorf("%s has %s, %s has references for %s: want as many", outputs.Name, human.Count(len(segments), "output"), references[0].Name, human.Thousands(len(read)))
	}
	for i, texts := range read {
		segments[i].References = texts
	}
	return segments, nil
}

// addColumns adds the references of several files, each with a line for every output.
func addColumns(outputs string, segments []Segment, files []metrics.File) error {
	for _, f := range files {
		lines, err := f.Lines()
		if err != nil {
			return err
		}
		if len(lines) != len(segments) {
			return fmt.Errorf("%s has %s, %s has %s: want as many", outputs, human.Count(len(segments), "line"), f.Name, human.Count(len(lines), "line"))
		}
		for i, line := range lines {
			if line != "" {
				segments[i].References = append(segments[i].References, line)
			}
		}
	}
	if i := slices.IndexFunc(segments, func(s Segment) bool { return len(s.References) == 0 }); i >= 0 {
		return fmt.Errorf("line %d is empty in all files of references: want a reference in one of them", i+1)
	}
	return nil
}

// lists reads the references of all outputs from one file, in the form that it has.
func lists(f metrics.File, outputs int) ([][]string, error) {
	if strings.EqualFold(filepath.Ext(f.Name), ".csv") {
		return csvLists(f)
	}
	lines, err := f.Filled()
	switch {
	case err != nil:
		return nil, err
	case len(lines) == 0:
		return nil, fmt.Errorf("%s: the file has no references", f.Name)
	case strings.EqualFold(filepath.Ext(f.Name), ".jsonl"), plainjson.Unmarshal([]byte(lines[0]), new([]string)) == nil:
		return jsonLists(f.Name, lines)
	case outputs == 1 || slices.Contains(lines, ""):
		return blocks(f.Name, lines)
	}
	return slices.Collect(slices.Chunk(lines, 1)), nil
}

// blocks reads references one a line, with an empty line after those of an output.
func blocks(name string, lines []string) (references [][]string, err error) {
	var block []string
	for i, line := range lines {
		switch {
		case line != "":
			block = append(block, line)
		case block == nil:
			return nil, fmt.Errorf("%s: line %d is empty as if it ended references, but output %d has none", name, i+1, len(references)+1)
		default:
			references, block = append(references, block), nil
		}
	}
	return append(references, block), nil
}

// jsonLists reads a JSON list of the references of an output from every line.
func jsonLists(name string, lines []string) (references [][]string, err error) {
	for i, line := range lines {
		var texts []string
		if err := plainjson.Unmarshal([]byte(line), &texts); err != nil {
			return nil, fmt.Errorf(`%s: line %d: want a JSON list of texts as ["one", "another"]: %w`, name, i+1, err)
		}
		for t, text := range texts {
			texts[t] = strings.Join(strings.Fields(text), " ") // a text is one line
		}
		if texts = slices.DeleteFunc(texts, func(text string) bool { return text == "" }); len(texts) == 0 {
			return nil, fmt.Errorf("%s: line %d: output %d has no references", name, i+1, i+1)
		}
		references = append(references, texts)
	}
	return references, nil
}

// csvLists reads E2E's official files: the references with the same meaning representation are those of one output, in
// the order in which these first appear.
func csvLists(f metrics.File) (references [][]string, err error) {
	mrs, err := data.ReadColumn(f.Name, f.Text, false, "mr")
	if err != nil {
		return nil, err
	}
	texts, err := data.ReadColumn(f.Name, f.Text, false, "ref")
	switch {
	case err != nil:
		return nil, err
	case mrs == nil || texts == nil:
		first, _, _ := strings.Cut(string(f.Text), "\n")
		return nil, fmt.Errorf("%s: the first line is %.80q: want the columns mr and ref", f.Name, strings.TrimSpace(first))
	}
	places := map[string]int{}
	for row, mr := range mrs {
		i, ok := places[mr]
		if !ok {
			i = len(references)
			places[mr] = i
			references = append(references, nil)
		}
		references[i] = append(references[i], strings.TrimSpace(texts[row]))
	}
	return references, nil
}
