package data

import (
	"fmt"
	"strings"

	"autolora/data/metrics"
)

// glueTasks are the nine tasks of GLUE in the order of the paper's Table 1, WNLI last. Names, classes and their order
// are those of the hub's data set "glue"; metrics are those of its metric, and first the paper's.
var glueTasks = []namedTask{
	glue("CoLA", "sentence", "label", "", []string{"unacceptable", "acceptable"}, metrics.NameMatthews, metrics.NameAccuracy).
		headed("source", "label", "original_label", "sentence"),
	glue("SST-2", "sentence", "label", "", []string{"negative", "positive"}, metrics.NameAccuracy),
	glue("MRPC", "#1 String,#2 String", "Quality", "sentence1,sentence2", []string{"not_equivalent", "equivalent"}, metrics.NameAccuracy, metrics.NameF1),
	glue("QQP", "question1,question2", "is_duplicate", "", []string{"not_duplicate", "duplicate"}, metrics.NameAccuracy, metrics.NameF1).
		skipping("rows left out that are cut off, as the official loaders do"),
	glue("MNLI", "sentence1,sentence2", "gold_label", "premise,hypothesis", []string{"entailment", "neutral", "contradiction"}, metrics.NameAccuracy).
		inVariants("matched", "mismatched"),
	glue("QNLI", "question,sentence", "label", "", []string{"entailment", "not_entailment"}, metrics.NameAccuracy),
	glue("RTE", "sentence1,sentence2", "label", "", []string{"entailment", "not_entailment"}, metrics.NameAccuracy),
	glue("STS-B", "sentence1,sentence2", "score", "", nil, metrics.NameSpearman, metrics.NamePearson),
	glue("WNLI", "sentence1,sentence2", "label", "", []string{"not_entailment", "entailment"}, metrics.NameAccuracy),
}

// glue is a task whose data are known in two layouts, looked for in this order:
//
//	SST-2/train.tsv  SST-2/dev.tsv  SST-2/test.tsv               the official download
//	sst2/train-00000-of-00001.parquet  sst2/validation-...       the hub's
//
// Where a part is in neither, a file train_subset*.tsv, dev_subset*.tsv, heldout_subset*.tsv (dev) or test_subset*.tsv
// stands in for it, and Notes says so. Folder is the official one. Text and label are columns of the official
// files; those of the hub's are hubText, text if it is "", and "label". A task without labels is a regression, from
// 0 to 5.
func glue(folder, text, label, hubText string, labels []string, scores ...string) namedTask {
	t := namedTask{
		Task:   Task{Name: strings.ToLower(strings.ReplaceAll(folder, "-", "")), Kind: Classification, Labels: labels, Metrics: scores},
		inside: folder,
	}
	t.folders = []string{folder, t.Name}
	official := form{reader: readPlainTSV, text: columns(strings.Split(text, ",")...), label: column{name: label}, hidden: true}
	if labels == nil {
		t.Kind, official.most = Regression, 5
	}
	official.kind = t.Kind
	hub := official
	hub.reader = nil
	hub.label.name = "label"
	if hubText != "" {
		hub.text = columns(strings.Split(hubText, ",")...)
	}
	t.layouts = []layout{{form: official}, {form: hub}, {form: official, subset: true}}
	return t.inVariants("")
}

// inVariants sets the names of the files, of the dev and test sets of each variant.
func (t namedTask) inVariants(variants ...string) namedTask {
	if variants[0] != "" {
		t.variants = variants
	}
	parts := []map[Part][]string{{Train: {"train.tsv"}}, {Train: {"train" + shards}}, {Train: {"train_subset*.tsv"}}}
	for _, variant := range variants {
		end := strings.TrimSuffix("_"+variant, "_")
		dev, test := "dev"+end, "test"+end
		parts[0][Part(dev)], parts[0][Part(test)] = []string{dev + ".tsv"}, []string{test + ".tsv"}
		parts[1][Part(dev)], parts[1][Part(test)] = []string{"validation" + end + shards}, []string{test + shards}
		parts[2][Part(dev)], parts[2][Part(test)] = []string{dev + "_subset*.tsv"}, []string{test + "_subset*.tsv"}
	}
	if variants[0] == "" {
		parts[2][Dev] = append(parts[2][Dev], "heldout_subset*.tsv")
	}
	for i := range t.layouts {
		t.layouts[i].parts = parts[i]
	}
	return t
}

// headed is a task whose official training and dev sets have no line with the names of the columns.
func (t namedTask) headed(header ...string) namedTask {
	t.layouts[0].form.header, t.layouts[2].form.header = header, header
	return t
}

// skipping is a task in whose official files rows that end too early are left out.
func (t namedTask) skipping(note string) namedTask {
	t.layouts[0].form.skips, t.layouts[2].form.skips = note, note
	return t
}

// GLUETask returns the GLUE task of that name, as NamedTask does.
func GLUETask(name string) (Task, error) {
	t, err := findTask(name)
	if err != nil {
		return Task{}, err
	}
	for i := range glueTasks {
		if glueTasks[i].Name == t.Name {
			return t.task(), nil
		}
	}
	return Task{}, fmt.Errorf("%s is no task of GLUE", name)
}
