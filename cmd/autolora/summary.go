package main

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"strings"

	"autolora/autolora/job"
	"autolora/autolora/report"
	"autolora/autolora/runs"
	"autolora/data"
	"autolora/data/metrics"
	"autolora/human"
	"autolora/nn"
)

// report prints the outcome of a run: as one JSON object, what results.json
// holds (of a search, ranks.json), or for people.
func (cmd *command) report(c *console, o *job.Outcome) error {
	searchOnly := cmd.Name() == "search"
	if cmd.json {
		if searchOnly {
			return c.printJSON(o.Ranks)
		}
		return c.printJSON(o.Results)
	}
	return c.print(func(w *writer) {
		w.printf("\n")
		if slices.Contains(o.Files, runs.TuneFile) {
			printChoice(w, cmd.cfg.Out, o.Results)
		}
		printOutcome(w, cmd.cfg.Out, o)
		printPython(w, cmd.cfg.Out, o.Files)
		if searchOnly {
			w.printf("\nTrain at these ranks with autolora train --method autolora --ranks %s\n", filepath.Join(cmd.cfg.Out, runs.RanksFile))
		}
	})
}

// printOutcome prints what a results folder holds.
func printOutcome(w *writer, dir string, o *job.Outcome) {
	if o.Ranks != nil {
		printRanks(w, *o.Ranks)
		w.printf("\n")
	}
	if o.Results != nil {
		if len(o.Results.Scores) > 0 {
			printScores(w, o.Results)
			printTrained(w, o.Results)
			printDetails(w, o.Results)
			w.printf("\n")
		}
		printPruning(w, o)
		if r := o.Results; o.Ranks != nil && r.Steps.Search > 0 && r.Method != runs.MethodLoRAGrid {
			w.printf("Whether other ranks of the same size would do as well one run cannot say: autolora compare can.\n\n")
		}
		printTimes(w, o.Results)
		w.printf("\n")
	}
	printFiles(w, dir, o)
}

// labelWidth is the width of the column of labels on the left.
const labelWidth = 12

// row prints a labelled line.
func (w *writer) row(label, format string, args ...any) {
	w.printf("%-*s%s\n", labelWidth, label, fmt.Sprintf(format, args...))
}

// longest returns the length of the longest text.
func longest(texts []string) (length int) {
	for _, text := range texts {
		length = max(length, len(text))
	}
	return length
}

// printRanks prints the heat map and what the ranks come to.
func printRanks(w *writer, r runs.Ranks) {
	low, high, sum := r.Layers[0].Rank, r.Layers[0].Rank, 0
	for _, l := range r.Layers {
		low, high, sum = min(low, l.Rank), max(high, l.Rank), sum+l.Rank
	}
	most := ""
	if r.K > 0 {
		most = fmt.Sprintf(", at most %d", r.K)
	}
	w.row("ranks", "%d to %d%s; mean %.2f, sum %d, in %d layers", low, high, most, r.Mean(), sum, len(r.Layers))
	newHeatMap(r).print(w, strings.Repeat(" ", labelWidth))
}

// printScores prints the scores, the task's main one first.
func printScores(w *writer, r *runs.Results) {
	names := slices.Sorted(maps.Keys(r.Scores))
	if i := slices.Index(names, r.Primary); i > 0 {
		names = slices.Insert(slices.Delete(names, i, i+1), 0, r.Primary)
	}
	labels := make([]string, len(names))
	for i, name := range names {
		labels[i] = name
		switch variant, ok := strings.CutPrefix(name, r.Primary+"_"); {
		case ok && r.Primary != metrics.NameBLEU: // of another dev set
			labels[i] = variant
		case strings.HasPrefix(name, metrics.NameMETEOR) && r.Paraphrases != nil && !*r.Paraphrases:
			labels[i] += " (no paraphrase table)"
		case name == metrics.NameF1 && r.F1Class != "":
			labels[i] += " of " + human.Line(r.F1Class)
		}
	}
	on := "on all %s examples of %s's %s set"
	if r.Method == runs.MethodPrune { // of which the others chose the size
		on = "on the %s examples of %s's %s set that had no say"
	}
	w.scores(r.Scores, names, labels, fmt.Sprintf(on, human.Thousands(r.Examples), r.Task, cmp.Or(r.Part, "dev")))
}

// How much of the details is printed; results.json has the rest.
const (
	shownClasses  = 10
	shownMistakes = 3
)

