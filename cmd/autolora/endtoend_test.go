package main

import (
	"bufio"
	"encoding/json"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"autolora/autolora/job"
)

// ownFiles are the flags for a table of tinyTable and a model of tinyModel.
func ownFiles(model, table string) []string {
	return []string{"--model", model, "--train", table, "--dev", table, "--kind", "classification", "--text", "title", "--label", "label",
		"--max-length", "16", "--batch-size", "4", "--threads", "1"}
}

// succeed runs autolora and returns its stdout.
func succeed(t *testing.T, args ...string) string {
	t.Helper()
	got := here(t, args...)
	if got.code != exitDone {
		t.Fatalf("autolora %s: exit code %d: %s", args[0], got.code, got.stderr)
	}
	return got.stdout
}

// decode parses the one JSON object that a command printed.
func decode(t *testing.T, text string) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return v
}

// wantKeys checks that v has at least these keys.
func wantKeys(t *testing.T, v map[string]any, keys ...string) {
	t.Helper()
	for _, key := range keys {
		if _, ok := v[key]; !ok {
			t.Errorf("no %q in %v", key, v)
		}
	}
}

// TestFromRunToPredictions goes the way of a user: run, then every command that
// takes what it left.
func TestFromRunToPredictions(t *testing.T) {
	model, table, dir := tinyModel(t), tinyTable(t, 60), t.TempDir()
	out := filepath.Join(dir, "out")
	adapter := filepath.Join(out, "adapter")

	summary := succeed(t, append([]string{"run", "--out", out, "--k", "4", "--search-steps", "8", "--steps", "8", "--lr", "0.01"}, ownFiles(model, table)...)...)
	for _, want := range []string{"ranks  ", "\n            block   0  1\n", "accuracy    ", "on all 60 examples of table's dev set", "   8 steps of ", "peak memory", adapter, "num_labels=3)"} {
		if !strings.Contains(summary, want) {
			t.Errorf("the summary lacks %q:\n%s", want, summary)
		}
	}
	if strings.Contains(summary, "\x1b") {
		t.Errorf("escape sequences without a terminal: %q", summary)
	}

	t.Run("info", func(t *testing.T) {
		for _, tc := range []struct{ path, kind string }{
			{out, "results folder"}, {adapter, "adapter"}, {model, "model"},
			{filepath.Join(out, "ranks.json"), "ranks"}, {filepath.Join(out, "results.json"), "results"},
			{filepath.Join(adapter, "adapter_model.safetensors"), "safetensors"},
		} {
			if v := decode(t, succeed(t, "info", "--json", tc.path)); v["kind"] != tc.kind {
				t.Errorf("kind of %s: %v, want %q", tc.path, v["kind"], tc.kind)
			}
			if text := succeed(t, "info", tc.path); !strings.Contains(text, "\nkind        ") {
				t.Errorf("info %s: %s", tc.path, text)
			}
		}
		wantKeys(t, decode(t, succeed(t, "info", "--json")), "version", "libtorch", "cpu_capability", "cpu_bfloat16", "threads", "cuda_devices")
	})
	t.Run("eval with the run's own settings", func(t *testing.T) {
		got := decode(t, succeed(t, "eval", "--config", filepath.Join(out, "config.json"), "--adapter", adapter, "--json"))
		text, err := os.ReadFile(filepath.Join(out, "results.json"))
		if err != nil {
			t.Fatal(err)
		}
		want := decode(t, string(text))
		wantKeys(t, want, "task", "method", "seed", "scores", "parameters", "seconds", "steps", "peak_memory_bytes")
		a, b := got["scores"].(map[string]any)["accuracy"], want["scores"].(map[string]any)["accuracy"]
		if a == nil || a != b {
			t.Errorf("accuracy %v, want the run's %v", a, b)
		}
	})
	t.Run("eval that knows its run", func(t *testing.T) {
		got := here(t, "eval", "--adapter", out, "--dev", table, "--threads", "1")
		if got.code != exitDone || !strings.Contains(got.stdout, "on all 60 examples of table's dev set") || strings.Contains(got.stderr, "--") {
			t.Errorf("exit code %d: %s%s", got.code, got.stdout, got.stderr)
		}
		got = here(t, "eval", "--adapter", out, "--dev", table, "--threads", "1", "--max-length", "9")
		if got.code != exitDone || !strings.Contains(got.stderr, "--max-length 9: the adapter was made with 16\n") {
			t.Errorf("exit code %d: %s", got.code, got.stderr)
		}
		elsewhere := filepath.Join(dir, "elsewhere")
		if err := os.CopyFS(elsewhere, os.DirFS(adapter)); err != nil {
			t.Fatal(err)
		}
		config, err := os.ReadFile(filepath.Join(adapter, "adapter_config.json"))
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(elsewhere, "adapter_config.json"), strings.Replace(string(config), model, "/where/it/was", 1))
		for _, command := range [][]string{{"eval", "--dev", table}, {"predict", "--input", table}, {"export", "--format", "merged", "--out", filepath.Join(dir, "gone")}} {
			got := here(t, append(command, "--adapter", elsewhere)...)
			want := "autolora: " + elsewhere + ` names a base model that cannot be had: model "/where/it/was": no such folder, and `
			if got.code != exitFailed || !strings.HasPrefix(got.stderr, want) || !strings.HasSuffix(got.stderr, ": give its folder, or its name on the hub, with --model\n") || strings.Count(got.stderr, "\n") != 1 {
				t.Errorf("%s: exit code %d: %s", command[0], got.code, got.stderr)
			}
		}
	})
	t.Run("train at the ranks", func(t *testing.T) {
		args := append([]string{"train", "--method", "autolora", "--ranks", filepath.Join(out, "ranks.json"), "--out", filepath.Join(dir, "train"), "--steps", "2", "--json"}, ownFiles(model, table)...)
		if v := decode(t, succeed(t, args...)); v["method"] != "autolora" {
			t.Errorf("method %v", v["method"])
		}
	})
	t.Run("search alone", func(t *testing.T) {
		args := append([]string{"search", "--out", filepath.Join(dir, "search"), "--search-steps", "2", "--json"}, ownFiles(model, table)...)
		wantKeys(t, decode(t, succeed(t, args...)), "rule", "k", "layers")
	})
	t.Run("export", func(t *testing.T) {
		for _, format := range []string{job.FormatPEFT, job.FormatFolded, job.FormatMerged} {
			v := decode(t, succeed(t, "export", "--adapter", adapter, "--format", format, "--out", filepath.Join(dir, format), "--json"))
			if files, _ := v["files"].([]any); len(files) < 2 {
				t.Errorf("files of %s: %v", format, v["files"])
			}
		}
	})

	input := filepath.Join(dir, "in.jsonl")
	const lines = "{\"text\": \"a good film\"}\n{\"text\": \"the bad film\"}\n{\"text\": \"bad\"}\n"
	writeFile(t, input, lines)
	t.Run("predict", func(t *testing.T) {
		output := filepath.Join(dir, "labels.jsonl")
		stdout := succeed(t, "predict", "--adapter", adapter, "--max-length", "16", "--input", input)
		if got := succeed(t, "predict", "--adapter", adapter, "--max-length", "16", "--input", input, "--output", "-"); got != stdout {
			t.Errorf("--output - gives %q, want %q", got, stdout)
		}
		if got := succeed(t, "predict", "--adapter", adapter, "--max-length", "16", "--input", input, "--output", output); got != "3 examples written to "+output+"\n" {
			t.Errorf("stdout %q", got)
		}
		fromStdin := hereWith(t, lines, "predict", "--adapter", adapter, "--max-length", "16", "--input", "-")
		written, err := os.ReadFile(output)
		if err != nil {
			t.Fatal(err)
		}
		if fromStdin.stdout != stdout || string(written) != stdout {
			t.Errorf("to stdout %q, to a file %q, from stdin %q %s", stdout, written, fromStdin.stdout, fromStdin.stderr)
		}
		for line := range strings.Lines(stdout) {
			v := decode(t, line)
			if logits, _ := v["logits"].([]any); len(logits) != 3 || v["label"] == nil {
				t.Errorf("prediction %s", line)
			}
		}
		// A file that is read is not written, by whatever name.
		link, tag := filepath.Join(dir, "link.jsonl"), filepath.Join(model, "config.json")
		if err := os.Symlink(input, link); err != nil {
			t.Fatal(err)
		}
		for _, taken := range []string{input, dir + "/./out/../in.jsonl", link, tag, filepath.Join(adapter, "README.md"), dir, filepath.Join(dir, "no", "folder")} {
			before, _ := os.ReadFile(taken)
			got := here(t, "predict", "--adapter", adapter, "--max-length", "16", "--input", input, "--output", taken)
			if after, _ := os.ReadFile(taken); got.code != exitUsage || string(after) != string(before) || strings.Count(got.stderr, "\n") != 1 {
				t.Errorf("--output %s: exit code %d, stderr %q", taken, got.code, got.stderr)
			}
		}
		got := hereWith(t, "bad\na good film and a bad film\n", "predict", "--adapter", adapter, "--input", "-", "--max-length", "4")
		if got.code != exitDone || strings.Count(got.stdout, "\n") != 2 || !strings.Contains(got.stdout, `"probabilities":{`) ||
			!strings.Contains(got.stderr, "1 examples were longer than max-length 4 and cut; the first: stdin: line 2\n") {
			t.Errorf("plain text from stdin: %q %q", got.stdout, got.stderr)
		}
		labelled := filepath.Join(dir, "labels.csv")
		succeed(t, "predict", "--adapter", out, "--input", table, "--output", labelled)
		rows, err := os.ReadFile(labelled)
		head, _, _ := strings.Cut(string(rows), "\n")
		if err != nil || head != "title,input_label,label,probability" || strings.Count(string(rows), "\n") != 61 {
			t.Errorf("%v, %s", err, rows)
		}
		got = here(t, "predict", "--adapter", out, "--input", table, "--output", filepath.Join(dir, "labels.parquet"))
		if got.code != exitUsage || !strings.Contains(got.stderr, ".parquet files are not written: want .jsonl, .csv, .tsv or .conll") {
			t.Errorf("exit code %d: %s", got.code, got.stderr)
		}
		got = hereWith(t, "{\"text\": \"a\"}\nfilm\n", "predict", "--adapter", adapter, "--max-length", "16", "--input", "-", "--output", filepath.Join(dir, "none.jsonl"))
		if got.code != exitFailed || !strings.Contains(got.stderr, "stdin: line 2") {
			t.Errorf("exit code %d, stderr %q", got.code, got.stderr)
		}
		if _, err := os.Stat(filepath.Join(dir, "none.jsonl")); err == nil {
			t.Error("an output file was left by a failure")
		}
	})
	t.Run("bench", func(t *testing.T) {
		file, trace := filepath.Join(dir, "bench.jsonl"), filepath.Join(dir, "trace.json")
		writeFile(t, file, strings.Repeat("{\"text\": \"a good film\", \"label\": 1}\n{\"text\": \"bad\", \"label\": 0}\n", 8))
		v := decode(t, succeed(t, "bench", "--model", model, "--input", file, "--batch", "4", "--max-length", "16", "--threads", "1", "--dropout", "0", "--trace", trace, "--json"))
		wantKeys(t, v, "lora_step_ms", "search_step_ms", "tokens_per_s", "peak_memory_bytes", "batches", "threads", "dtype")
		if v["batches"] != 2.0 || v["threads"] != 1.0 || v["dtype"] != "float32" {
			t.Errorf("%v, want 2 timed batches, 1 thread, float32", v)
		}
		events, err := os.ReadFile(trace)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"LoRA step", "search iteration", "tb::attentionBackward", "aten::mm"} {
			if !strings.Contains(string(events), `"`+want+`"`) {
				t.Errorf("the trace has no %q", want)
			}
		}
	})
}

