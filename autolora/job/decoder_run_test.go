package job

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"autolora/autolora"
	"autolora/autolora/runs"
	"autolora/autolora/settings"
	"autolora/data/metrics"
	"autolora/nn"
	"autolora/torchbind"
)

// tinyDecoder makes a model folder of the fixture FAMILY-tiny with a byte-level
// tokenizer of letters, and of some pairs of them.
func tinyDecoder(t *testing.T, family string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"config.json", "model.safetensors"} {
		data, err := os.ReadFile(fixturePath(filepath.Join(family+"-tiny", name)))
		if err != nil {
			t.Fatal(err)
		}
		writeTest(t, filepath.Join(dir, name), string(data))
	}
	const end = "<|endoftext|>"
	tokens := []string{"!", end, "Ġ", "|", ":", "."}
	for letter := 'a'; letter <= 'z'; letter++ {
		tokens = append(tokens, string(letter))
	}
	merges := [][2]string{{"Ġ", "a"}, {"Ġ", "|"}, {"Ġ", ":"}, {"o", "o"}, {"f", "oo"}, {"foo", "d"}, {"Ġ", "food"}}
	vocab := map[string]int{}
	for _, m := range merges {
		tokens = append(tokens, m[0]+m[1])
	}
	for i, token := range tokens {
		vocab[token] = i
	}
	level := map[string]any{"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true}
	for name, content := range map[string]any{
		"tokenizer.json": map[string]any{
			"version": "1.0", "pre_tokenizer": level, "post_processor": level, "decoder": level,
			"added_tokens": []any{map[string]any{"id": vocab[end], "content": end, "special": true, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false}},
			"model":        map[string]any{"type": "BPE", "vocab": vocab, "merges": merges},
		},
		"tokenizer_config.json": map[string]any{"tokenizer_class": "GPT2Tokenizer", "eos_token": end},
	} {
		text, err := json.Marshal(content)
		if err != nil {
			t.Fatal(err)
		}
		writeTest(t, filepath.Join(dir, name), string(text))
	}
	return dir
}

// tinyGeneration is a run on a made-up task: say what a place has to eat.
func tinyGeneration(t *testing.T, family string) settings.Config {
	t.Helper()
	dir := t.TempDir()
	rows := func(n, seed int) string {
		var b strings.Builder
		b.WriteString("source\ttarget\n")
		for i := range n {
			place, food := string(rune('a'+(i*7+seed)%26)), string(rune('a'+(i*3+seed)%26))
			fmt.Fprintf(&b, "name : %s | food : %s\t%s has %s .\n", place, food, place, food)
		}
		return b.String()
	}
	writeTest(t, filepath.Join(dir, "train.tsv"), rows(41, 0))
	writeTest(t, filepath.Join(dir, "dev.tsv"), rows(7, 1))
	cfg := settings.Default()
	cfg.Model, cfg.Out = tinyDecoder(t, family), filepath.Join(t.TempDir(), "out")
	cfg.TrainFile, cfg.DevFile = filepath.Join(dir, "train.tsv"), filepath.Join(dir, "dev.tsv")
	cfg.Kind, cfg.Text, cfg.Label = "generation", []string{"source"}, "target"
	cfg.MaxLength, cfg.Decoding.MaxNewTokens, cfg.Decoding.Beams, cfg.BatchSize = 48, 6, 2, 8
	cfg.K, cfg.Rank, cfg.SearchSteps, cfg.Steps, cfg.Dropout, cfg.LogEvery = 4, 2, 6, 6, 0.1, 2
	cfg.SearchLR, cfg.AlphaLR, cfg.LR = 5e-3, 5e-2, 5e-3
	return cfg
}

