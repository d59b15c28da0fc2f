package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"autolora/autolora/job"
	"autolora/autolora/runs"
	"autolora/autolora/settings"
	"autolora/nn"
	"autolora/torchbind"
)

// childVariable turns the test binary into the program itself: "run", "panic"
// and "crash" for a program with a bug, "deaf" for one that does not end when it should, or
// "launch" for one whose launched processes do what a test tells them.
const childVariable = "AUTOLORA_TEST_CHILD"

func TestMain(m *testing.M) {
	switch os.Getenv(childVariable) {
	case "run":
		os.Exit(mainCode(os.Args[1:], dispatch))
	case "launch":
		os.Exit(mainCode(os.Args[1:], launchedOr(dispatch)))
	case "panic":
		os.Exit(mainCode(os.Args[1:], func(context.Context, *console, []string) error { panic("index out of\nrange") }))
	case "crash": // of a goroutine, which nobody recovers
		os.Exit(mainCode(os.Args[1:], func(context.Context, *console, []string) error {
			go panic("index out of range")
			select {}
		}))
	case "deaf":
		os.Exit(mainCode(os.Args[1:], func(ctx context.Context, c *console, _ []string) error {
			fmt.Fprintln(c.out, "ready")
			endsItself.Store(true)
			<-ctx.Done()
			fmt.Fprintln(c.out, "told")
			select {}
		}))
	}
	os.Exit(m.Run())
}

// program returns a command that runs autolora with args.
func program(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, args...)
	cmd.Env = append(os.Environ(), childVariable+"=run", debugVariable+"=", "HF_HUB_OFFLINE=1", "HF_HOME="+t.TempDir())
	return cmd
}

// outcome is what a program left.
type outcome struct {
	stdout, stderr string
	code           int
}

