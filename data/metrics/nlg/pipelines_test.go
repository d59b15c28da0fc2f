package nlg

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"autolora/data/datatest"
	"autolora/data/metrics"
	"autolora/data/metrics/nlg/meteor"
)

// loadMETEOR loads METEOR without paraphrases.
func loadMETEOR(t *testing.T) *meteor.Meteor {
	t.Helper()
	m, err := meteor.Load("", "")
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// scoreAll runs a pipeline with all its metrics and the scores of each output.
func scoreAll(t *testing.T, name string, segments []Segment, m *meteor.Meteor) *Report {
	t.Helper()
	p, err := FindPipeline(name)
	if err != nil {
		t.Fatal(err)
	}
	r, err := p.Score(segments, Options{METEOR: m, Segments: true})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Scores) != len(p.Metrics) || len(r.Segments) != len(segments) {
		t.Errorf("%s: %d scores and %d segments, want %d and %d", name, len(r.Scores), len(r.Segments), len(p.Metrics), len(segments))
	}
	return r
}

// compareSegments compares the scores of each output with a column of golden values, which have so few digits.
func compareSegments(t *testing.T, r *Report, name string, want []*float64, tolerance float64) {
	t.Helper()
	if len(want) != len(r.Segments) {
		t.Fatalf("%s: %d golden values of %d outputs", name, len(want), len(r.Segments))
	}
	bad := 0
	for i, w := range want {
		got, ok := r.Segments[i][name]
		if !ok || w == nil != math.IsNaN(got) || w != nil && math.Abs(got-*w) > tolerance*max(1, math.Abs(*w)) {
			if bad++; bad < 5 {
				t.Errorf("%s of output %d: got %.17g, want %v", name, i+1, got, deref(w))
			}
		}
	}
	if bad > 0 {
		t.Errorf("%s: %d of %d outputs differ", name, bad, len(want))
	}
}

func deref(v *float64) any {
	if v == nil {
		return nil
	}
	return *v
}

// The golden texts of E2E are as they came from the systems.
func TestPipelineE2E(t *testing.T) {
	m, dir := loadMETEOR(t), datatest.Golden(t, "e2e")
	var cases map[string]struct {
		e2eCase
		METEOR *float64 `json:"METEOR_noparaphrase"`
	}
	readJSON(t, filepath.Join(dir, "expected.json"), &cases)
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			blocks := strings.Split(strings.Join(readLines(t, filepath.Join(dir, c.Refs)), "\n"), "\n\n")
			outputs := readLines(t, filepath.Join(dir, c.Outputs))
			if len(blocks) == 1 { // a reference a line
				blocks = strings.Split(blocks[0], "\n")
			}
			segments := make([]Segment, len(outputs))
			for i, output := range outputs {
				segments[i] = Segment{output, strings.Split(strings.TrimSpace(blocks[i]), "\n")}
			}
			r := scoreAll(t, "e2e", segments, m)
			for name, want := range map[string]*float64{
				metrics.NameBLEU: c.BLEUPerl, metrics.NameNIST: c.NISTPerl, metrics.NameMETEOR: c.METEOR, metrics.NameROUGEL: c.ROUGEL,
				metrics.NameCIDEr: c.CIDEr, metrics.NamePyBLEU: c.BLEUPy, metrics.NamePyNIST: c.NISTPy,
			} {
				near(t, name, r.Scores[name], want)
			}
			names := map[string]string{
				"BLEU": metrics.NamePyBLEU, "sentBLEU_smooth1": metrics.NameSentBLEU, "NIST": metrics.NamePyNIST,
				"METEOR_noparaphrase": metrics.NameMETEOR, "ROUGE_L": metrics.NameROUGEL, "CIDEr": metrics.NameCIDEr,
			}
			for k, column := range c.Columns {
				values := make([]*float64, len(c.Segments))
				for i := range values {
					values[i] = c.Segments[i][k]
				}
				compareSegments(t, r, names[column], values, 1e-8)
			}
		})
	}
}

