package data

import "autolora/data/metrics"

// jnlpba is the shared task of JNLPBA 2004 ("BioNLP" in the paper's Table 3): biomedical names in abstracts of
// the GENIA corpus.
//
// Its data are train.conll, devel.conll and test.conll (.tsv, .iob2 and .txt too), the official Genia4ERtask1.iob2
// (training) and Genia4EReval1.iob2 (test), or the hub's parquet files. Only the first of these have a dev set,
// sentences set aside from the official training set; elsewhere Splits.Dev stays empty and Notes says so. The
// test set never stands in for it: the paper's figures are on the test set, and whoever wants to compare with them
// asks for that part, when all choices are made.
var jnlpba = namedTask{
	Task: Task{
		Name: "jnlpba", Kind: Tagging,
		// In the order of the hub's data set "jnlpba", whose files hold their indices.
		Labels: []string{"O", "B-DNA", "I-DNA", "B-RNA", "I-RNA", "B-cell_line", "I-cell_line",
			"B-cell_type", "I-cell_type", "B-protein", "I-protein"},
		Metrics: []string{metrics.NamePrecision, metrics.NameRecall, metrics.NameF1}, Primary: metrics.NameF1,
	},
	folders:  []string{"JNLPBA", "jnlpba"},
	inside:   "train.conll or Genia4ERtask1.iob2",
	together: true,
	noDev:    "jnlpba: there is no dev set in %s, only the official training and test sets; the paper scores on the test set",
	layouts: []layout{
		{parts: map[Part][]string{Train: conllNames("train"), Dev: conllNames("devel", "dev"), Test: conllNames("test")}, form: tagged},
		{parts: map[Part][]string{Train: conllNames("Genia4ERtask1", "Genia4ERtask2"), Test: conllNames("Genia4EReval1", "Genia4EReval2")}, form: tagged},
		{parts: map[Part][]string{Train: {"train" + shards}, Test: {"validation" + shards}}, form: tagged}, // the hub calls the official test set so
	},
}

var tagged = form{kind: Tagging, text: []column{wordColumn}, label: tagColumn}