func run(t *testing.T, cmd *exec.Cmd) outcome {
	t.Helper()
	var stdout, stderr bytes.Buffer
	if cmd.Stdout == nil {
		cmd.Stdout = &stdout
	}
	cmd.Stderr = &stderr
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return outcome{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// here runs autolora in this process: to start one and to open libtorch in it takes
// longer than most of what it does.
func here(t *testing.T, args ...string) outcome {
	t.Helper()
	return hereWith(t, "", args...)
}

// hereWith is here with a text on stdin.
func hereWith(t *testing.T, stdin string, args ...string) outcome {
	t.Helper()
	t.Setenv("HF_HUB_OFFLINE", "1")
	t.Setenv("HF_HOME", t.TempDir())
	var stdout, stderr bytes.Buffer
	c := &console{in: strings.NewReader(stdin), out: &stdout, err: &stderr, width: defaultWidth}
	err := dispatch(t.Context(), c, args)
	if err != nil {
		complain(&stderr, err)
	}
	return outcome{stdout.String(), stderr.String(), exitCode(err)}
}

// tinyModel makes a folder with a tiny BERT checkpoint and a vocabulary of its
// size.
func tinyModel(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"config.json", "model.safetensors"} {
		data, err := os.ReadFile(filepath.Join("..", "..", "testdata", "nn", "bert-tiny", name))
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(dir, name), string(data))
	}
	vocab := []string{"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "bad", "film", "a", "the"}
	for len(vocab) < 120 {
		vocab = append(vocab, "##"+string(rune('a'+len(vocab)%26))+string(rune('a'+len(vocab)/26)))
	}
	writeFile(t, filepath.Join(dir, "vocab.txt"), strings.Join(vocab, "\n")+"\n")
	return dir
}

// tinyTable makes a CSV file of n examples with three labels.
func tinyTable(t *testing.T, n int) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("title,label\n")
	for i := range n {
		b.WriteString([]string{"a good film,good\n", "the bad film,bad\n", "a film,so-so\n"}[i%3])
	}
	path := filepath.Join(t.TempDir(), "table.csv")
	writeFile(t, path, b.String())
	return path
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestExitCodes(t *testing.T) {
	model, table := tinyModel(t), tinyTable(t, 60)
	full := t.TempDir()
	writeFile(t, filepath.Join(full, "mine.txt"), "")
	badConfig := filepath.Join(t.TempDir(), "config.json")
	writeFile(t, badConfig, `{"batch_size": 8}`)
	pickle := filepath.Join(t.TempDir(), "pytorch_model.bin")
	writeFile(t, pickle, "\x80\x02")
	own := []string{"--train", table, "--dev", table, "--kind", "classification", "--text", "title", "--label", "label", "--max-length", "16", "--quiet"} // without the note that one file is trained and scored on
	out := filepath.Join(t.TempDir(), "out")
	several := t.TempDir()
	one := filepath.Join(several, "lora", "seed-1")
	if err := os.MkdirAll(filepath.Join(one, runs.AdapterDir), 0o777); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(one, runs.ResultsFile), "{}")
	writeFile(t, filepath.Join(one, runs.AdapterDir, "adapter_config.json"), "{}")

	for _, tc := range []struct {
		name string
		args []string
		code int
		want string // in the line on stderr
	}{
		{"unknown command", []string{"serch"}, exitUsage, `unknown command "serch", did you mean search?; see autolora --help`},
		{"unknown command with a flag", []string{"serch", "--help"}, exitUsage, `unknown command "serch", did you mean search?`},
		{"help of no command", []string{"help", "serch"}, exitUsage, `unknown command "serch", did you mean search?`},
		{"unknown half of a command", []string{"fetch", "modle", "x"}, exitUsage, `fetch: unknown command "modle", did you mean model?; see autolora fetch --help`},
		{"the beginning of many flags", []string{"run", "--search", "8"}, exitUsage, "run: unknown flag --search; see autolora run --help"},
		{"half a command as others call it", []string{"fetch", "dataset", "x"}, exitUsage, `fetch: unknown command "dataset", did you mean data?`},
		{"half a command", []string{"fetch"}, exitUsage, "fetch: want fetch model or data"},
		{"unknown shell", []string{"completion", "bsh"}, exitUsage, `completion: unknown command "bsh", did you mean bash or zsh?`},
		{"no shell", []string{"completion"}, exitUsage, "completion: want completion bash or zsh or fish or powershell"},
		{"operand of a shell", []string{"completion", "bash", "x"}, exitUsage, `completion bash: unexpected argument "x"`},
		{"unknown flag", []string{"run", "--batchsize", "8"}, exitUsage, "run: unknown flag --batchsize, did you mean --batch-size?; see autolora run --help"},
		{"another program's command", []string{"finetune"}, exitUsage, `unknown command "finetune", did you mean train?`},
		{"underscores", []string{"run", "--batch_size", "8"}, exitUsage, "run: unknown flag --batch_size, did you mean --batch-size?; see autolora run --help"},
		{"one dash", []string{"train", "-lr", "8"}, exitUsage, "train: unknown flag -lr, did you mean --lr?; see"},
		{"another command's flag", []string{"eval", "--accumulate", "8"}, exitUsage, "eval: unknown flag --accumulate; --accumulate is a flag of run, tune, train, compare and prune; see"},
		{"unknown short flag", []string{"run", "-x"}, exitUsage, "unknown shorthand flag: 'x' in -x"},
		{"no value", []string{"run", "--lr"}, exitUsage, "flag needs an argument: --lr"},
		{"not a number", []string{"run", "--k", "eight"}, exitUsage, `--k: got "eight", want a whole number`},
		{"not a fraction", []string{"run", "--lr", "fast"}, exitUsage, `--lr: got "fast", want a number`},
		{"out of range", []string{"run", "--split", "1.5"}, exitUsage, "--split: got 1.5, want between 0 and 1"},
		{"not one of", []string{"search", "--hypergradient", "third-order"}, exitUsage, `--hypergradient: got "third-order", want one of exact, fd, first-order`},
		{"shard of none", []string{"compare", "--shard", "0/4"}, exitUsage, `compare: --shard: got "0/4", want I/N with I from 1 to N, as 1/4`},
		{"shard beyond the last", []string{"compare", "--shard", "5/4"}, exitUsage, `--shard: got "5/4"`},
		{"no shard", []string{"compare", "--shard", "x", "--dry-run"}, exitUsage, `--shard: got "x"`},
		{"unknown device", []string{"run", "--device", "tpu"}, exitUsage, `--device: unknown device "tpu"`},
		{"extra argument", []string{"run", "sst2"}, exitUsage, `unexpected argument "sst2"`},
		{"missing operand", []string{"fetch", "model"}, exitUsage, "fetch model: NAME is missing"},
		{"no model", []string{"run", "--out", out, "--task", "sst2"}, exitUsage, "--model FOLDER|NAME and --data FOLDER are missing"},
		{"no out", append([]string{"run", "--model", model}, own...), exitUsage, "--out FOLDER is missing"},
		{"no data", []string{"run", "--model", model, "--out", out}, exitUsage, "--task NAME or --train FILE is missing: "},
		{"nothing to train on", []string{"run", "--model", model, "--out", out, "--dev", own[3]}, exitUsage, "--train FILE is missing: "},
		{"nothing", []string{"run"}, exitUsage, "run: --model FOLDER|NAME, --out FOLDER and --task NAME or --train FILE are missing; see autolora run --help"},
		{"nothing but a task", []string{"train", "--task", "sst2"}, exitUsage, "train: --model FOLDER|NAME, --out FOLDER, --ranks FILE and --data FOLDER are missing"},
		{"nothing to predict", []string{"predict"}, exitUsage, "predict: --model FOLDER|NAME or --adapter FOLDER and --input FILE are missing"},
		{"two kinds of data", append([]string{"run", "--model", model, "--out", out, "--task", "sst2"}, own...), exitUsage, "exclude each other"},
		{"no ranks", append([]string{"train", "--method", "autolora", "--model", model, "--out", out}, own...), exitUsage, "--ranks FILE is missing: ranks.json of autolora search"},
		{"unknown setting", []string{"run", "--config", badConfig}, exitUsage, `unknown setting "batch_size", did you mean batch-size?`},
		{"unknown part", []string{"eval", "--model", model, "--task", "sst2", "--part", "train"}, exitUsage, `--part: got "train", want dev or test`},
		{"unknown format", []string{"export", "--adapter", full, "--out", out, "--format", "onnx"}, exitUsage, `--format: got "onnx", want one of peft, folded, merged, gguf`},
		{"json lines as json", []string{"predict", "--model", model, "--input", table, "--json"}, exitUsage, "give --output FILE"},

		{"unknown task", []string{"run", "--model", model, "--out", out, "--task", "imdb", "--data", full}, exitUsage, `run: --task: unknown task "imdb": want one of cola, sst2`},
		{"unknown target", slices.Concat([]string{"train", "--method", "lora", "--model", model, "--out", filepath.Join(out, "target"), "--target", "queery"}, own), exitUsage, `train: target "queery" names no linear layer of the model`},
		{"a setting that a job finds wrong", append(slices.Concat([]string{"run", "--model", model, "--out", out}, own), "--max-length", "512"), exitUsage, "run: --max-length: "},
		{"no configuration", []string{"run", "--config", "nowhere.json"}, exitFailed, "--config: open nowhere.json: no such file"},
		{"missing model", append([]string{"run", "--model", "./nowhere/model", "--out", out}, own...), exitFailed, "no such folder"},
		{"model not in the cache", append([]string{"run", "--model", "nobody/nothing", "--out", out}, own...), exitFailed, "HF_HUB_OFFLINE is set"},
		{"full output folder", append([]string{"run", "--model", model, "--out", full}, own...), exitFailed, "is not empty: choose another with --out"},
		{"missing task data", []string{"run", "--model", model, "--out", out, "--task", "sst2", "--data", filepath.Join(full, "none"), "--max-length", "16"}, exitFailed, "data folder of task sst2"},
		{"ranks of no use", append([]string{"train", "--method", "lora", "--ranks", "none.json", "--model", model, "--out", out}, own...), exitUsage, "--ranks: got \"none.json\", but method lora does not train at the ranks of a file"},
		{"missing ranks", append([]string{"train", "--method", "autolora", "--ranks", "none.json", "--model", model, "--out", out}, own...), exitFailed, "none.json"},
		{"missing input", []string{"predict", "--model", model, "--input", "none.jsonl", "--max-length", "16"}, exitFailed, "none.jsonl"},
		{"nothing to describe", []string{"info", "nowhere"}, exitFailed, "info: stat nowhere: no such file or directory"},
		{"pickle", []string{"info", pickle}, exitFailed, "only safetensors is read"},
		{"several runs", []string{"info", several}, exitFailed, several + " holds several runs: give one of them, such as " + one + "; autolora report"},
		{"adapters of several runs", []string{"eval", "--adapter", several}, exitUsage, "eval: --adapter: " + several + " holds no adapter itself: give one of those in it, such as " + one},
		{"empty folder", []string{"info", t.TempDir()}, exitFailed, "neither a model"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := here(t, tc.args...)
			if got.code != tc.code || got.stdout != "" {
				t.Errorf("exit code %d, want %d; stdout %q", got.code, tc.code, got.stdout)
			}
			line, rest, ok := strings.Cut(got.stderr, "\n")
			if !ok || rest != "" || !strings.HasPrefix(line, "autolora: ") || !strings.Contains(line, tc.want) {
				t.Errorf("stderr %q, want one line with %q", got.stderr, tc.want)
			}
		})
	}
}