// The golden texts of WebNLG are prepared already, which a second time changes nothing.
func TestPipelineWebNLG(t *testing.T) {
	m, dir := loadMETEOR(t), datatest.Golden(t, "webnlg-lora-generationeval")
	var cases map[string]struct {
		Seen struct {
			BLEU    struct{ BLEU float64 } `json:"multi_bleu_detok"`
			METEOR  *float64               `json:"METEOR_noparaphrase_r6_on_tok"`
			TER     *float64               `json:"TER_pyter3_on_tok"`
			Blank   float64                `json:"TER_with_trailing_blank_line_quirk"`
			METEORs []*float64             `json:"meteor_segments"`
			TERs    []*float64             `json:"ter_segments"`
		}
	}
	readJSON(t, filepath.Join(dir, "expected.json"), &cases)
	references := readLines(t, filepath.Join(dir, "refs.jsonl"))
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			segments := make([]Segment, len(references))
			for i, output := range readLines(t, filepath.Join(dir, name+".hyp")) {
				segments[i].Hypothesis = output
				if err := json.Unmarshal([]byte(references[i]), &segments[i].References); err != nil {
					t.Fatal(err)
				}
			}
			r := scoreAll(t, "webnlg", segments, m)
			bleu := c.Seen.BLEU.BLEU / 100
			near(t, "bleu", r.Scores[metrics.NameBLEU], &bleu)
			near(t, "meteor", r.Scores[metrics.NameMETEOR], c.Seen.METEOR)
			near(t, "ter", r.Scores[metrics.NameTER], c.Seen.TER)
			n := float64(len(segments))
			near(t, "ter with the blank line", (r.Scores[metrics.NameTER]*n+1)/(n+1), &c.Seen.Blank)
			compareSegments(t, r, metrics.NameMETEOR, c.Seen.METEORs, 1e-9)
			compareSegments(t, r, metrics.NameTER, c.Seen.TERs, 1e-9)
		})
	}
}

func TestPipelineWebNLG2017(t *testing.T) {
	m, dir := loadMETEOR(t), datatest.Golden(t, "webnlg2017-official")
	var cases map[string]struct {
		Old struct {
			BLEU    struct{ BLEU float64 } `json:"multi_bleu_lc"`
			METEOR  *float64               `json:"METEOR_noparaphrase"`
			TER     struct{ TER *float64 } `json:"tercom_0.7.25"`
			METEORs []*float64             `json:"meteor_segments"`
		}
	}
	var columns map[string]struct{ Old map[string]json.RawMessage } // by names that no tag can have
	readJSON(t, filepath.Join(dir, "expected.json"), &cases)
	readJSON(t, filepath.Join(dir, "expected.json"), &columns)
	var files [][]string
	for i := range 3 {
		files = append(files, readLines(t, filepath.Join(dir, fmt.Sprintf("reference%d.lex", i))))
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			var segments []Segment
			for i, output := range readLines(t, filepath.Join(dir, name+".txt")) {
				s := Segment{Hypothesis: output}
				for _, file := range files {
					if file[i] != "" {
						s.References = append(s.References, file[i])
					}
				}
				segments = append(segments, s)
			}
			r := scoreAll(t, "webnlg2017", segments, m)
			bleu := c.Old.BLEU.BLEU / 100
			near(t, "bleu", r.Scores[metrics.NameBLEU], &bleu)
			near(t, "meteor", r.Scores[metrics.NameMETEOR], c.Old.METEOR)
			near(t, "ter", r.Scores[metrics.NameTER], c.Old.TER.TER)
			compareSegments(t, r, metrics.NameMETEOR, c.Old.METEORs, 1e-9)
			var ters [][2]float64
			if err := json.Unmarshal(columns[name].Old["ter_segments_[edits,avg_ref_words]"], &ters); err != nil {
				t.Fatal(err)
			}
			var rates []*float64
			for _, ter := range ters {
				rates = append(rates, new(ter[0]/ter[1]))
			}
			compareSegments(t, r, metrics.NameTER, rates, 1e-7) // the words have 6 digits
		})
	}
}