// printDetails prints what the scores are to be measured by and what stands
// behind them: the commonest answer's, those of each class, the worst mistakes,
// and whether anything was learnt.
func printDetails(w *writer, r *runs.Results) {
	if least, ok := r.Baseline[r.Primary]; ok {
		loss := human.Score(r.Baseline[metrics.NameLoss], 4)
		if math.IsNaN(least) { // the correlation of a regression
			w.row("baseline", "%s   loss of always giving the mean", loss)
		} else {
			w.row("baseline", "%.4f   %s of always giving the commonest answer; loss %s", least, r.Primary, loss)
		}
	}
	if r.Threshold != nil {
		w.row("threshold", "%s   a text is given the labels with a higher probability", human.Significant(*r.Threshold))
	}
	classes := slices.Clone(r.Classes)
	slices.SortStableFunc(classes, func(a, b metrics.ClassScores) int { return cmp.Compare(b.Support, a.Support) })
	if len(classes) > 0 {
		w.printf("\n")
		w.row("", "precision  recall      f1  examples  predicted")
	}
	for _, c := range classes[:min(len(classes), shownClasses)] {
		name := human.Line(c.Name)
		if len(name) >= labelWidth { // on a line of its own
			w.printf("%s\n", name)
			name = ""
		}
		w.row(name, "%9.4f  %.4f  %.4f  %8s  %9s", c.Precision, c.Recall, c.F1, human.Thousands(c.Support), human.Thousands(c.Predicted))
	}
	if n := len(classes) - shownClasses; n > 0 {
		w.row("", "and %s more, in %s", human.Thousands(n), runs.ResultsFile)
	}
	for i, m := range r.Mistakes[:min(len(r.Mistakes), shownMistakes)] {
		if i == 0 {
			w.printf("\nWorst mistakes:\n")
		}
		w.printf("  %s\n", shorten(mistakeLine(m), w.width-2))
	}
	for i, warning := range report.Warnings(r) {
		if i == 0 {
			w.printf("\n")
		}
		if strings.Contains(warning, "learning rate") {
			how := " (--lr, or --lr auto)" // flags have names here alone
			if r.Steps.Tune > 0 {
				how = " (--tune-lr)"
			}
			warning += how
		}
		w.printf("%s %s\n", w.bold("Warning:"), warning)
	}
}

// mistakeLine says what is wrong, and about which text.
func mistakeLine(m runs.Mistake) string {
	said := fmt.Sprint(m.Predicted)
	if v, ok := m.Predicted.(float64); ok {
		said = human.Significant(v)
	}
	if m.Probability != nil {
		said += fmt.Sprintf(" (%.2f)", *m.Probability)
	}
	text := m.Text
	if m.Word != "" {
		text = fmt.Sprintf("%s, in: %s", m.Word, m.Text)
	}
	return human.Line(fmt.Sprintf("%s, right is %v: %s", said, m.Gold, text))
}

// shorten cuts a line to so many letters.
func shorten(text string, width int) string {
	if letters := []rune(text); len(letters) > width {
		return string(letters[:max(0, width-1)]) + "…"
	}
	return text
}

// printTrained prints how many parameters were trained.
func printTrained(w *writer, r *runs.Results) {
	what := "adapter"
	if r.Method == runs.MethodFull {
		what = "model"
	}
	w.row("trained", "%s parameters of the %s, %s of the head", human.Thousands(r.Parameters.Adapter), what, human.Thousands(r.Parameters.Head))
}

// printPruning prints what an adapter was cut to, and what that cost.
func printPruning(w *writer, o *job.Outcome) {
	p := o.Pruning
	if p == nil || len(p.Curve) == 0 {
		return
	}
	w.row("cut to", "parameters     loss     rise  standard error")
	for _, c := range p.Curve {
		mark := ""
		if c.Parameters == p.Chosen.Parameters {
			mark = "   chosen"
		}
		w.row("", "%10s  %7.4f  %+7.4f  %14.4f%s", human.Thousands(c.Parameters), c.Loss, c.Rise, c.RiseError, mark)
	}
	w.printf("\n")
	for _, line := range report.PruningWords(p, o.Ranks) {
		w.printf("%s\n", line)
	}
	w.printf("\n")
}

// printTimes prints where the time went.
func printTimes(w *writer, r *runs.Results) {
	total := r.Seconds.Load + r.Seconds.Tune + r.Seconds.Search + r.Seconds.Train + r.Seconds.Eval
	label := "time"
	for _, phase := range []struct {
		name    string
		seconds float64
		steps   int
	}{
		{"load", r.Seconds.Load, 0}, {"tune", r.Seconds.Tune, r.Steps.Tune}, {"search", r.Seconds.Search, r.Steps.Search},
		{"train", r.Seconds.Train, r.Steps.Train}, {"eval", r.Seconds.Eval, 0},
	} {
		if phase.seconds == 0 {
			continue
		}
		steps := ""
		if phase.steps > 0 {
			steps = fmt.Sprintf("   %s steps of %s ms", human.Thousands(phase.steps), human.Significant(1000*phase.seconds/float64(phase.steps)))
		}
		w.row(label, "%-7s%8.1f s  %3.0f %%%s", phase.name, phase.seconds, 100*phase.seconds/total, steps)
		label = ""
	}
	memory := human.Bytes(r.PeakMemory)
	if r.DevicePeakMemory > 0 {
		memory += ", on the GPU " + human.Bytes(r.DevicePeakMemory)
	}
	w.row("", "%-7s%8.1f s          peak memory %s", "total", total, memory)
}