func TestPanicIsOneLine(t *testing.T) {
	for _, tc := range []struct {
		name, debug string
		trace       bool
	}{
		{"for users", "", false},
		{"for debugging", "1", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cmd := program(t, "run")
			cmd.Env = append(cmd.Env, childVariable+"=panic", debugVariable+"="+tc.debug)
			got := run(t, cmd)
			const want = "autolora: this is a bug in autolora, please report it: index out of; range\n"
			if got.code != exitFailed || !strings.HasPrefix(got.stderr, want) {
				t.Errorf("exit code %d, stderr %q", got.code, got.stderr)
			}
			if trace := strings.Contains(got.stderr, "goroutine"); trace != tc.trace || (!trace && got.stderr != want) {
				t.Errorf("stack trace %v, want %v: %s", trace, tc.trace, got.stderr)
			}
		})
	}
}

func TestFullDisk(t *testing.T) {
	device, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("no /dev/full here")
	}
	defer device.Close()
	cmd := program(t, "--help")
	cmd.Stdout = device
	got := run(t, cmd)
	if got.code != exitFailed || !strings.Contains(got.stderr, "autolora: write to stdout: ") {
		t.Errorf("exit code %d, stderr %q", got.code, got.stderr)
	}
}

// --device cuda without libtorch's CUDA library names the command that brings it.
func TestNoCUDALibrary(t *testing.T) {
	if n, err := torchbind.CUDADevices(); err == nil {
		t.Skipf("the library is here, and %d devices", n)
	}
	const brings = "libtorch_cuda.so is not there: `scripts/fetch_libtorch.sh --cuda && make build` brings it\n"
	for _, device := range []string{"cuda", "cuda:1"} {
		got := here(t, "run", "--device", device)
		if want := fmt.Sprintf("autolora: run: --device: device %q: ", device) + brings; got.code != exitUsage || got.stderr != want {
			t.Errorf("exit code %d, stderr %q, want %q", got.code, got.stderr, want)
		}
	}
}