// rawWebNLG are texts as they stand in WebNLG's files, with more references than the challenge of 2017 took.
var rawWebNLG = []Segment{
	{"Adolfo Suárez Madrid–Barajas Airport is in Madrid.", []string{
		"Adolfo Suárez Madrid–Barajas Airport can be found in San Sebastián de los Reyes.",
		"Madrid is the location of \"Adolfo Suárez Airport\".",
	}},
	{"The Atatürk Monument (İzmir) is 3.5m high.", []string{
		"In İzmir there's the Atatürk Monument.", "The monument cannot be missed.", "It is high.", "The Atatürk Monument (İzmir) is 3.5m high.",
	}},
}

// The texts wanted are those of gpt2_decode.py --tokenize --lower and of the challenge's convert_text.
func TestPreparedTexts(t *testing.T) {
	lora := rewrite(firstReferences(rawWebNLG, 6), prepareLoRA)
	want := []Segment{
		{"adolfo suárez madrid – barajas airport is in madrid .", []string{
			"adolfo suárez madrid – barajas airport can be found in san sebastián de los reyes .",
			"madrid is the location of \" adolfo suárez airport \" .",
		}},
		{"the atatürk monument ( i ̇ zmir ) is 3 . 5m high .", []string{
			"in i ̇ zmir there ' s the atatürk monument .", "the monument cannot be missed .", "it is high .",
			"the atatürk monument ( i ̇ zmir ) is 3 . 5m high .",
		}},
	}
	equalSegments(t, lora, want)
	equalSegments(t, rewrite(firstReferences(rawWebNLG, 3), prepare2017), []Segment{
		{"adolfo suarez madrid - barajas airport is in madrid .", []string{
			"adolfo suarez madrid - barajas airport can be found in san sebastian de los reyes .",
			"madrid is the location of \" adolfo suarez airport \" .",
		}},
		{"the ataturk monument ( izmir ) is 3 . 5m high .", []string{
			"in izmir there ' s the ataturk monument .", "the monument cannot be missed .", "it is high .",
		}},
	})
	// A second time changes nothing.
	equalSegments(t, rewrite(want, prepareLoRA), want)
}

// The references of the challenge's test set come out of its raw texts as the challenge and LoRA's scripts wrote them.
func TestPreparedSharedReferences(t *testing.T) {
	golden, official := datatest.Golden(t, "webnlg-lora-generationeval"), datatest.Golden(t, "webnlg2017-official")
	text, err := os.ReadFile(filepath.Join(datatest.Unpack(t, "datasets/webnlg2017.tar.xz", "webnlg2017/test.json"), "webnlg2017", "test.json"))
	if err != nil {
		t.Fatal(err)
	}
	var raw struct {
		Entries []map[string]struct{ Lexicalisations []struct{ Lex string } }
	}
	if err := json.Unmarshal(text, &raw); err != nil {
		t.Fatal(err)
	}
	var files [][]string
	for i := range 3 {
		files = append(files, readLines(t, filepath.Join(official, fmt.Sprintf("reference%d.lex", i))))
	}
	for i, line := range readLines(t, filepath.Join(golden, "refs.jsonl")) {
		var segment Segment
		for _, entry := range raw.Entries[i] {
			for _, text := range entry.Lexicalisations {
				segment.References = append(segment.References, text.Lex)
			}
		}
		var lora, challenge Segment
		if err := json.Unmarshal([]byte(line), &lora.References); err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if file[i] != "" {
				challenge.References = append(challenge.References, file[i])
			}
		}
		all := []Segment{segment}
		equalSegments(t, rewrite(firstReferences(all, len(lora.References)), prepareLoRA), []Segment{lora})
		equalSegments(t, rewrite(firstReferences(all, 3), prepare2017), []Segment{challenge})
	}
}

