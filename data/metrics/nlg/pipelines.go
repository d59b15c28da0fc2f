package nlg

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"autolora/data/metrics"
	"autolora/data/metrics/nlg/meteor"
	"autolora/data/metrics/nlg/parallel"
	"autolora/data/metrics/nlg/tok"

	"github.com/mozillazg/go-unidecode"
)

// Pipeline is one official way from outputs and references, as they are, to scores: how the texts are prepared, how
// many references count, and whose implementation of each metric it is.
type Pipeline struct {
	Name    string
	Metrics []string // that it has, in the order in which its scripts print them
	groups  []group
	outputs func(r *Report, segments []Segment) // adds scores of single outputs that no metric has; may be nil
}

// group is metrics that read the same texts.
type group struct {
	prepare func(segments []Segment) []Segment
	metrics []metric
}

// metric computes the scores of those names, of all outputs together and, in each, of every output if there are such.
type metric struct {
	names []string
	score func(segments []Segment, o Options) (all []float64, each []float64, err error)
}

// pipelines are all of them. A new metric is a function, and an entry in the group whose texts it reads.
var pipelines = []Pipeline{
	newPipeline("e2e", e2eOutputs,
		group{asTheyAre, []metric{two(metrics.NameBLEU, metrics.NameNIST, MTEval)}},
		group{PTB, []metric{meteorMetric, one(metrics.NameROUGEL, ROUGEL), one(metrics.NameCIDEr, CIDEr)}},
		group{asTheyAre, []metric{two(metrics.NamePyBLEU, metrics.NamePyNIST, PyMTEval)}}),
	newPipeline("webnlg", nil,
		group{textsOfLoRA, []metric{one(metrics.NameBLEU, whole(MultiBLEUDetok))}},
		group{wordsOfLoRA, []metric{meteorMetric, one(metrics.NameTER, pyTERs)}}),
	newPipeline("webnlg2017", nil,
		group{texts2017, []metric{one(metrics.NameBLEU, whole(multiBLEU2017)), meteorMetric, one(metrics.NameTER, tercoms)}}),
}

func newPipeline(name string, outputs func(r *Report, segments []Segment), groups ...group) Pipeline {
	p := Pipeline{Name: name, groups: groups, outputs: outputs}
	for _, g := range groups {
		for _, m := range g.metrics {
			p.Metrics = append(p.Metrics, m.names...)
		}
	}
	return p
}

// one is a metric of one score, which every output has too.
func one(name string, score func(segments []Segment) (float64, []float64)) metric {
	return metric{[]string{name}, func(segments []Segment, _ Options) ([]float64, []float64, error) {
		all, each := score(segments)
		return []float64{all}, each, nil
	}}
}

// two is two metrics that are computed together.
func two(first, second string, score func(segments []Segment) (float64, float64)) metric {
	return metric{[]string{first, second}, func(segments []Segment, _ Options) ([]float64, []float64, error) {
		a, b := score(segments)
		return []float64{a, b}, nil, nil
	}}
}

// whole is a metric that single outputs do not have.
func whole(score func(segments []Segment) float64) func(segments []Segment) (float64, []float64) {
	return func(segments []Segment) (float64, []float64) { return score(segments), nil }
}

var meteorMetric = metric{[]string{metrics.NameMETEOR}, func(segments []Segment, o Options) ([]float64, []float64, error) {
	outputs, references := make([]string, len(segments)), make([][]string, len(segments))
	for i, s := range segments {
		outputs[i], references[i] = s.Hypothesis, s.References
	}
	scores, err := o.METEOR.Score(outputs, references)
	if err != nil {
		return nil, nil, err
	}
	each := make([]float64, len(segments))
	for i, s := range scores.Segments {
		each[i] = s.Score
	}
	return []float64{scores.Score}, each, nil
}}

// FindPipeline returns the pipeline of that name:
//
//   - e2e: measure_scores.py of tuetschek/e2e-metrics. BLEU and NIST are those of mteval-v13a-sig.pl, which it runs by
//     default; those of its mode -p are there too.
//   - webnlg: LoRA's examples/NLG: gpt2_decode.py --tokenize --lower and GenerationEval's eval.py, six references.
//   - webnlg2017: the scripts of the challenge, three references.
func FindPipeline(name string) (Pipeline, error) {
	i := slices.IndexFunc(pipelines, func(p Pipeline) bool { return p.Name == name })
	if i < 0 {
		return Pipeline{}, fmt.Errorf("score: %q is no way to score texts: want e2e, webnlg or webnlg2017", name)
	}
	return pipelines[i], nil
}

