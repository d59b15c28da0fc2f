package report

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"html"
	"image/color"
	"image/png"
	"io"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"autolora/autolora/runs"

	xfont "golang.org/x/image/font"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// made are reports, once for all tests.
var made map[string]*Report

// reports are runs that ask much of the pictures.
func reports(t *testing.T) map[string]*Report {
	t.Helper()
	if made != nil {
		return made
	}
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }

	comparison(t, at("whole"), []string{"sst2", "mrpc"}, allMethods(), 3, 3, nil)
	comparison(t, at("no AdaLoRA"), []string{"sst2"}, []string{runs.MethodLoRA, runs.MethodAutoLoRA}, 1, 2, nil)
	comparison(t, at("two seeds"), []string{"sst2"}, []string{runs.MethodAutoLoRA, runs.MethodUniform}, 2, 2, nil)
	comparison(t, at("holes"), []string{"cola", "rte"}, allMethods(), 2, 2, func(task, method string, seed uint64) bool {
		return task == "rte" && seed == 1 && method != runs.MethodAutoLoRA || method == runs.MethodLoRA && seed == 2
	})

	bare := scored("sst2", "lora", 1, 0.8)
	bare.config = nil
	bare.write(t, at("bare"))

	for name, scale := range map[string]float64{"huge": 1e300, "tiny": 1e-300, "zero": 0} {
		for seed := range uint64(3) {
			f := scored("own", runs.MethodAutoLoRA, seed, 0.5)
			f.results.Scores["accuracy"] = scale * float64(seed)
			f.results.Seconds = runs.Seconds{Search: scale, Train: scale}
			f.ranks = ranksOf(8, 0, 0)
			for i := range f.ranks.Layers {
				f.ranks.Layers[i].Alpha = []float64{scale, scale, 0}
			}
			for step := range 3 {
				f.metrics = append(f.metrics, runs.Record{Phase: "search", Step: step, Loss: new(scale), ValLoss: new(-scale), Ratio: new(scale * float64(step)),
					Ranks: []int{0, 0}, Alpha: [][]float64{{scale, 0, 0}, {scale}}}, runs.Record{Phase: "train", Step: step, Loss: new(scale), Budget: step})
			}
			f.write(t, at(fmt.Sprintf("%s/%d", name, seed)))
			f.results.Method = runs.MethodLoRA
			f.results.Scores["accuracy"] = -scale
			f.write(t, at(fmt.Sprintf("%s/lora-%d", name, seed)))
		}
	}

	odd := scored("sst2", runs.MethodAutoLoRA, 1, 0.8)
	odd.ranks = &runs.Ranks{Rule: runs.Rule{Name: "alpha", Form: "none", Counts: runs.CountsAlpha, Threshold: runs.Mean}, K: 4, Layers: []runs.LayerRank{
		{Name: "decoder.block.0.layer.1.EncDecAttention.q", Rank: 12}, {Name: "encoder.layer.0.q", Rank: 0}, {Name: "encoder.layer.31.attention.output.dense", Rank: 3},
		{Name: "encoder.layer.31.q", Rank: 0}, {Name: "classifier.dense", Rank: 1}, {Name: "encoder.layer.0.intermediate.dense.with.a.long.name.that.nobody.gives", Rank: 100}}}
	odd.metrics = []runs.Record{{Phase: "train", Step: 1, Loss: new(0.5)}}
	odd.write(t, at("odd layers"))

	large := scored("qqp", runs.MethodAutoLoRA, 1, 0.8)
	large.ranks = ranksOf(8, make([]int, 48)...)
	large.write(t, at("24 blocks"))

	generations(t, at("gpt2-medium"), gpt2Layer, 24, 3)
	generations(t, at("llama"), llamaLayer, 30, 2)

	hostile := scored(hostileName, hostileName, math.MaxUint64, 0.8)
	hostile.config["model"] = "models/" + hostileName
	hostile.ranks = &runs.Ranks{Rule: runs.Rule{Name: hostileName}, Layers: []runs.LayerRank{{Name: hostileName + ".0." + hostileName, Rank: 1}}}
	hostile.results.Scores[hostileName] = 1
	hostile.results.Part = hostileName
	hostile.metrics = []runs.Record{{Phase: "train", Step: 1, Loss: new(0.5)}}
	hostile.write(t, at("hostile/a"))
	hostile.results.Method = runs.MethodAutoLoRA
	hostile.write(t, at("hostile/b"))

	made = map[string]*Report{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		made[e.Name()] = load(t, at(e.Name()))
	}
	return made
}