// TestFirstHour gives the commands that README gives for a table of one's own, with
// no more flags than a model of 40 positions with a head of three classes needs.
func TestFirstHour(t *testing.T) {
	model, dir := tinyModel(t), t.TempDir()
	out, table, labels := filepath.Join(dir, "topics"), filepath.Join(dir, "train.csv"), filepath.Join(dir, "labels.csv")
	rows := "title,topic\n"
	for i := range 60 {
		rows += strings.Repeat("the ", i/2%10) + []string{"good film,praise\n", "bad film,blame\n"}[i%2]
	}
	writeFile(t, table, rows)

	got := here(t, "run", "--model", model, "--train", table, "--out", out, "--max-length", "16", "--new-head")
	for _, want := range []string{"guessed from ", "held out as dev set"} {
		if got.code != exitDone || !strings.Contains(got.stderr, want) {
			t.Errorf("exit code %d, want %q on stderr: %s", got.code, want, got.stderr)
		}
	}
	if succeed(t, "eval", "--adapter", out, "--dev", table) == "" {
		t.Error("eval says nothing")
	}
	text := filepath.Join(dir, "new.txt")
	writeFile(t, text, "good film\nbad film\n")
	for line := range strings.Lines(succeed(t, "predict", "--adapter", out, "--input", text)) {
		wantKeys(t, decode(t, line), "text", "label", "probabilities")
	}
	succeed(t, "predict", "--adapter", out, "--input", table, "--output", labels)
	written, err := os.ReadFile(labels)
	if header, _, _ := strings.Cut(string(written), "\n"); err != nil || strings.TrimSpace(header) != "title,topic,label,probability" {
		t.Errorf("%v: %s", err, header)
	}
}