func equalSegments(t *testing.T, got, want []Segment) {
	t.Helper()
	for i := range want {
		if got[i].Hypothesis != want[i].Hypothesis || !slices.Equal(got[i].References, want[i].References) {
			t.Errorf("segment %d: got %q, want %q", i, got[i], want[i])
		}
	}
}

// The challenge of 2017 looks at three references, LoRA at six.
func TestReferencesThatCount(t *testing.T) {
	references := []string{"a", "b", "c", "x", "y", "z", "two words"}
	segments := []Segment{{"x", references}, {"two words", references}}
	for name, want := range map[string]float64{"webnlg": (0 + 2.0) / 2, "webnlg2017": (1 + 2.0) / 2} {
		p, err := FindPipeline(name)
		if err != nil {
			t.Fatal(err)
		}
		r, err := p.Score(segments, Options{Metrics: []string{metrics.NameTER}})
		if err != nil {
			t.Fatal(err)
		}
		if got := r.Scores[metrics.NameTER]; got != want {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
	}
}

func TestReportJSON(t *testing.T) {
	r := &Report{Metrics: []string{"bleu", "meteor"}, Scores: metrics.Scores{"bleu": 0.5, "meteor": math.NaN()}, meteorLabel: "meteor (no paraphrase table)"}
	for _, c := range []struct{ label, json, meteor string }{
		{"meteor (no paraphrase table)", `{"bleu":0.5,"meteor":null,"meteor_paraphrases":false}`, "meteor (no paraphrase table)"},
		{"meteor", `{"bleu":0.5,"meteor":null,"meteor_paraphrases":true}`, "meteor"},
		{"", `{"bleu":0.5,"meteor":null}`, ""},
	} {
		r.meteorLabel = c.label
		b, err := json.Marshal(r)
		if err != nil || string(b) != c.json || r.Label("meteor") != c.meteor || r.Label("bleu") != "bleu" {
			t.Errorf("got %s, %v, %q, want %s, %q", b, err, r.Label("meteor"), c.json, c.meteor)
		}
	}
}

func TestPipelineErrors(t *testing.T) {
	good := []Segment{{"a", []string{"a"}}}
	for _, c := range []struct {
		name, pipeline string
		segments       []Segment
		metrics        []string
		want           string
	}{
		{"unknown", "e2", good, nil, `score: "e2" is no way to score texts: want e2e, webnlg or webnlg2017`},
		{"metric", "webnlg", good, []string{"nist"}, `score: "nist" is no metric of webnlg, which has bleu, meteor, ter`},
		{"no outputs", "e2e", nil, []string{"bleu"}, "score: no outputs"},
		{"no reference", "webnlg", []Segment{{"a", []string{"a"}}, {"b", nil}}, []string{"bleu"}, "score: output 2 has no reference"},
		{"no METEOR", "e2e", good, nil, "score: METEOR is not loaded"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := FindPipeline(c.pipeline)
			if err == nil {
				_, err = p.Score(c.segments, Options{Metrics: c.metrics})
			}
			if err == nil || err.Error() != c.want {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

func ExamplePipeline_Score() {
	p, err := FindPipeline("e2e")
	if err != nil {
		fmt.Println(err)
		return
	}
	r, err := p.Score([]Segment{
		{"The Mill is a pub rated 5 out of 5.", []string{"The Mill is a pub with a 5 out of 5 rating.", "The Mill, a pub, is rated 5 out of 5."}},
		{"Blue Spice is cheap.", []string{"Blue Spice is a cheap coffee shop."}},
	}, Options{Metrics: []string{metrics.NameBLEU, metrics.NameROUGEL}})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, name := range r.Metrics {
		fmt.Printf("%s %.4f\n", name, r.Scores[name])
	}
	// Output:
	// bleu 0.5234
	// rouge_l 0.7966
}