const hostileName = `<script>alert("1")</script>&'|*_]]>` + "\x1b[2J\u009b\u202e\n- x"

// svgElement is a text of a picture.
var svgElement = regexp.MustCompile(`<text x="([^"]*)" y="([^"]*)"[^>]*style="([^"]*)font-size:([0-9.]+)px[^"]*">([^<]*)</text>`)

// TestPictures draws every picture of every report, and checks that it is well
// formed, has no numbers that are none, colours of the theme only, and that no
// text leaves its panel.
func TestPictures(t *testing.T) {
	for name, r := range reports(t) {
		for _, p := range r.pictures() {
			for _, part := range p.Panels {
				svg, err := part.inline()
				if err != nil {
					t.Errorf("%s: %v", name, err)
					continue
				}
				where := fmt.Sprintf("%s: %s", name, part.title)
				if err := wellFormed(svg); err != nil {
					t.Errorf("%s: %v", where, err)
				}
				plain := strings.ReplaceAll(svg, "&#", "")
				for _, bad := range []string{"NaN", "Inf", "#", "<script"} {
					if at := strings.Index(plain, bad); at >= 0 {
						t.Errorf("%s: %q in …%s…", where, bad, plain[max(0, at-80):min(len(plain), at+20)])
					}
				}
				texts := svgElement.FindAllStringSubmatch(svg, -1)
				if len(texts) == 0 || len(texts) != strings.Count(svg, "<text") {
					t.Errorf("%s: %d of %d texts understood", where, len(texts), strings.Count(svg, "<text"))
				}
				for _, text := range texts {
					style, x, y := textStyle(vg.Length(number(t, text[4])), ink), number(t, text[1]), -number(t, text[2])
					if strings.Contains(text[3], "bold") {
						style.Font.Weight = xfont.WeightBold
					}
					length := float64(style.Width(html.UnescapeString(text[5])))
					if x < -0.5 || x+length > float64(part.width)+0.5 || y < 0 || y > float64(part.height+titleHeight) {
						t.Errorf("%s, %.0f × %.0f: text of %.0f at %.0f, %.0f", where, part.width, part.height, length, x, y)
					}
				}
			}
		}
	}
}

