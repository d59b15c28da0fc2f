// Package report makes tables, statistics and pictures out of the folders that
// runs leave. It knows no tensors.
//
// Load reads the folders, Summarise turns them into a Report, which is plain
// data (report.json is its JSON), and the Report's methods print it: Text for
// a terminal, Markdown, HTML for a page that needs nothing but itself, Write
// for a folder with all of it and the pictures as files. WriteRun does all
// this for one run.
//
// # What is computed
//
// A score is the mean over seeds with the standard deviation (n−1). Held-out losses
// of two methods on the same examples are compared example by example, see
// [LossDifference]: methods that search ranks with their controls, and others where
// scores are too coarse. Scores of two
// methods are compared on the same task by the differences of runs with the
// same seed: mean, 95 % confidence interval and two-sided p value after
// Student's t. Over several tasks the average of the tasks' mean differences
// is given, with an interval for just these tasks (the variances of the tasks'
// means add up; degrees of freedom after Satterthwaite), and in how many
// tasks the difference has each sign, with an exact sign test. The first asks
// whether other seeds would say the same, the second whether other tasks
// would. Where several tests make one statement the level is divided among them;
// nothing is corrected for the number of comparisons, and the report says how many
// there are. With two seeds a task, and one task's variance far above the others', up
// to 8 % of the intervals over tasks leave out the truth, with three up to 7 %.
//
// Runs of a task that differ in settings which change results are no seeds of
// each other: they stand apart, and only like is compared with like, on the same
// number of examples. Nothing is judged of a method that does no better than the
// commonest answer would.
//
// Learned ranks are held against what chance gives: their agreement between
// seeds and between tasks against permuted layers, their mean and spread
// against selection variables of which none is better than another.
//
// The cost of a run is the time of its search and its training, without
// loading and evaluation, as the paper's Table 5 has it.
package report