// printFiles prints where the results are.
func printFiles(w *writer, dir string, o *job.Outcome) {
	adapter := "adapter in PEFT's form, with a model card"
	if o.Results != nil && o.Results.Method == runs.MethodAdapter {
		adapter = "adapter in AdapterHub's form, with a model card"
	}
	width := len(runs.MetricsFile)
	if slices.Contains(o.Files, runs.HypothesesFile) {
		width = len(runs.HypothesesFile)
	}
	beside := ""
	if o.Results != nil {
		if _, err := data.NamedTask(o.Results.Task); err == nil {
			beside = " beside the paper's"
		}
	}
	label := "files"
	for _, file := range []struct{ name, what string }{
		{runs.AdapterDir, adapter},
		{runs.ModelDir, "the trained model"},
		{runs.ReportFile, "heat map, curves, scores" + beside},
		{runs.HypothesesFile, "what was generated, a line for every source"},
		{runs.PruneFile, "sizes, losses, and what was chosen"},
		{runs.RanksFile, "rank and selection variables of every layer"},
		{runs.TuneFile, "every trial of settings, and what was chosen"},
		{runs.ResultsFile, "scores, parameters, times"},
		{runs.MetricsFile, "a line per logged step"},
		{runs.ConfigFile, "every setting; --config takes it"},
	} {
		if slices.Contains(o.Files, file.name) {
			w.row(label, "%-*s  %s", len(dir)+width+1, filepath.Join(dir, file.name), file.what)
			label = ""
		}
	}
}

// printPython prints how to load what was trained in Python, and how a language
// model is asked.
func printPython(w *writer, dir string, files []string) {
	if slices.Contains(files, runs.ModelDir) {
		printModelPython(w, filepath.Join(dir, runs.ModelDir))
	}
	if !slices.Contains(files, runs.AdapterDir) {
		return
	}
	dir = filepath.Join(dir, runs.AdapterDir)
	a, err := job.ReadAdapter(dir)
	if err != nil {
		return // it was written a moment ago: whoever removed it does not want it loaded
	}
	class, labels := "SequenceClassification", ""
	switch {
	case a.Tokens():
		class = "TokenClassification"
	case a.Language():
		class = "CausalLM"
	}
	if a.Outputs > 0 {
		labels = fmt.Sprintf(", num_labels=%d", a.Outputs)
	}
	w.printf("\nLoad it in Python:\n")
	if a.Bottleneck() {
		w.printf("  import adapters, transformers\n")
		w.printf("  model = transformers.AutoModelFor%s.from_pretrained(%q%s)\n", class, a.BaseModel, labels)
		w.printf("  adapters.init(model); model.load_adapter(%q, set_active=True, use_safetensors=True)\n", dir)
	} else {
		w.printf("  from peft import AutoPeftModelFor%s as AutoPeft\n", class)
		w.printf("  model = AutoPeft.from_pretrained(%q%s)\n", dir, labels)
	}
	printAsking(w, dir, a.Language())
}

// printModelPython prints how to load a whole model.
func printModelPython(w *writer, dir string) {
	arch, err := nn.ReadConfig(dir)
	if err != nil || len(arch.Architectures) == 0 {
		return // as above
	}
	class := arch.Architectures[0]
	w.printf("\nLoad it in Python:\n")
	w.printf("  from transformers import %s\n", class)
	w.printf("  model = %s.from_pretrained(%q)\n", class, dir)
	printAsking(w, dir, arch.Generates() && !arch.HasHead())
}

// printAsking prints how a model is asked.
func printAsking(w *writer, dir string, writes bool) {
	switch {
	case job.Chats(dir):
		w.printf("A prompt is a conversation: tokenizer.apply_chat_template(messages, add_generation_prompt=True, ...).\n")
	case writes:
		w.printf("A prompt is the source and the end-of-text token: tokenizer(source + tokenizer.eos_token).\n")
	}
	w.printf("%s has a whole example.\n", filepath.Join(dir, "README.md"))
}

// bold marks text on a terminal.
func (w *writer) bold(text string) string {
	if !w.color {
		return text
	}
	return "\x1b[1m" + text + "\x1b[0m"
}
