package report

import (
	"cmp"
	"slices"

	"autolora/autolora/runs"
	"autolora/data/metrics"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// reference is the method that the others are compared with.
const reference = runs.MethodAutoLoRA

// methodOf returns what is known of a method; one that is not known goes by
// its own name.
func methodOf(name string) runs.Method {
	if m, ok := runs.FindMethod(name); ok {
		return m
	}
	return runs.Method{Name: name, Title: name, Words: name, Colour: "gray", Dash: []float64{2, 2}}
}

// shadeOf returns the colour of a method.
func shadeOf(m runs.Method) shade {
	return shades[slices.IndexFunc(shades, func(s shade) bool { return s.name == m.Colour })]
}

// strokeOf returns the line of a method's curves; the reference's is the widest.
func strokeOf(name string) draw.LineStyle {
	m := methodOf(name)
	line := stroke(shadeOf(m), 1.6)
	if name == reference {
		line.Width = 2.4
	}
	for _, length := range m.Dash {
		line.Dashes = append(line.Dashes, vg.Length(length))
	}
	return line
}

// learns reports whether a method finds ranks itself.
func learns(m runs.Method) bool { return m.Ranks == runs.Searched || m.Ranks == runs.Allocated }

// byMethod compares methods by their order; unknown ones come last.
func byMethod(a, b string) int {
	place := func(name string) uint { return uint(slices.Index(runs.MethodNames(), name)) } // -1 is the largest
	return cmp.Or(cmp.Compare(place(a), place(b)), cmp.Compare(a, b))
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
