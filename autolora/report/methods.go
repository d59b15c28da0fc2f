package report

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"autolora/autolora/runs"
	"autolora/data/metrics"
)

// method is how a method is shown.
type method struct {
	name  string
	title string // in tables and pictures
	words string // in a sentence
}

// methods are all that are known, in the order of the paper's tables, and the
// controls last.
var methods = []method{
	{runs.MethodFull, "Full fine-tuning", "full fine-tuning"},
	{runs.MethodAdapter, "Adapter", "adapters"},
	{runs.MethodLoRA, "LoRA", "LoRA of one rank everywhere"},
	{runs.MethodLoRAGrid, "LoRA, grid search", "LoRA at the best of a grid of ranks"},
	{runs.MethodAdaLoRA, "AdaLoRA", "AdaLoRA"},
	{runs.MethodAutoLoRA, "AutoLoRA", "AutoLoRA"},
	{runs.MethodNone, "AutoLoRA, no constraint", "AutoLoRA without constraint on α"},
	{runs.MethodSigmoid, "AutoLoRA, sigmoid", "AutoLoRA with α = sigmoid"},
	{runs.MethodEta0, "AutoLoRA, η = 0", "AutoLoRA without second order (η = 0)"},
	{runs.MethodUniform, "LoRA of the same size", "LoRA of the same size, spread evenly"},
	{runs.MethodShuffled, "Shuffled ranks", "the same ranks shuffled over the layers"},
}

// methodOf returns how a method is shown; one that is not known goes by its
// own name.
func methodOf(name string) method {
	for _, m := range methods {
		if m.name == name {
			return m
		}
	}
	return method{name, name, name}
}

// byMethod orders methods as the list has them, unknown ones last.
func byMethod(a, b string) int {
	at := func(name string) int {
		if i := slices.IndexFunc(methods, func(m method) bool { return m.name == name }); i >= 0 {
			return i
		}
		return len(methods)
	}
	return cmp.Or(cmp.Compare(at(a), at(b)), cmp.Compare(a, b))
}

// isControl reports whether a method shows what AutoLoRA's ranks are worth.
func isControl(name string) bool { return name == runs.MethodUniform || name == runs.MethodShuffled }

// isAblation reports whether a method is one of the paper's Table 4.
func isAblation(name string) bool {
	return name == runs.MethodNone || name == runs.MethodSigmoid || name == runs.MethodEta0
}

// learnsRanks reports whether a method finds ranks itself.
func learnsRanks(name string) bool {
	return name == runs.MethodAutoLoRA || name == runs.MethodAdaLoRA || isAblation(name)
}

// Families of tasks: scores of one family stand in one table, as in the paper.
const (
	familyGLUE       = "GLUE"
	familyTagging    = "sequence labelling"
	familyGeneration = "generation"
	familyOwn        = "own data"
)

// taskOrder is the tasks that the paper has, in its order.
var taskOrder = []struct{ name, title, family string }{
	{"cola", "CoLA", familyGLUE}, {"sst2", "SST-2", familyGLUE}, {"mrpc", "MRPC", familyGLUE}, {"qqp", "QQP", familyGLUE},
	{"mnli", "MNLI", familyGLUE}, {"qnli", "QNLI", familyGLUE}, {"rte", "RTE", familyGLUE}, {"stsb", "STS-B", familyGLUE}, {"wnli", "WNLI", familyGLUE},
	{"e2e", "E2E", familyGeneration}, {"webnlg", "WebNLG", familyGeneration},
	{"jnlpba", "JNLPBA", familyTagging},
}

// taskPlace returns a task's place in the order; unknown ones come last.
func taskPlace(name string) int {
	for i, t := range taskOrder {
		if t.name == name {
			return i
		}
	}
	return len(taskOrder)
}

func taskTitle(name string) string {
	if i := taskPlace(name); i < len(taskOrder) {
		return taskOrder[i].title
	}
	return name
}

func taskFamily(name string) string {
	if i := taskPlace(name); i < len(taskOrder) {
		return taskOrder[i].family
	}
	return familyOwn
}

// tableScores returns the scores that the paper's table has of a task; of other
// generated texts those that data of any kind have, and of other tasks their
// main score.
func tableScores(task, primary string) []string {
	switch {
	case task == "e2e":
		return []string{metrics.NameBLEU, metrics.NameNIST, metrics.NameMETEOR, metrics.NameROUGEL, metrics.NameCIDEr}
	case task == "webnlg":
		return []string{metrics.NameBLEU, metrics.NameMETEOR, metrics.NameTER}
	case task == "jnlpba":
		return []string{metrics.NamePrecision, metrics.NameF1}
	case primary == metrics.NameBLEU:
		return []string{metrics.NameBLEU, metrics.NameROUGEL}
	}
	return []string{primary}
}

