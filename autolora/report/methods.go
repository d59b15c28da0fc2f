package report

import (
	"cmp"
	"slices"

	"autolora/autolora/runs"
	"autolora/data/metrics"

	"gonum.org/v1/plot/vg"
)

// method is what a report knows of a method: how it is named and drawn, and
// what it is to the others.
type method struct {
	name   string
	title  string // in tables and pictures
	words  string // in a sentence
	colour shade
	dash   []vg.Length // of its curves
	group  string      // title of a group below the other methods

	learns   bool // finds ranks itself
	searches bool // does that before the training
}

// The groups of methods that have a title.
const (
	ablations = "Ablations (Table 4)"
	controls  = "Controls"
)

// methods are all that are known, in the order of the paper's tables, and the
// controls last.
var methods = []method{
	{name: runs.MethodFull, title: "Full fine-tuning", words: "full fine-tuning", colour: gray},
	{name: runs.MethodAdapter, title: "Adapter", words: "adapters", colour: magenta, dash: dash(9, 3, 2, 3)},
	{name: runs.MethodLoRA, title: "LoRA", words: "LoRA of one rank everywhere", colour: orange, dash: dash(7, 3)},
	{name: runs.MethodLoRAGrid, title: "LoRA, grid search", words: "LoRA at the best of a grid of ranks", colour: yellow, dash: dash(4, 2)},
	{name: runs.MethodAdaLoRA, title: "AdaLoRA", words: "AdaLoRA", colour: green, dash: dash(2, 2.5), learns: true},
	{name: runs.MethodAutoLoRA, title: "AutoLoRA", words: "AutoLoRA", colour: blue, learns: true, searches: true},
	{name: runs.MethodNone, title: "AutoLoRA, no constraint", words: "AutoLoRA without constraint on α", colour: red, dash: dash(7, 3), group: ablations, learns: true, searches: true},
	{name: runs.MethodSigmoid, title: "AutoLoRA, sigmoid", words: "AutoLoRA with α = sigmoid", colour: red, dash: dash(2, 2.5), group: ablations, learns: true, searches: true},
	{name: runs.MethodEta0, title: "AutoLoRA, η = 0", words: "AutoLoRA without second order (η = 0)", colour: red, dash: dash(9, 3, 2, 3), group: ablations, learns: true, searches: true},
	{name: runs.MethodUniform, title: "LoRA of the same size", words: "LoRA of the same size, spread evenly", colour: orange, dash: dash(1.5, 3), group: controls},
	{name: runs.MethodShuffled, title: "Shuffled ranks", words: "the same ranks shuffled over the layers", colour: violet, dash: dash(5, 2, 1.5, 2), group: controls},
}

// reference is the method that the others are compared with.
const reference = runs.MethodAutoLoRA

func dash(lengths ...vg.Length) []vg.Length { return lengths }

// methodOf returns what is known of a method; one that is not known goes by
// its own name.
func methodOf(name string) method {
	if i := methodPlace(name); i < len(methods) {
		return methods[i]
	}
	return method{name: name, title: name, words: name, colour: gray, dash: dash(2, 2)}
}

// methodPlace returns a method's place in the order; unknown ones come last.
func methodPlace(name string) int {
	if i := slices.IndexFunc(methods, func(m method) bool { return m.name == name }); i >= 0 {
		return i
	}
	return len(methods)
}

func byMethod(a, b string) int {
	return cmp.Or(cmp.Compare(methodPlace(a), methodPlace(b)), cmp.Compare(a, b))
}

// Families of tasks: scores of one family stand in one table, as in the paper.
const (
	familyGLUE       = "GLUE"
	familyTagging    = "sequence labelling"
	familyGeneration = "generation"
	familyOwn        = "own data"
)

// task is how a task is shown. Its scores are those that the paper's table has,
// where it is more than the main one.
type task struct {
	name, title, family string
	scores              []string
}

// tasks are those that the paper has, in its order.
var tasks = []task{
	{"cola", "CoLA", familyGLUE, nil}, {"sst2", "SST-2", familyGLUE, nil}, {"mrpc", "MRPC", familyGLUE, nil}, {"qqp", "QQP", familyGLUE, nil},
	{"mnli", "MNLI", familyGLUE, nil}, {"qnli", "QNLI", familyGLUE, nil}, {"rte", "RTE", familyGLUE, nil}, {"stsb", "STS-B", familyGLUE, nil}, {"wnli", "WNLI", familyGLUE, nil},
	{"e2e", "E2E", familyGeneration, []string{metrics.NameBLEU, metrics.NameNIST, metrics.NameMETEOR, metrics.NameROUGEL, metrics.NameCIDEr}},
	{"webnlg", "WebNLG", familyGeneration, []string{metrics.NameBLEU, metrics.NameMETEOR, metrics.NameTER}},
	{"jnlpba", "JNLPBA", familyTagging, []string{metrics.NamePrecision, metrics.NameF1}},
}

// taskOf returns how a task is shown, and its place in the order; unknown ones
// come last.
func taskOf(name string) (task, int) {
	if i := slices.IndexFunc(tasks, func(t task) bool { return t.name == name }); i >= 0 {
		return tasks[i], i
	}
	return task{name: name, title: name, family: familyOwn}, len(tasks)
}

// tableScores returns the scores of a task that stand in the main table: the
// paper's; of other generated texts those that data of any kind have, and of
// other tasks the main one.
func tableScores(name, primary string) []string {
	switch t, _ := taskOf(name); {
	case t.scores != nil:
		return t.scores
	case primary == metrics.NameBLEU:
		return []string{metrics.NameBLEU, metrics.NameROUGEL}
	}
	return []string{primary}
}
