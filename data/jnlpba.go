package data

import (
	"fmt"
	"path/filepath"
	"slices"

	"autolora/data/metrics"
)

// jnlpba is the shared task of JNLPBA 2004 ("BioNLP" in the paper's Table 3): biomedical names in abstracts of
// the GENIA corpus.
type jnlpba struct{}

// jnlpbaLabels are in the order of the hub's data set "jnlpba", whose files hold their indices.
var jnlpbaLabels = []string{"O", "B-DNA", "I-DNA", "B-RNA", "I-RNA", "B-cell_line", "I-cell_line",
	"B-cell_type", "I-cell_type", "B-protein", "I-protein"}

func (jnlpba) task() Task {
	return Task{
		Name: "jnlpba", Kind: Tagging, Labels: slices.Clone(jnlpbaLabels),
		Metrics: []string{metrics.NamePrecision, metrics.NameRecall, metrics.NameF1}, Primary: metrics.NameF1,
	}
}

func (jnlpba) inside() string { return "train.conll or Genia4ERtask1.iob2" }

// jnlpbaLayouts are the forms in which the data are known. devel.conll is a part of Genia4ERtask1.iob2.
var jnlpbaLayouts = []layout{
	{map[Part][]string{Train: {"train"}, Dev: {"devel", "dev"}, Test: {"test"}}, findCoNLL},
	{map[Part][]string{Train: {"Genia4ERtask1", "Genia4ERtask2"}, Test: {"Genia4EReval1", "Genia4EReval2"}}, findCoNLL},
	{map[Part][]string{Train: {"train"}, Test: {"validation"}}, findShards}, // the hub calls the official test set so
}

// load reads a part in the first layout of which there is a file.
func (jnlpba) load(dir string, part Part, s *Splits) error {
	found, _, err := findParts(jnlpbaLayouts, filepath.Join(dir, "JNLPBA"), filepath.Join(dir, "jnlpba"), dir)
	if err != nil {
		return fmt.Errorf("task jnlpba: %w", err)
	}
	files := found[part]
	if files == nil && part == Dev && found != nil {
		s.note("jnlpba: there is no dev set in %s, only the official training and test sets; the paper scores on the test set", dir)
		return nil
	}
	if files == nil {
		return fmt.Errorf("task jnlpba: %s set %w: looked for train.conll, devel.conll, test.conll, Genia4ERtask1.iob2 (train), "+
			"Genia4EReval1.iob2 (test), train-*-of-*.parquet and validation-*-of-*.parquet (test) in %s and its folder JNLPBA", part, errNoPart, dir)
	}
	d, tags, err := readExamples(exampleSpec{files: files, text: []column{wordColumn}, label: tagColumn, lists: true})
	if err == nil {
		err = d.setTags(s.Task.Labels, tags, func(text string) (int, error) { return classIndex(jnlpbaLabels, text) })
	}
	if err != nil {
		return fmt.Errorf("task jnlpba: %w", err)
	}
	d.Name = "jnlpba/" + string(part)
	s.add(part, d)
	return nil
}

// findCoNLL returns the file of that name with one of the ends of CoNLL files, nil if there is none.
func findCoNLL(folder, stem string) ([]string, error) {
	for _, end := range conllEnds {
		if files, err := findFile(folder, stem+end); files != nil || err != nil {
			return files, err
		}
	}
	return nil, nil
}