// version --json says what a report of a bug needs.
func TestVersion(t *testing.T) {
	var v struct {
		Version, Commit, Libtorch *string
		Devices                   []string
	}
	got := here(t, "version", "--json")
	if err := json.Unmarshal([]byte(got.stdout), &v); err != nil || v.Version == nil || v.Commit == nil || v.Libtorch == nil || len(v.Devices) == 0 || v.Devices[0] != "cpu" {
		t.Errorf("got %+v, error %v", v, err)
	}
	if got := here(t, "version"); got.stdout != "autolora "+job.Version+"\n" {
		t.Errorf("got %q", got.stdout)
	}
}

// With --quiet stderr has errors alone.
func TestQuiet(t *testing.T) {
	model, table, out := tinyModel(t), tinyTable(t, 60), filepath.Join(t.TempDir(), "out")
	args := append([]string{"train", "--quiet", "--method", "lora", "--steps", "2", "--out", out}, ownFiles(model, table)...)
	if got := here(t, args...); got.code != exitDone || got.stderr != "" || !strings.Contains(got.stdout, "accuracy") {
		t.Errorf("exit code %d, stdout %q, stderr %q", got.code, got.stdout, got.stderr)
	}
	if got := here(t, args...); got.code != exitFailed || !strings.HasPrefix(got.stderr, "autolora: output folder ") { // that is there now
		t.Errorf("exit code %d, stderr %q", got.code, got.stderr)
	}
}