// TestSignals stops a search in its middle: it ends within a step, says so in
// one line, and every file it leaves is whole.
func TestSignals(t *testing.T) {
	model, table := tinyModel(t), tinyTable(t, 60)
	for _, tc := range []struct {
		name   string
		signal os.Signal
	}{
		{"interrupt", os.Interrupt},
		{"terminate", syscall.SIGTERM},
		{"hang up", syscall.SIGHUP},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if signal.Ignored(tc.signal) {
				t.Skip("the tests were started so that it is ignored")
			}
			out := filepath.Join(t.TempDir(), "out")
			cmd := program(t, append([]string{"search", "--out", out, "--search-steps", "1000000", "--log-every", "1"}, ownFiles(model, table)...)...)
			stderr, err := cmd.StderrPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			waitForLines(t, filepath.Join(out, "metrics.jsonl"), 3)
			if err := cmd.Process.Signal(tc.signal); err != nil {
				t.Fatal(err)
			}
			stuck := time.AfterFunc(30*time.Second, func() { cmd.Process.Kill() })
			defer stuck.Stop()
			var last string
			for lines := bufio.NewScanner(stderr); lines.Scan(); {
				last = lines.Text()
			}
			cmd.Wait()
			if code := cmd.ProcessState.ExitCode(); code != exitFailed {
				t.Errorf("exit code %d, want %d (-1: it did not end by itself)", code, exitFailed)
			}
			if !strings.HasPrefix(last, "autolora: search stopped after step ") || !strings.HasSuffix(last, "of 1000000: interrupted; the checkpoint is kept, --resume goes on from there") {
				t.Errorf("last line on stderr: %q", last)
			}
			entries, err := os.ReadDir(out)
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, e := range entries {
				names = append(names, e.Name())
			}
			if want := []string{".autolora", "checkpoint", "config.json", "metrics.jsonl"}; !slices.Equal(names, want) {
				t.Errorf("left %v, want %v", names, want)
			}
			for _, name := range names[2:] {
				wholeJSON(t, filepath.Join(out, name))
			}
		})
	}
}