// Options of Pipeline.Score.
type Options struct {
	Metrics  []string       // those wanted; nil: all of the pipeline
	METEOR   *meteor.Meteor // its resources; may be nil where METEOR is not wanted
	Segments bool           // score each output, too
}

// NewOptions returns the options for the metrics wanted, nil for all of the pipeline. If METEOR is one of them it is
// loaded with the word lists of a folder, the program's own if that is "", and with the table of paraphrases in a file,
// none if that is "". So it is known beforehand what is wrong with them.
func NewOptions(p Pipeline, wanted []string, meteorDir, paraphrases string) (Options, error) {
	if wanted == nil {
		wanted = p.Metrics
	}
	o := Options{Metrics: wanted}
	err := p.check(wanted)
	if err == nil && slices.Contains(wanted, metrics.NameMETEOR) {
		o.METEOR, err = meteor.Load(meteorDir, paraphrases)
	}
	return o, err
}

// check returns an error that names a metric that the pipeline does not have.
func (p Pipeline) check(wanted []string) error {
	for _, name := range wanted {
		if !slices.Contains(p.Metrics, name) {
			return fmt.Errorf("score: %q is no metric of %s, which has %s", name, p.Name, strings.Join(p.Metrics, ", "))
		}
	}
	return nil
}

// Report is what Pipeline.Score computes.
type Report struct {
	Metrics  []string         // those computed, in the pipeline's order
	Scores   metrics.Scores   // of all outputs together
	Segments []metrics.Scores // of each output, where there are such: not for WebNLG's BLEU; nil unless asked for

	meteorLabel string // "" without METEOR
}

// Score scores outputs against their references. It is an error if there is no output, or one has no reference, or
// METEOR is wanted and its resources are missing.
func (p Pipeline) Score(segments []Segment, o Options) (*Report, error) {
	if o.Metrics == nil {
		o.Metrics = p.Metrics
	}
	if err := p.check(o.Metrics); err != nil {
		return nil, err
	}
	unwanted := func(name string) bool { return !slices.Contains(o.Metrics, name) }
	r := &Report{Scores: metrics.Scores{}, Metrics: slices.DeleteFunc(slices.Clone(p.Metrics), unwanted)}
	if len(segments) == 0 {
		return nil, errors.New("score: no outputs")
	}
	if i := slices.IndexFunc(segments, func(s Segment) bool { return len(s.References) == 0 }); i >= 0 {
		return nil, fmt.Errorf("score: output %d has no reference", i+1)
	}
	if r.wants(metrics.NameMETEOR) {
		if o.METEOR == nil {
			return nil, errors.New("score: METEOR is not loaded")
		}
		r.meteorLabel = o.METEOR.Label()
	}
	if o.Segments {
		r.Segments = make([]metrics.Scores, len(segments))
		for i := range r.Segments {
			r.Segments[i] = metrics.Scores{}
		}
	}
	// Side by side, so that a second core has something to do.
	errs := make([]error, len(p.groups))
	var mu sync.Mutex // guards what the groups write to the report
	parallel.Run(len(p.groups), func(i int) { errs[i] = p.groups[i].score(r, segments, o, &mu) })
	if r.Segments != nil && p.outputs != nil {
		p.outputs(r, segments)
	}
	return r, errors.Join(errs...)
}

// score adds the metrics of the group that are wanted.
func (g group) score(r *Report, segments []Segment, o Options, mu *sync.Mutex) error {
	wanted := slices.DeleteFunc(slices.Clone(g.metrics), func(m metric) bool { return !r.wants(m.names...) })
	if len(wanted) == 0 {
		return nil
	}
	segments = g.prepare(segments)
	for _, m := range wanted {
		all, each, err := m.score(segments, o)
		if err != nil {
			return err
		}
		mu.Lock()
		for i, name := range m.names {
			if !r.wants(name) {
				continue
			}
			r.Scores[name] = all[i]
			for k := range min(len(each), len(r.Segments)) {
				r.Segments[k][name] = each[k]
			}
		}
		mu.Unlock()
	}
	return nil
}