// checkWritten makes sure that eval, from the files of a run, gives the run's
// scores and predict its texts. model is the one to load them into, adapter the
// run's folder, or "" where the model has all.
func checkWritten(t *testing.T, cfg settings.Config, out *Outcome, model, adapter string) {
	t.Helper()
	hypotheses, err := os.ReadFile(filepath.Join(cfg.Out, runs.HypothesesFile))
	if err != nil {
		t.Fatal(err)
	}
	if len(hypotheses) < 3*out.Results.Examples {
		t.Errorf("the run wrote hardly anything: %q", hypotheses)
	}
	cfg.Model = model
	run(t, func(*torchbind.Scope) {
		again, err := Eval(context.Background(), quiet, cfg, adapter, "dev")
		if err != nil {
			t.Fatal(err)
		}
		loss, before := again.Results.Scores[metrics.NameLoss], out.Results.Scores[metrics.NameLoss]
		if !(math.Abs(loss-before) <= 1e-6*before) { // float32, by weights in another form than those that were trained
			t.Errorf("eval gives the loss %v, the run %v", loss, before)
		}
		again.Results.Scores[metrics.NameLoss] = before
		if fmt.Sprint(again.Results.Scores) != fmt.Sprint(out.Results.Scores) {
			t.Errorf("eval gives %v, the run %v", again.Results.Scores, out.Results.Scores)
		}
		rows, err := os.ReadFile(cfg.DevFile)
		if err != nil {
			t.Fatal(err)
		}
		var inputs strings.Builder
		for _, row := range strings.Split(strings.TrimSpace(string(rows)), "\n")[1:] {
			source, _, _ := strings.Cut(row, "\t")
			fmt.Fprintf(&inputs, "{\"source\": %q}\n", source)
		}
		input := filepath.Join(t.TempDir(), "in.jsonl")
		writeTest(t, input, inputs.String())
		var lines bytes.Buffer
		n, err := Predict(context.Background(), quiet, cfg, PredictConfig{Adapter: adapter, Input: input}, &lines)
		if err != nil {
			t.Fatal(err)
		}
		var texts strings.Builder
		for line := range strings.Lines(lines.String()) {
			var got struct{ Text string }
			if err := json.Unmarshal([]byte(line), &got); err != nil {
				t.Fatal(err)
			}
			texts.WriteString(got.Text + "\n")
		}
		if n != out.Results.Examples || texts.String() != string(hypotheses) {
			t.Errorf("predict gives %q, the run %q", texts.String(), hypotheses)
		}
	})
}

var decoderModules = map[string][2]string{
	"gpt2":  {"transformer.h.%d.attn.c_attn.query", "transformer.h.%d.attn.c_attn.value"},
	"llama": {"model.layers.%d.self_attn.q_proj", "model.layers.%d.self_attn.v_proj"},
}

// The whole job, what it writes, and that eval, predict and the exports agree with
// it.
func TestDecoderRun(t *testing.T) {
	for _, family := range []string{"gpt2", "llama"} {
		t.Run(family, func(t *testing.T) {
			cfg := tinyGeneration(t, family)
			out := mustRun(t, Run, cfg)
			if out.Results.Examples != 7 || out.Results.Parameters.Head != 0 || out.Results.Parameters.Adapter == 0 {
				t.Errorf("results %+v", out.Results)
			}
			for _, name := range []string{metrics.NameBLEU, metrics.NameROUGEL} {
				if v, ok := out.Results.Scores[name]; !ok || !autolora.Finite(v) {
					t.Errorf("no %s in %v", name, out.Results.Scores)
				}
			}
			var ranks runs.Ranks
			readJSON(t, filepath.Join(cfg.Out, runs.RanksFile), &ranks)
			modules := decoderModules[family]
			for i, l := range ranks.Layers {
				if want := fmt.Sprintf(modules[i%2], i/2); l.Name != want || len(l.Alpha) != 4 {
					t.Errorf("layer %d of ranks.json is %+v, want %s", i, l, want)
				}
			}
			checkWritten(t, cfg, out, cfg.Model, cfg.Out)
			checkWrittenExports(t, cfg, out)
			checkGGUF(t, cfg, family)
		})
	}
}

// checkGGUF makes sure that a run's adapter can be exported for llama.cpp, or that
// nothing is left.
func checkGGUF(t *testing.T, cfg settings.Config, family string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "gguf")
	files, err := Export(context.Background(), quiet, cfg, cfg.Out, FormatGGUF, "float16", dir)
	if family != "llama" {
		if _, left := os.Stat(dir); err == nil || !strings.Contains(err.Error(), `adapters of model_type "gpt2" are not written for llama.cpp`) || left == nil {
			t.Errorf("error %v of what llama.cpp's file cannot have; a folder is left: %v", err, left == nil)
		}
		return
	}
	if _, err := Export(context.Background(), quiet, cfg, cfg.Out, FormatFolded, "float16", dir+"-folded"); err == nil || !strings.Contains(err.Error(), "only merged and gguf take another") {
		t.Errorf("error %v of a type that the format does not take", err)
	}
	if want := []string{filepath.Join(dir, "README.md"), filepath.Join(dir, "adapter.gguf")}; err != nil || !slices.Equal(files, want) {
		t.Fatalf("exported %q, %v, want %q", files, err, want)
	}
	card, _ := os.ReadFile(files[0])
	file, _ := os.ReadFile(files[1])
	if !strings.Contains(string(card), "llama-server -m base.gguf --lora adapter.gguf\n```\n\nA prompt is the source and") || !bytes.HasPrefix(file, []byte("GGUF")) {
		t.Errorf("card\n%s\nand a file that begins with %q", card, file[:min(len(file), 4)])
	}
}