// score is how a score is shown.
type score struct {
	title  string
	factor float64 // from results.json to the table
	digits int
	better arrow
}

// arrow says in which direction a score gets better. Scores of texts show it,
// for they stand side by side with one that is better the lower it is.
type arrow string

// The directions.
const (
	plain arrow = ""  // the higher, as everyone knows
	up    arrow = "↑" // the higher
	down  arrow = "↓" // the lower
)

// scores are those that are known.
var scores = map[string]score{
	metrics.NameAccuracy: {"accuracy", 100, 1, plain}, metrics.NameF1: {"F1", 100, 1, plain}, metrics.NameMatthews: {"Matthews", 100, 1, plain},
	metrics.NamePearson: {"Pearson", 100, 1, plain}, metrics.NameSpearman: {"Spearman", 100, 1, plain},
	metrics.NamePrecision: {"precision", 100, 1, plain}, metrics.NameRecall: {"recall", 100, 1, plain},
	metrics.NameBLEU: {"BLEU", 100, 1, up}, metrics.NameMETEOR: {"METEOR", 100, 1, up}, metrics.NameROUGEL: {"ROUGE-L", 100, 1, up},
	metrics.NameNIST: {"NIST", 1, 2, up}, metrics.NameCIDEr: {"CIDEr", 1, 2, up}, metrics.NameTER: {"TER", 1, 2, down},
}

// scoreOf returns how the score of that name is shown. Variants of a score,
// as "accuracy_mismatched", are shown as it is.
func scoreOf(name string) score {
	if s, ok := scores[name]; ok {
		return s
	}
	for base, s := range scores {
		if variant, ok := strings.CutPrefix(name, base+"_"); ok {
			s.title += " " + variant
			return s
		}
	}
	return score{name, 1, 3, plain}
}

// head returns the title as the head of a column: "TER ↓", on one line.
func (s score) head() string {
	if s.better == plain {
		return s.title
	}
	return s.title + "\u00a0" + string(s.better)
}

// words returns the title as a sentence has it: "TER (lower is better)".
func (s score) words() string {
	if s.better == down {
		return s.title + " (lower is better)"
	}
	return s.title
}

// like reports whether averages and axes of both scores make sense together.
func (s score) like(other score) bool {
	return s.factor == other.factor && (s.better == down) == (other.better == down)
}

// format returns a value as the tables show it: 83.1, or 8.61.
func (s score) format(v Number) string {
	if !v.Known() {
		return "undefined"
	}
	return fixed(s.factor*float64(v), s.digits)
}

// spread returns "83.1 ± 0.4", or "83.1" where the spread is not known.
func (s score) spread(v Sample) string {
	switch {
	case v.N == 0:
		return "undefined"
	case !v.SD.Known():
		return s.format(v.Mean)
	}
	return fmt.Sprintf("%s ± %s", s.format(v.Mean), s.difference(v.SD))
}

// counted is spread with the number of values: "83.1 ± 0.4 (3)".
func (s score) counted(v Sample) string {
	if v.N == 0 {
		return s.spread(v)
	}
	return fmt.Sprintf("%s (%d)", s.spread(v), v.N)
}

// difference returns a difference or spread of scores, with one more digit where
// it would be 0 otherwise.
func (s score) difference(v Number) string {
	if !v.Known() {
		return "unknown"
	}
	shown := s.factor * float64(v)
	digits := s.digits
	if small := 0.5 * math.Pow10(-digits); shown != 0 && math.Abs(shown) < small {
		digits++
	}
	return fixed(shown, digits)
}

// fixed returns v with that many digits after the point; what is too long for
// a table in powers of ten.
func fixed(v float64, digits int) string {
	if math.Abs(v) >= 1e7 {
		return minus(fmt.Sprintf("%.2e", v))
	}
	return minus(fmt.Sprintf("%.*f", digits, v))
}

// minus replaces the hyphen by the sign, and takes it from a zero.
func minus(text string) string {
	rest, negative := strings.CutPrefix(text, "-")
	if !negative || strings.Trim(rest, "0.") == "" {
		return rest
	}
	return "−" + rest
}