// Label is the name of a metric for people: METEOR without the table of paraphrases says so, since its scores are
// lower than the published ones.
func (r *Report) Label(name string) string {
	if name == metrics.NameMETEOR {
		return r.meteorLabel
	}
	return name
}

// MarshalJSON writes the scores by name, and where METEOR is one of them whether it had the table of paraphrases, as
// "meteor_paraphrases".
func (r *Report) MarshalJSON() ([]byte, error) {
	scores, err := json.Marshal(r.Scores)
	if err != nil || r.meteorLabel == "" {
		return scores, err
	}
	return fmt.Appendf(scores[:len(scores)-1], `,"meteor_paraphrases":%t}`, r.meteorLabel == metrics.NameMETEOR), nil
}

// wants reports whether one of these metrics is wanted.
func (r *Report) wants(names ...string) bool {
	return slices.ContainsFunc(names, func(name string) bool { return slices.Contains(r.Metrics, name) })
}

// e2eOutputs adds what measure_scores.py -l has, with -p or without.
func e2eOutputs(r *Report, segments []Segment) {
	for i, scores := range r.Segments {
		bleu, nist := PyMTEval(segments[i : i+1])
		if r.wants(metrics.NameBLEU, metrics.NamePyBLEU) {
			scores[metrics.NamePyBLEU], scores[metrics.NameSentBLEU] = bleu, PySentenceBLEU(segments[i])
		}
		if r.wants(metrics.NameNIST, metrics.NamePyNIST) {
			scores[metrics.NamePyNIST] = nist
		}
	}
}

func asTheyAre(segments []Segment) []Segment { return segments }

// textsOfLoRA and wordsOfLoRA leave out two things that change no score but the wrong ones: gpt2_decode.py fills the
// files of references up with copies of the first one, and eval.py takes the end of the last line for one more, empty
// output, with which METEOR fails and TER is a little higher.
func textsOfLoRA(segments []Segment) []Segment {
	return rewrite(firstReferences(segments, 6), prepareLoRA)
}

func wordsOfLoRA(segments []Segment) []Segment {
	return rewrite(textsOfLoRA(segments), func(text string) string { return strings.Join(tok.NLTK(text), " ") })
}

// pyTERs is the mean of the outputs' rates.
func pyTERs(segments []Segment) (float64, []float64) {
	rates := make([]float64, len(segments))
	for i, s := range segments {
		rates[i] = PyTER(s)
	}
	return average(rates), rates
}

const files2017 = 3 // of references, with an empty line where an output has fewer

func texts2017(segments []Segment) []Segment {
	return rewrite(firstReferences(segments, files2017), prepare2017)
}

func multiBLEU2017(segments []Segment) float64 {
	padded := slices.Clone(segments)
	for i := range padded {
		s := &padded[i]
		s.References = append(slices.Clip(s.References), make([]string, files2017-len(s.References))...)
	}
	return MultiBLEU(padded)
}

// tercoms is the edits of all outputs over their words.
func tercoms(segments []Segment) (float64, []float64) {
	rates := make([]float64, len(segments))
	edits, words := 0, 0.0
	for i, s := range segments {
		e, w := Tercom(s)
		rates[i] = tercomRate(e, w)
		edits, words = edits+e, words+w
	}
	return tercomRate(edits, words), rates
}

// prepareLoRA is post_process of LoRA's gpt2_decode.py with --tokenize --lower.
func prepareLoRA(text string) string { return strings.Join(strings.Fields(tok.LoRA(text)), " ") }

// prepare2017 is convert_text of the challenge's scripts.
func prepare2017(text string) string { return prepareLoRA(unidecode.Unidecode(tok.Lower(text))) }

// firstReferences returns the segments with at most n references each.
func firstReferences(segments []Segment, n int) []Segment {
	out := slices.Clone(segments)
	for i := range out {
		out[i].References = out[i].References[:min(n, len(out[i].References))]
	}
	return out
}

// rewrite returns the segments with texts that prepare gives.
func rewrite(segments []Segment, prepare func(text string) string) []Segment {
	out := make([]Segment, len(segments))
	for i, s := range segments {
		out[i] = Segment{prepare(s.Hypothesis), make([]string, len(s.References))}
		for k, text := range s.References {
			out[i].References[k] = prepare(text)
		}
	}
	return out
}