// A decoder learns its texts by heart.
func TestDecoderLearns(t *testing.T) {
	for _, family := range []string{"gpt2", "llama"} {
		t.Run(family, func(t *testing.T) {
			cfg := tinyGeneration(t, family)
			cfg.DevFile, cfg.Method, cfg.Steps, cfg.LR, cfg.Dropout, cfg.Decoding.MaxNewTokens = cfg.TrainFile, runs.MethodFull, 250, 1e-2, 0, 10
			out := mustRun(t, Train, cfg)
			if bleu := out.Results.Scores[metrics.NameBLEU]; !(bleu > 0.95) {
				t.Errorf("BLEU %v after training, want more than 0.95", bleu)
			}
		})
	}
}

// checkWrittenExports makes sure that every form in which a run's adapter can be
// exported gives its scores.
func checkWrittenExports(t *testing.T, cfg settings.Config, out *Outcome) {
	t.Helper()
	for _, format := range []string{FormatPEFT, FormatFolded, FormatMerged} {
		dir := filepath.Join(t.TempDir(), format)
		run(t, func(*torchbind.Scope) {
			if _, err := Export(context.Background(), quiet, cfg, cfg.Out, format, "", dir); err != nil {
				t.Fatal(err)
			}
		})
		if format == FormatMerged {
			checkWritten(t, cfg, out, dir, "")
		} else {
			checkWritten(t, cfg, out, cfg.Model, dir)
		}
	}
}

// Every method trains, writes and is read again; the controls come from ranks of
// which one is 0.
func TestDecoderMethods(t *testing.T) {
	for _, family := range []string{"gpt2", "llama"} {
		modules := decoderModules[family]
		given := runs.Ranks{}
		for i, rank := range []int{0, 5, 2, 1} {
			given.Layers = append(given.Layers, runs.LayerRank{Name: fmt.Sprintf(modules[i%2], i/2), Rank: rank})
		}
		for _, c := range []struct {
			method string
			style  string
		}{
			{runs.MethodFull, ""}, {runs.MethodAdapter, "houlsby"}, {runs.MethodAdapter, "pfeiffer"}, {runs.MethodLoRA, ""}, {runs.MethodAdaLoRA, ""},
			{runs.MethodLoRAGrid, ""}, {runs.MethodAutoLoRA, ""}, {runs.MethodUniform, ""}, {runs.MethodShuffled, ""},
		} {
			if family == "llama" && (c.method == runs.MethodLoRAGrid || c.method == runs.MethodUniform) {
				continue // where ranks come from does not depend on the family
			}
			t.Run(family+"/"+c.method+c.style, func(t *testing.T) {
				cfg := tinyGeneration(t, family)
				cfg.Method, cfg.GridRanks, cfg.AdaLoRADeltaT, cfg.Accumulate, cfg.Clip, cfg.Smoothing = c.method, []int64{1, 3}, 2, 2, 0.5, 0.1
				if c.style != "" {
					cfg.AdapterStyle = c.style
				}
				if c.method == runs.MethodFull {
					cfg.Steps = 30 // after few, all texts are empty
				}
				ranks := filepath.Join(t.TempDir(), "ranks.json")
				if NeedsRanks(c.method) {
					cfg.RanksFile = ranks
				}
				text, err := json.Marshal(given)
				if err != nil {
					t.Fatal(err)
				}
				writeTest(t, ranks, string(text))
				out := mustRun(t, Train, cfg)
				switch c.method {
				case runs.MethodFull:
					checkWritten(t, cfg, out, filepath.Join(cfg.Out, runs.ModelDir), "")
					return
				case runs.MethodAdapter:
					checkWritten(t, cfg, out, cfg.Model, cfg.Out)
					return
				}
				checkWritten(t, cfg, out, cfg.Model, cfg.Out)
				if c.method == runs.MethodAdaLoRA || c.method == runs.MethodShuffled { // folded; ranks of which one is 0
					checkWrittenExports(t, cfg, out)
				}
				checkRanks(t, cfg, out, given)
			})
		}
	}
}