// Shells complete commands, what they take, and flags with what these are for.
func TestCompletion(t *testing.T) {
	for _, tc := range []struct {
		args []string
		want string
	}{
		{[]string{"completion", "bash"}, "# bash completion V2 for autolora"},
		{[]string{"completion", "zsh"}, "#compdef autolora"},
		{[]string{"__complete", "sea"}, "search\tonly the search; writes ranks.json\n"},
		{[]string{"__complete", "score", "w"}, "webnlg\nwebnlg2017\n"},
		{[]string{"__complete", "run", "--lora-d"}, "--lora-dropout\tdropout before the LoRA layers, 0 to 1\n"},
		{[]string{"__complete", "run", "--dtype", ""}, "float32\nbfloat16\nfloat64\nauto\n:4\n"},
		{[]string{"__complete", "run", "--task", ""}, "cola\nsst2\n"},
		{[]string{"__complete", "train", "--method="}, "full\nadapter\nlora\n"},
		{[]string{"__complete", "run", "--kind", ""}, "classification\nmulti-label\nregression\n"},
		{[]string{"__complete", "eval", "--part", ""}, "dev\ntest\n:4\n"},
		{[]string{"__complete", "run", "--out", ""}, ":16\n"},  // folders
		{[]string{"__complete", "run", "--train", ""}, ":0\n"}, // files
		{[]string{"__complete", "run", "--lr", ""}, "auto\n:4\n"},
		{[]string{"__complete", "run", "--eta", ""}, ":4\n"}, // neither
	} {
		if got := here(t, tc.args...); got.code != exitDone || !strings.HasPrefix(got.stdout, tc.want) {
			t.Errorf("%q: exit code %d, stdout %.200q, want %q", tc.args, got.code, got.stdout, tc.want)
		}
	}
}

func TestDescribe(t *testing.T) {
	stopped := &job.ResumableError{Err: fmt.Errorf("train stopped after step 3 of 9: %w", context.Canceled)}
	notEmpty := fmt.Errorf("output folder o %w", runs.ErrNotEmpty)
	diverged := func(phase string) error {
		return &job.DivergedError{Phase: phase, Step: 4, What: "training loss is NaN", Good: 2, Saved: "o/adapter"}
	}
	ofCompare := []string{"resume", "overwrite"} // flags that it has not
	for _, tc := range []struct {
		name  string
		err   error
		want  string
		lacks []string
	}{
		{"plain", errors.New("no"), "no", nil},
		{"joined", errors.Join(errors.New("one"), errors.New("two")), "one; two", nil},
		{"interrupted", errors.Join(context.Canceled), "interrupted", nil},
		{"out of memory", fmt.Errorf("lora, seed 1: %w", torchbind.ErrOutOfMemory), "lora, seed 1: out of memory: lower --batch-size or --max-length, or train with --gradient-checkpointing", nil},
		{"out of memory without training", torchbind.ErrOutOfMemory, "out of memory: lower --batch-size or --max-length", []string{"gradient-checkpointing"}},
		{"too long", fmt.Errorf("sequence 3: %w", nn.ErrPositions), "sequence 3: the model has positions for no more: lower --max-length or --max-new-tokens", nil},
		{"a text that only looks like it", errors.New("context canceled"), "context canceled", nil},
		{"stopped", stopped, "train stopped after step 3 of 9: interrupted; the checkpoint is kept, --resume goes on from there", nil},
		{"a comparison that stopped", fmt.Errorf("%w; the same command goes on from there", stopped), "train stopped after step 3 of 9: interrupted; the checkpoint is kept; the same command goes on from there", ofCompare},
		{"not empty", notEmpty, "output folder o is not empty: choose another with --out, go on with a stopped run with --resume, or replace its results with --overwrite", nil},
		{"a comparison's is not empty", notEmpty, "output folder o is not empty: choose another with --out", ofCompare},
		{"other settings", settings.Errorf("lr", "got 1e-05, but the run in o %w 0.1", job.ErrBegun), "--lr: got 1e-05, but the run in o was begun with 0.1: begin anew with --overwrite, or choose another folder with --out", nil},
		{"a comparison's other settings", settings.Errorf("lr", "got 1e-05, but the run in o %w 0.1", job.ErrBegun), "--lr: got 1e-05, but the run in o was begun with 0.1: choose another folder with --out, or remove this one", ofCompare},
		{"NaN in the search", diverged("search"), "search step 4: training loss is NaN: lower the learning rate; the last good state, of step 2, is in o/adapter: begin anew with a lower --search-lr or --alpha-lr and --overwrite; --config o/config.json has the other settings", nil},
		{"NaN, and nothing kept", &job.DivergedError{Phase: "search", Step: 1, What: "training loss is NaN"}, "search step 1: training loss is NaN: lower the learning rate: begin anew with a lower --search-lr or --alpha-lr and --overwrite", nil},
		{"NaN in a comparison", diverged("train"), "train step 4: training loss is NaN: lower the learning rate; the last good state, of step 2, is in o/adapter: begin anew with a lower --lr and another --out", ofCompare},
		{"a setting", fmt.Errorf("lora: %w", settings.Errorf("lr", "got 0")), "lora: --lr: got 0", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := describe(tc.err, func(flag string) bool { return !slices.Contains(tc.lacks, flag) }); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}