// TestSecondInterrupt checks that a program which is stuck can be ended.
func TestSecondInterrupt(t *testing.T) {
	if signal.Ignored(os.Interrupt) {
		t.Skip("the tests were started so that it is ignored")
	}
	cmd := program(t)
	cmd.Env = append(cmd.Env, childVariable+"=deaf")
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stuck := time.AfterFunc(30*time.Second, func() { cmd.Process.Kill() })
	defer stuck.Stop()
	lines := bufio.NewScanner(stdout)
	for _, want := range []string{"ready", "told"} {
		if !lines.Scan() || lines.Text() != want {
			t.Errorf("stdout %q, want %q", lines.Text(), want)
		}
		cmd.Process.Signal(os.Interrupt) // the second one comes too soon
	}
	again := time.NewTicker(300 * time.Millisecond)
	defer again.Stop()
	go func() {
		for range again.C {
			cmd.Process.Signal(os.Interrupt)
		}
	}()
	cmd.Wait()
	if status := cmd.ProcessState.Sys().(syscall.WaitStatus); !status.Signaled() || status.Signal() != syscall.SIGINT {
		t.Errorf("ended with %v, want by the interrupt", cmd.ProcessState)
	}
}

// waitForLines waits until a file, whose path may be a pattern, has n lines.
func waitForLines(t *testing.T, path string, n int) {
	t.Helper()
	for range 1200 {
		if found, _ := filepath.Glob(path); len(found) > 0 {
			if text, err := os.ReadFile(found[0]); err == nil && strings.Count(string(text), "\n") >= n {
				return
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("%s did not get %d lines", path, n)
}

// wholeJSON checks that a file holds JSON values and ends with a line end.
func wholeJSON(t *testing.T, path string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	decoder := json.NewDecoder(strings.NewReader(string(text)))
	for decoder.More() {
		var v any
		if err := decoder.Decode(&v); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
	}
	if !strings.HasSuffix(string(text), "\n") {
		t.Errorf("%s does not end with a line end", path)
	}
}

// TestReadingFromATerminalIsInterruptible stops a program that waits for stdin.
func TestReadingFromATerminalIsInterruptible(t *testing.T) {
	model := tinyModel(t)
	cmd := program(t, "predict", "--model", model, "--input", "-", "--max-length", "16")
	temp := t.TempDir()
	cmd.Env = append(cmd.Env, "TMPDIR="+temp)
	stdin, err := cmd.StdinPipe() // stays open
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	var stderr strings.Builder
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := stdin.Write([]byte("{\"text\": \"a\"}\n")); err != nil {
		t.Fatal(err)
	}
	stuck := time.AfterFunc(60*time.Second, func() { cmd.Process.Kill() })
	defer stuck.Stop()
	waitForLines(t, filepath.Join(temp, "autolora-*.jsonl"), 1)
	cmd.Process.Signal(os.Interrupt)
	cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != exitFailed || stderr.String() != "autolora: read stdin: interrupted\n" {
		t.Errorf("exit code %d, stderr %q", code, stderr.String())
	}
	if left, _ := os.ReadDir(temp); len(left) > 0 {
		t.Errorf("left in the folder for temporary files: %v", left)
	}
}