func number(t *testing.T, text string) float64 {
	t.Helper()
	v, err := strconv.ParseFloat(text, 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func wellFormed(text string) error {
	d := xml.NewDecoder(strings.NewReader(text))
	for {
		if _, err := d.Token(); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// TestShades checks that shades can be told apart on both pages, that text is
// readable (WCAG's contrast of 4.5 for text, 3 for what is drawn), and that
// the steps of the ramp go one way, evenly.
func TestShades(t *testing.T) {
	for name, of := range map[string]func(shade) color.RGBA{"light": func(s shade) color.RGBA { return s.light }, "dark": func(s shade) color.RGBA { return s.dark }} {
		seen := map[color.RGBA]string{}
		for _, s := range shades {
			if other, ok := seen[of(s)]; ok {
				t.Errorf("%s: %s and %s are both %v", name, s.name, other, of(s))
			}
			seen[of(s)] = s.name
		}
		for _, s := range []shade{ink, soft} {
			if c := contrast(of(s), of(page)); c < 4.5 {
				t.Errorf("%s: contrast of %s %.2f", name, s.name, c)
			}
		}
		for _, s := range []shade{blue, orange, green, violet, red, gray} {
			if c := contrast(of(s), of(page)); c < 2.7 { // labels and dashes say the same
				t.Errorf("%s: contrast of %s %.2f", name, s.name, c)
			}
		}
		for i, s := range ramp {
			if c := contrast(of(onRamp(i)), of(s)); c < 4.4 {
				t.Errorf("%s: contrast of text on step %d: %.2f", name, i, c)
			}
			if i > 0 && (luminance(of(s)) < luminance(of(ramp[i-1]))) != (name == "light") {
				t.Errorf("%s: step %d of the ramp goes back", name, i)
			}
		}
	}
}

// luminance is the relative luminance of WCAG 2.
func luminance(c color.RGBA) float64 {
	linear := func(v uint8) float64 {
		s := float64(v) / 255
		if s <= 0.04045 {
			return s / 12.92
		}
		return math.Pow((s+0.055)/1.055, 2.4)
	}
	return 0.2126*linear(c.R) + 0.7152*linear(c.G) + 0.0722*linear(c.B)
}

func contrast(a, b color.RGBA) float64 {
	x, y := luminance(a), luminance(b)
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}

// A picture that cannot be drawn is an error, and the page says so.
func TestBrokenPicture(t *testing.T) {
	p := panel{title: "broken", width: 10, height: 10, draw: func(draw.Canvas) { panic("no scale") }}
	if _, err := p.inline(); err == nil || err.Error() != "draw broken: no scale" {
		t.Errorf("error %v", err)
	}
	if err := (picture{Panels: []panel{p}}).write(io.Discard, ".png"); err == nil {
		t.Error("no error of a file")
	}
	_, _ = dotPanel("no number", "", true, []row{{mean: math.NaN()}}).inline() // ends
}

// voidElement is what HTML has and XML has not.
var voidElement = regexp.MustCompile(`<!DOCTYPE html>|<meta [^>]*>`)

// TestPage checks pages: nothing from elsewhere, no scripts, names escaped,
// small.
func TestPage(t *testing.T) {
	for name, r := range reports(t) {
		var b bytes.Buffer
		if err := r.HTML(&b); err != nil {
			t.Fatal(err)
		}
		page := b.String()
		for format, print := range map[string]func(io.Writer) error{"page": r.HTML, "Markdown": r.Markdown,
			"text": func(w io.Writer) error { return errors.Join(r.Text(w, 80), r.TextTables(w, 80)) }} {
			var b bytes.Buffer
			if err := print(&b); err != nil || strings.ContainsAny(b.String(), "\x1b\u009b\u202e") || strings.Contains(b.String(), "\n- x") {
				t.Errorf("%s: names steer what reads the %s: %v", name, format, err)
			}
		}
		for _, bad := range []string{"http:", "https:", "<script", "<link", "<img", "src=", "@import", "url(", "could not be drawn", "ZgotmplZ"} {
			if strings.Contains(page, bad) {
				t.Errorf("%s: %q in the page", name, bad)
			}
		}
		if err := wellFormed(voidElement.ReplaceAllString(page, "")); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if len(page) > 1_000_000 {
			t.Errorf("%s: %d bytes", name, len(page))
		}
		first, table := strings.Index(page, `class="lead"`), strings.Index(page, "<table>")
		if first < 0 || table < 0 || strings.Index(page, "<svg") > 0 && strings.Index(page, "<svg") < table {
			t.Errorf("%s: the page does not begin with the sentence and the table", name)
		}
	}
}

// TestWrite checks the files of a report.
func TestWrite(t *testing.T) {
	dir, out := t.TempDir(), filepath.Join(t.TempDir(), "made", "anew")
	comparison(t, dir, []string{"sst2"}, []string{runs.MethodLoRA, runs.MethodAdaLoRA, runs.MethodAutoLoRA, runs.MethodUniform}, 2, 2, nil)
	r := load(t, dir)
	names, err := r.Write(out)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"report.html", "tables.md", "report.json", "scores.svg", "scores.png", "differences.svg", "ranks.svg", "ranks-by-seed.png",
		"curves-1.svg", "alpha.svg"} {
		if !slices.Contains(names, want) {
			t.Errorf("%s is missing in %q", want, names)
		}
	}
	entries, err := os.ReadDir(out)
	if err != nil || len(entries) != len(names)+1 { // runs.Own
		t.Errorf("%d files, %v, want %d", len(entries), err, len(names))
	}
	for _, name := range names {
		data, err := os.ReadFile(filepath.Join(out, name))
		if err != nil {
			t.Fatal(err)
		}
		switch filepath.Ext(name) {
		case ".png":
			img, err := png.Decode(bytes.NewReader(data))
			if err != nil || img.Bounds().Dx() < panelWidth {
				t.Errorf("%s: %v", name, err)
			}
		case ".svg":
			if err := wellFormed(string(data)); err != nil || bytes.Contains(data, []byte("var(")) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	for _, name := range names {
		if filepath.Ext(name) == ".png" && !pictureFile.MatchString(name) {
			t.Errorf("%s would not be removed by the next report", name)
		}
	}
	earlier, err := runs.Open(out)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"curves-9.png", "scores-dark.svg", "curves-9.txt", "curves-8.png"} {
		if err := earlier.Write(name, []byte(name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := earlier.Close(); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(out, "curves-8.png"), "edited")
	writeFile(t, filepath.Join(out, "curves-7.png"), "mine")
	if again, err := r.Write(out); err != nil || !slices.Equal(again, names) {
		t.Errorf("written again: %q, %v", again, err)
	}
	for name, want := range map[string]bool{"curves-9.png": false, "scores-dark.svg": false, "curves-9.txt": true, "curves-8.png": true, "curves-7.png": true} {
		if _, err := os.Stat(filepath.Join(out, name)); (err == nil) != want {
			t.Errorf("%s: %v", name, err)
		}
	}
	// A file that no report wrote is not replaced, and nothing else is then.
	writeFile(t, filepath.Join(out, "scores.svg"), "mine")
	if err := os.Remove(filepath.Join(out, PageFile)); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Write(out); !errors.As(err, new(*runs.ForeignError)) || !strings.Contains(err.Error(), "scores.svg") {
		t.Errorf("error %v", err)
	}
	if data, err := os.ReadFile(filepath.Join(out, "scores.svg")); string(data) != "mine" {
		t.Errorf("scores.svg is %q, %v", data, err)
	}
	if _, err := os.Stat(filepath.Join(out, PageFile)); err == nil {
		t.Error("a part of the report was written")
	}
	taken := filepath.Join(t.TempDir(), "taken")
	writeFile(t, taken, "")
	if _, err := r.Write(taken); err == nil || !strings.Contains(err.Error(), taken) {
		t.Errorf("error %v", err)
	}
}

// TestMarkdown checks that names cannot break a table.
func TestMarkdown(t *testing.T) {
	table := &Table{Title: "a|b", Heads: []string{"x", "y"}, Caption: "<b>"}
	table.subtitle("s_1")
	table.add("a|b", "*1*")
	table.addPaper("paper", "2")
	table.addPaper("paper", "2") // once
	var b bytes.Buffer
	if err := markdownForm().ExecuteTemplate(&b, "table", table); err != nil {
		t.Fatal(err)
	}
	const want = "## a\\|b\n\n| x | y |\n|---|---:|\n| **s\\_1** |  |\n| a\\|b | \\*1\\* |\n| *paper* | *2* |\n\n&lt;b>\n\n"
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

// A run's own page is small: 48 layers, a long search.
func TestWriteRun(t *testing.T) {
	dir := t.TempDir()
	f := scored("mnli", runs.MethodAutoLoRA, 1, 0.8)
	f.ranks = ranksOf(8, make([]int, 48)...)
	alpha := make([][]float64, 48)
	for i := range alpha {
		alpha[i] = []float64{0.125, 0.124, 0.126, 0.125, 0.12, 0.13, 0.125, 0.125}
		f.ranks.Layers[i].Alpha = alpha[i]
	}
	for step := 10; step <= 20_000; step += 10 {
		f.metrics = append(f.metrics, runs.Record{Phase: "search", Step: step, Loss: new(0.5), ValLoss: new(0.6), Ratio: new(0.01), Ranks: f.ranks.List(), Alpha: alpha},
			runs.Record{Phase: "train", Step: step, Loss: new(0.5)})
	}
	f.write(t, dir)
	if err := WriteRun(dir); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(dir, runs.ReportFile))
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d bytes", len(page))
	if len(page) > 1_000_000 || !bytes.Contains(page, []byte("AutoLoRA on MNLI")) {
		t.Errorf("%d bytes", len(page))
	}
	if err := WriteRun(t.TempDir()); err == nil || !strings.Contains(err.Error(), runs.ResultsFile) {
		t.Errorf("error %v", err)
	}
}

// Names of layers are cut before their block, so that blocks are told apart.
func TestAlphaTitles(t *testing.T) {
	ranks := &runs.Ranks{K: 2}
	for block := range 2 {
		for _, kind := range []string{"attention.output.dense", "output.dense"} {
			ranks.Layers = append(ranks.Layers, runs.LayerRank{Name: fmt.Sprintf("encoder.layer.%d.%s", block, kind), Rank: 1, Alpha: []float64{0.4, 0.6}})
		}
	}
	var b bytes.Buffer
	p := picture{Panels: []panel{(&Run{Ranks: ranks}).alphaPanel("α")}, columns: 1}
	if err := p.write(&b, ".svg"); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"… 0<", "… 1<"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the picture lacks %q", want)
		}
	}
}

// Tasks of several models are told apart from the models.
func TestNamesOfModels(t *testing.T) {
	r := &Report{Tasks: []*Task{{Title: "a", Model: "x"}, {Title: "b", Model: "y"}}}
	if got, want := r.names(r.Tasks), "a, x; b, y"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
