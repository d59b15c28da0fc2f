// Package metrics computes the scores of classification and regression as scikit-learn and SciPy do: accuracy, F1 of one
// class and of all, also of several labels at once, the Matthews correlation coefficient, Pearson's and Spearman's
// correlation; and precision, recall and F1 of the entities that the tags of words make, as seqeval and conlleval do. All
// are fractions of 1. Generated texts are scored by package nlg. scores.go has the table of all scores.
package metrics