// checkRanks holds the parameters of a run's adapter to the ranks that it says it
// has, and those of the controls to what they were made of.
func checkRanks(t *testing.T, cfg settings.Config, out *Outcome, given runs.Ranks) {
	t.Helper()
	sizes := map[string]int64{}
	run(t, func(*torchbind.Scope) {
		m, err := nn.Load(cfg.Model, nn.LoadConfig{Output: nn.CausalLM, DType: torchbind.Float32, Device: torchbind.CPU})
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		for _, l := range given.Layers {
			if sizes[l.Name], err = m.RankSize(l.Name); err != nil {
				t.Fatal(err)
			}
		}
	})
	cost := func(r runs.Ranks) (sum int64) {
		for _, l := range r.Layers {
			sum += int64(l.Rank) * sizes[l.Name]
		}
		return sum
	}
	uniform := runs.Ranks{}
	for _, l := range given.Layers {
		uniform.Layers = append(uniform.Layers, runs.LayerRank{Name: l.Name, Rank: int(cfg.Rank)})
	}
	ranks := uniform
	if cfg.Method != runs.MethodLoRA {
		ranks = *out.Ranks
	}
	if got, want := out.Results.Parameters.Adapter, cost(ranks); got != want {
		t.Errorf("%d parameters, want %d at ranks %v", got, want, ranks.List())
	}
	switch cfg.Method {
	case runs.MethodAutoLoRA:
		if !slices.Equal(ranks.List(), given.List()) {
			t.Errorf("ranks %v, want %v", ranks.List(), given.List())
		}
	case runs.MethodUniform:
		if d := cost(ranks) - cost(given); math.Abs(float64(d)) > 32 { // half of the costliest rank
			t.Errorf("ranks %v cost %d more than %v", ranks.List(), d, given.List())
		}
	case runs.MethodShuffled:
		bySize := func(r runs.Ranks) []string {
			var all []string
			for _, l := range r.Layers {
				all = append(all, fmt.Sprint(sizes[l.Name], " ", l.Rank))
			}
			slices.Sort(all)
			return all
		}
		if !slices.Equal(bySize(ranks), bySize(given)) {
			t.Errorf("ranks %v are not %v in another order", ranks.List(), given.List())
		}
	case runs.MethodAdaLoRA:
		if sum := sumOf(ranks.List()); sum != 4*int(cfg.AdaLoRATargetRank) {
			t.Errorf("ranks %v, want %d in all", ranks.List(), 4*cfg.AdaLoRATargetRank)
		}
	}
}

func sumOf(ranks []int) (sum int) {
	for _, r := range ranks {
		sum += r
	}
	return sum
}

// A run on a decoder that is interrupted again and again learns and writes the
// same bytes as one that is left alone.
func TestDecoderResumeSameBytes(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 2))
	for _, c := range []struct{ family, method string }{
		{"gpt2", runs.MethodFull}, {"gpt2", runs.MethodAdapter}, {"gpt2", runs.MethodAdaLoRA}, {"gpt2", runs.MethodLoRAGrid}, {"gpt2", runs.MethodAutoLoRA},
		{"llama", runs.MethodAutoLoRA},
	} {
		t.Run(c.family+"/"+c.method, func(t *testing.T) {
			cfg, err := tinyGeneration(t, c.family).Variant(c.method)
			if err != nil {
				t.Fatal(err)
			}
			cfg.Steps, cfg.SearchSteps, cfg.Unroll, cfg.GridRanks, cfg.AdaLoRADeltaT = 11, 9, 2, []int64{1, 2}, 2
			cfg.LoRADropout, cfg.Smoothing = 0.1, 0.1
			switch {
			case c.family == "llama":
				cfg.Quantize = nn.NF4
			case c.method == runs.MethodLoRAGrid:
				cfg.Targets = []string{"query"} // two configurations
			}
			checkResume(t, perform, cfg, rng)
		})
	}
}

// A language model has no head: without any rank nothing is left to train, which
// is said before a step is taken.
func TestDecoderWithoutRanks(t *testing.T) {
	for _, family := range []string{"gpt2", "llama"} {
		cfg := tinyGeneration(t, family)
		cfg.Method, cfg.Rank = runs.MethodLoRA, 0
		run(t, func(*torchbind.Scope) {
			_, err := Train(context.Background(), quiet, cfg)
			if err == nil || !strings.Contains(err.Error(), "nothing is left to train") || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %v, want one line with \"nothing is left to train\"", err)
			}
		})
	}
}
