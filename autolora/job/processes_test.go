package job

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"autolora/autolora"
	"autolora/autolora/runs"
	"autolora/autolora/settings"
	"autolora/nn"
	"autolora/nn/safetensors"
	"autolora/torchbind"
	"autolora/torchbind/torchtest"
)

// processEnv is the environment variable that makes the test binary one of
// several processes: it has the roles that this one plays, one after the other.
const processEnv = "AUTOLORA_TEST_PROCESS"

// role is what a process of a test does in one run.
type role struct {
	Config  settings.Config
	Port    int    // of the store
	Version string // in place of the program's
	HangAt  int    // step after which it hangs; 0: never
	Slow    time.Duration
	Speed   float64 // of this process's products, by its clock; 0: as it is
}

// watched reports progress as a line on stdout, and hangs at its step.
type watched struct {
	silent
	role
	done int
}

func (w *watched) Advance(int, string) {
	w.done++
	fmt.Printf("step %d\n", w.done)
	time.Sleep(w.Slow)
	if w.done == w.HangAt {
		time.Sleep(time.Hour)
	}
}

// TestProcess is one of several processes that a test starts.
func TestProcess(t *testing.T) {
	text := os.Getenv(processEnv)
	if text == "" {
		t.Skip("only in the processes that other tests start")
	}
	var roles []role
	if err := json.Unmarshal([]byte(text), &roles); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	terminate := make(chan os.Signal, 1)
	signal.Notify(terminate, syscall.SIGTERM)
	go func() { <-terminate; cancel() }()
	own, failed := Version, false
	for _, r := range roles {
		Version = cmp.Or(r.Version, own)
		if r.Speed > 0 {
			matrixSpeed = func() float64 { return r.Speed }
		}
		t.Setenv("MASTER_PORT", strconv.Itoa(r.Port))
		err := torchbind.Run(func(*torchbind.Scope) (err error) {
			host := Host{Reporter: &watched{role: r}}
			if host.Processes, err = Join(r.Config); err != nil {
				return err
			}
			defer host.Processes.Close()
			_, err = perform(ctx, host, r.Config)
			return err
		})
		if err != nil {
			fmt.Fprintf(os.Stderr, "error: %v\n", err)
			failed = true
		}
	}
	if failed {
		os.Exit(1)
	}
}

// process is one that a test started.
type process struct {
	*exec.Cmd
	stdout, stderr bytes.Buffer
	lines          chan string // of stdout
	ended          chan struct{}
	err            error
}

// start starts process rank of size.
func start(t *testing.T, rank, size int, roles ...role) *process {
	t.Helper()
	text, err := json.Marshal(roles)
	if err != nil {
		t.Fatal(err)
	}
	p := &process{Cmd: exec.Command(os.Args[0], "-test.run=^TestProcess$"), lines: make(chan string, 1000), ended: make(chan struct{})}
	p.Env = append(os.Environ(), processEnv+"="+string(text), "OMP_NUM_THREADS=1",
		fmt.Sprintf("RANK=%d", rank), fmt.Sprintf("LOCAL_RANK=%d", rank), fmt.Sprintf("WORLD_SIZE=%d", size),
		"MASTER_ADDR=127.0.0.1")
	p.Cmd.Stderr = &p.stderr
	p.Cmd.Stdout = p
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.err = p.Wait(); close(p.ended) }()
	t.Cleanup(func() { p.Process.Kill(); <-p.ended })
	return p
}

// Write takes the process's stdout.
func (p *process) Write(text []byte) (int, error) {
	for line := range strings.Lines(string(text)) {
		select {
		case p.lines <- line:
		default:
		}
	}
	return p.stdout.Write(text)
}

// await waits until the process has reported a step.
func (p *process) await(t *testing.T, step int) {
	t.Helper()
	for {
		select {
		case line := <-p.lines:
			if line == fmt.Sprintf("step %d\n", step) {
				return
			}
		case <-p.ended:
			t.Fatalf("a process ended before step %d: %v\n%s", step, p.err, p.stderr.String())
		case <-time.After(time.Minute):
			t.Fatalf("no step %d within a minute", step)
		}
	}
}

// end waits for the process and returns what it wrote to stderr.
func (p *process) end(t *testing.T) string {
	t.Helper()
	select {
	case <-p.ended:
	case <-time.After(2 * time.Minute):
		t.Fatal("a process does not end")
	}
	return p.stderr.String()
}

// gloo says why there are no runs of several processes.
var gloo struct {
	sync.Once
	err error
}

// needGloo skips a test where the program was built without Gloo.
func needGloo(t *testing.T) {
	t.Helper()
	gloo.Do(func() {
		group, err := torchbind.NewProcessGroup(torchbind.GroupConfig{Size: 1, Addr: "127.0.0.1", Port: torchtest.FreePort(t), Timeout: 10 * time.Second, Device: torchbind.CPU})
		if gloo.err = err; err == nil {
			group.Close()
		}
	})
	switch {
	case gloo.err != nil && strings.Contains(gloo.err.Error(), "libgloo-dev"):
		t.Skip("runs of several processes are not tested: ", gloo.err)
	case gloo.err != nil:
		t.Fatal(gloo.err)
	}
}

// startAll starts all processes of a run; change, which may be nil, makes one
// of them different.
func startAll(t *testing.T, size int, cfg settings.Config, change func(rank int, r *role)) []*process {
	t.Helper()
	return startRuns(t, size, []settings.Config{cfg}, func(rank, _ int, r *role) {
		if change != nil {
			change(rank, r)
		}
	})
}

// startRuns starts processes that make several runs together, one after the other:
// to start them takes longer than a run of a tiny model.
func startRuns(t *testing.T, size int, cfgs []settings.Config, change func(rank, run int, r *role)) []*process {
	t.Helper()
	needGloo(t)
	roles := make([][]role, size)
	for n, cfg := range cfgs {
		port := torchtest.FreePort(t)
		for rank := range roles {
			r := role{Config: cfg, Port: port}
			if change != nil {
				change(rank, n, &r)
			}
			roles[rank] = append(roles[rank], r)
		}
	}
	all := make([]*process, size)
	for rank := range all {
		all[rank] = start(t, rank, size, roles[rank]...)
	}
	return all
}

// mustEnd waits for processes that are to end well.
func mustEnd(t *testing.T, all []*process) {
	t.Helper()
	for rank, p := range all {
		if text := p.end(t); p.err != nil {
			t.Fatalf("process %d: %v\n%s", rank, p.err, text)
		}
	}
}

// tensorsOf reads every tensor of a file as numbers.
func tensorsOf(t *testing.T, path string) map[string][]float64 {
	t.Helper()
	f, err := safetensors.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	all := map[string][]float64{}
	for _, name := range f.Names() {
		stored, _ := f.Tensor(name)
		for bits := range slices.Chunk(stored.Data, 4) {
			all[name] = append(all[name], float64(math.Float32frombits(binary.LittleEndian.Uint32(bits))))
		}
	}
	return all
}

// apart returns the largest difference of two lists of numbers, over the
// largest of them.
func apart(a, b []float64) float64 {
	if len(a) != len(b) {
		return math.Inf(1)
	}
	difference, size := 0.0, 0.0
	for i := range a {
		difference, size = max(difference, math.Abs(a[i]-b[i])), max(size, math.Abs(a[i]))
	}
	return difference / max(size, math.SmallestNonzeroFloat64)
}

// losses returns the numbers of metrics.jsonl in the order of its lines: those of
// the gradients, and those of α, which Adam has moved.
func losses(t *testing.T, dir string) (gradients, alphas []float64) {
	t.Helper()
	for _, r := range readRecords(t, dir) {
		for _, v := range []*float64{r.Loss, r.ValLoss, r.Direct, r.Implicit, r.GradNorm} {
			if v != nil {
				gradients = append(gradients, *v)
			}
		}
		for _, row := range r.Alpha {
			alphas = append(alphas, row...)
		}
	}
	return gradients, alphas
}

const (
	// Processes add up in another order. A gradient, of sums of up to 100 terms of
	// its size, is then 100 times float64's 1.1e-16 off, which Adam, dividing by no
	// less than 1e-8, makes 1.1e-6 of a step; a run has 23 steps of 5e-3 for weights
	// of size 1.
	tolProcesses = 2e-7
	// Files of adapters and models have float32: the same number to 24 bits, or its neighbour.
	tolProcessFiles = tolProcesses + 1.0/(1<<23)
	// One step's loss and gradients in float32: 168 terms of 6.0e-8 each. This is
	// what users are told.
	tolProcessStep = 1e-5
)

// Several processes come to what one comes to with the same batches, whose last
// ones have fewer examples than there are processes. In float64, since in float32
// Adam makes whole steps of the rounding of small gradients.
func TestProcessesAreOne(t *testing.T) {
	tests := []struct {
		name   string
		size   int
		method string
		change func(*settings.Config)
	}{
		{"search and training", 4, runs.MethodAutoLoRA, nil},
		{"Adam's look-ahead, derivative at W', unroll", 2, runs.MethodAutoLoRA, func(c *settings.Config) {
			c.LookAhead, c.ImplicitAt, c.Unroll, c.Eta = autolora.Adam, autolora.AtLookAhead, 2, 0.01
		}},
		{"finite difference, a first", 4, runs.MethodAutoLoRA, func(c *settings.Config) {
			c.Hypergradient, c.UpdateOrder = autolora.FiniteDifference, autolora.AlphaFirst
		}},
		{"first order", 2, runs.MethodAutoLoRA, func(c *settings.Config) { c.Hypergradient = autolora.FirstOrder }},
		{"lora, class weights", 4, runs.MethodLoRA, func(c *settings.Config) { c.Accumulate, c.ClassWeights = 2, settings.BalancedWeights }},
		{"full", 2, runs.MethodFull, nil},
		{"adapter", 2, runs.MethodAdapter, nil},
		{"adalora", 2, runs.MethodAdaLoRA, func(c *settings.Config) { c.AdaLoRADeltaT = 2 }},
		{"grid", 2, runs.MethodLoRAGrid, func(c *settings.Config) { c.GridRanks = []int64{1, 2} }},
		{"gradient checkpointing, 4 bits", 2, runs.MethodAutoLoRA, func(c *settings.Config) { c.GradientCheckpointing, c.Quantize = true, nn.NF4 }},
		{"lora, gradient checkpointing", 2, runs.MethodLoRA, func(c *settings.Config) { c.GradientCheckpointing = true }},
	}
	alone, together := make([]settings.Config, len(tests)), make([]settings.Config, len(tests))
	bySize := map[int][]int{}
	for i, tt := range tests {
		cfg, err := tinyConfig(t, string(autolora.Exact)).Variant(tt.method)
		if err != nil {
			t.Fatal(err)
		}
		cfg.Dropout, cfg.BatchSize, cfg.SearchSteps, cfg.Steps, cfg.LogEvery, cfg.DType = 0, 6, 11, 12, 1, "float64"
		if tt.change != nil {
			tt.change(&cfg)
		}
		alone[i], together[i] = cfg, cfg
		together[i].Out = filepath.Join(t.TempDir(), "out")
		bySize[tt.size] = append(bySize[tt.size], i)
	}
	for size, some := range bySize {
		var cfgs []settings.Config
		for _, i := range some {
			cfgs = append(cfgs, together[i])
		}
		all := startRuns(t, size, cfgs, nil)
		for _, i := range some {
			mustRun(t, perform, alone[i])
		}
		mustEnd(t, all)
	}
	for i, tt := range tests {
		cfg, several := alone[i], together[i]
		t.Run(tt.name, func(t *testing.T) {
			sameLosses(t, several.Out, cfg.Out, tolProcesses)
			file := filepath.Join(runs.AdapterDir, "adapter_model.safetensors")
			switch tt.method {
			case runs.MethodFull:
				file = filepath.Join(runs.ModelDir, "model.safetensors")
			case runs.MethodAdapter:
				file = ""
			}
			if file != "" {
				one, more := tensorsOf(t, filepath.Join(cfg.Out, file)), tensorsOf(t, filepath.Join(several.Out, file))
				if len(one) == 0 || len(one) != len(more) {
					t.Fatalf("%d tensors, want %d", len(more), len(one))
				}
				for name, v := range one {
					if d := apart(v, more[name]); !(d <= tolProcessFiles) {
						t.Errorf("%s is %.1e apart", name, d)
					}
				}
			}
			var a, b runs.Results
			readJSON(t, filepath.Join(cfg.Out, runs.ResultsFile), &a)
			readJSON(t, filepath.Join(several.Out, runs.ResultsFile), &b)
			if !maps.EqualFunc(a.Scores, b.Scores, func(x, y float64) bool { return math.Abs(x-y) <= tolProcesses }) || a.Steps != b.Steps || a.Examples != b.Examples {
				t.Errorf("results: %v, want %v", b, a)
			}
			l, err := runs.ReadLosses(cfg.Out)
			m, err2 := runs.ReadLosses(several.Out)
			const tolFile = 1e-6 // losses.json rounds to float32
			if d := apart(l.Loss, m.Loss); !(d <= tolFile) || l.Data != m.Data || err != nil || err2 != nil {
				t.Errorf("the losses of the examples are %.1e apart (%v, %v)", d, err, err2)
			}
			if b.Processes != tt.size {
				t.Errorf("results.json has %d processes, want %d", b.Processes, tt.size)
			}
		})
	}
}

// sameLosses compares what two runs have written of their steps.
func sameLosses(t *testing.T, got, want string, tolerance float64) {
	t.Helper()
	a, b := [2][]float64{}, [2][]float64{}
	a[0], a[1] = losses(t, got)
	b[0], b[1] = losses(t, want)
	for i, what := range []string{"losses and norms of gradients", "α"} {
		if d := apart(b[i], a[i]); !(d <= tolerance) {
			t.Errorf("%s are %.1e apart", what, d)
		}
	}
}

// In float32 the loss and the gradients of a step are those of one process.
func TestProcessesInFloat32(t *testing.T) {
	var alone, together []settings.Config
	for _, method := range []string{runs.MethodAutoLoRA, runs.MethodFull} {
		cfg, err := tinyConfig(t, string(autolora.Exact)).Variant(method)
		if err != nil {
			t.Fatal(err)
		}
		cfg.Dropout, cfg.SearchSteps, cfg.Steps, cfg.LogEvery = 0, 1, 1, 1
		mustRun(t, perform, cfg)
		alone = append(alone, cfg)
		cfg.Out = filepath.Join(t.TempDir(), "out")
		together = append(together, cfg)
	}
	mustEnd(t, startRuns(t, 2, together, nil))
	for i, cfg := range alone {
		one, _ := losses(t, cfg.Out)
		more, _ := losses(t, together[i].Out)
		if d := apart(one, more); !(d <= tolProcessStep) {
			t.Errorf("%s: loss and norms of gradients are %.1e apart", cfg.Method, d)
		}
	}
}

// Texts are generated by all processes, each for its part of the sources; and trials
// are planned by the clock of one of them.
func TestProcessesGenerate(t *testing.T) {
	cfg, err := tinyGeneration(t, "llama").Variant(runs.MethodLoRA)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Dropout, cfg.DType = 0, "float64"
	mustRun(t, perform, cfg)
	several := cfg
	several.Out = filepath.Join(t.TempDir(), "out")
	timed := several
	timed.Out, timed.LR, timed.TuneLR, timed.Time = filepath.Join(t.TempDir(), "out"), settings.Auto, []float64{1e-3, 1e-2}, "26ms"
	mustEnd(t, startRuns(t, 2, []settings.Config{several, timed}, func(rank, run int, r *role) {
		if run == 1 {
			r.Speed = float64(1+2*rank) * 1e10
		}
	}))
	if u := readTune(t, timed.Out); u.Chosen == nil || u.Steps != 7 {
		t.Errorf("%d steps of all trials, want the 7 that process 0 has time for; chosen %v", u.Steps, u.Chosen)
	}
	sameLosses(t, several.Out, cfg.Out, tolProcesses)
	for _, name := range []string{runs.HypothesesFile} {
		one, err := os.ReadFile(filepath.Join(cfg.Out, name))
		if err != nil {
			t.Fatal(err)
		}
		more, err := os.ReadFile(filepath.Join(several.Out, name))
		if err != nil || !bytes.Equal(one, more) {
			t.Errorf("%s: %v, got %q, want %q", name, err, more, one)
		}
	}
	var a, b runs.Results
	readJSON(t, filepath.Join(cfg.Out, runs.ResultsFile), &a)
	readJSON(t, filepath.Join(several.Out, runs.ResultsFile), &b)
	// Both processes count their passes, and one of them an example in the place of the part that it has not.
	if a.Cost.Eval.Tokens != b.Cost.Eval.Tokens || b.Cost.Train.Forward != 2*a.Cost.Train.Forward || b.Cost.Train.Tokens <= a.Cost.Train.Tokens {
		t.Errorf("cost %+v, want twice the passes of %+v", b.Cost, a.Cost)
	}
}

// dropping is a run of two processes with dropout, whose masks go on where a
// checkpoint left them.
func dropping(t *testing.T) settings.Config {
	cfg, err := tinyConfig(t, string(autolora.Exact)).Variant(runs.MethodAutoLoRA)
	if err != nil {
		t.Fatal(err)
	}
	cfg.SearchSteps, cfg.Steps, cfg.SaveEvery, cfg.Resume, cfg.ProcessTimeout = 20, 8, 3, true, 20
	return cfg
}

// A process that is killed ends the other one with an error, at once, and a signal
// ends both; all go on from the last checkpoint, and come to the bytes of a run that was
// left alone.
func TestProcessKilled(t *testing.T) {
	t.Parallel()
	cfg := dropping(t)
	cfg.SearchSteps = 40
	mustEnd(t, startAll(t, 2, cfg, nil))
	want := learned(t, cfg.Out)

	cfg.Out = filepath.Join(t.TempDir(), "out")
	slow := func(_ int, r *role) { r.Slow = 20 * time.Millisecond }
	for victim := range 2 {
		all := startAll(t, 2, cfg, slow)
		all[0].await(t, 10)
		began := time.Now()
		if err := all[victim].Process.Signal(syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		text := all[1-victim].end(t)
		if all[1-victim].err == nil || !strings.Contains(text, "process") || !strings.Contains(text, "the checkpoint is kept") || strings.Count(text, "\n") != 1 {
			t.Errorf("process %d was killed: after %v the other says %q (%v)", victim, time.Since(began), text, all[1-victim].err)
		}
		<-all[victim].ended
	}

	cfg.SaveEvery = 100
	all := startAll(t, 2, cfg, slow)
	all[0].await(t, 5)
	all[1].Process.Signal(syscall.SIGTERM)
	time.Sleep(50 * time.Millisecond)
	all[0].Process.Signal(syscall.SIGTERM)
	for rank, p := range all {
		if text := p.end(t); !strings.Contains(text, "the checkpoint is kept") {
			t.Errorf("process %d says %q", rank, text)
		}
	}
	cfg.SaveEvery = 3
	mustEnd(t, startAll(t, 2, cfg, nil))
	sameFiles(t, learned(t, cfg.Out), want)
}

// A process that hangs ends the others when the time limit is over.
func TestProcessHangs(t *testing.T) {
	t.Parallel()
	cfg := dropping(t)
	cfg.ProcessTimeout = 3
	all := startAll(t, 2, cfg, func(rank int, r *role) {
		if rank == 0 {
			r.HangAt = 5
		}
	})
	all[0].await(t, 5)
	began := time.Now()
	text := all[1].end(t)
	if all[1].err == nil || !strings.Contains(text, "3s") || !strings.Contains(text, "the checkpoint is kept") || strings.Count(text, "\n") != 1 {
		t.Errorf("after %v the other process says %q (%v)", time.Since(began), text, all[1].err)
	}
}

// Processes that do not fit each other, and runs that cannot be, are refused, all with
// the reason.
func TestProcessesDiffer(t *testing.T) {
	otherData := func(r *role) {
		text, err := os.ReadFile(r.Config.TrainFile)
		if err != nil {
			t.Fatal(err)
		}
		r.Config.TrainFile = filepath.Join(t.TempDir(), "train.tsv")
		writeTest(t, r.Config.TrainFile, strings.Replace(string(text), "film", "w20", 1))
	}
	full := t.TempDir()
	writeTest(t, filepath.Join(full, "mine"), "")
	tests := []struct {
		name, want string
		both       func(*settings.Config)
		second     func(*role)
	}{
		{"version", "version", nil, func(r *role) { r.Version = "v0.0.1-other" }},
		{"setting", "differ in lr", nil, func(r *role) { r.Config.LR *= 2 }},
		{"seed", "differ in seed", nil, func(r *role) { r.Config.Seed++ }},
		{"data", "SHA-256", nil, otherData},
		{"a failure of process 0 alone", "is not empty", func(c *settings.Config) { c.Out, c.Resume = full, false }, nil},
		{"fewer examples than processes", "batch-size: got 1", func(c *settings.Config) { c.BatchSize = 1 }, nil},
	}
	var cfgs []settings.Config
	for _, tt := range tests {
		cfg := dropping(t)
		if tt.both != nil {
			tt.both(&cfg)
		}
		cfgs = append(cfgs, cfg)
	}
	all := startRuns(t, 2, cfgs, func(rank, run int, r *role) {
		if change := tests[run].second; rank == 1 && change != nil {
			change(r)
		}
	})
	for rank, p := range all {
		said := strings.Split(strings.TrimSuffix(p.end(t), "\n"), "\n")
		if p.err == nil || len(said) != len(tests) {
			t.Fatalf("process %d: %v, %q, want a line for each of %d runs", rank, p.err, said, len(tests))
		}
		for n, tt := range tests {
			if !strings.Contains(said[n], tt.want) {
				t.Errorf("%s: process %d says %q, want an error about %s", tt.name, rank, said[n], tt.want)
			}
		}
	}
	for n, cfg := range cfgs {
		if entries, err := os.ReadDir(cfg.Out); cfg.Out != full && !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: the output folder was made: %v %v", tests[n].name, entries, err)
		}
	}
}

// One that comes late, in the place of one that is there, is refused; the others
// go on.
func TestProcessComesLate(t *testing.T) {
	t.Parallel()
	needGloo(t)
	slow := role{Config: dropping(t), Port: torchtest.FreePort(t), Slow: 200 * time.Millisecond} // 28 steps, in which another process has to start
	all := []*process{start(t, 0, 2, slow), start(t, 1, 2, slow)}
	all[0].await(t, 3)
	late := start(t, 1, 2, slow)
	if text := late.end(t); late.err == nil || !strings.Contains(text, "joined") || strings.Count(text, "\n") != 1 {
		t.Errorf("the late process: %v, %q", late.err, text)
	}
	mustEnd(t, all)
}

// The environment is checked before anything is waited for.
func TestEnvironment(t *testing.T) {
	good := map[string]string{"WORLD_SIZE": "2", "RANK": "1", "LOCAL_RANK": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}
	for _, tt := range []struct{ name, value, want string }{
		{"RANK", "", "RANK"}, {"RANK", "2", "0 to 1"}, {"RANK", "x", "\"x\""}, {"MASTER_PORT", "0", "MASTER_PORT"},
		{"MASTER_ADDR", "", "MASTER_ADDR"}, {"LOCAL_RANK", "-1", "LOCAL_RANK"},
	} {
		t.Run(tt.name+"="+tt.value, func(t *testing.T) {
			for name, value := range good {
				t.Setenv(name, value)
			}
			t.Setenv(tt.name, tt.value)
			if _, err := Join(settings.Default()); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one about %s", err, tt.want)
			}
		})
	}
	if slices.Contains(os.Environ(), "WORLD_SIZE") || Started() {
		t.Skip("this test itself is one of several processes")
	}
	if p, err := Join(settings.Default()); p != nil || err != nil {
		t.Errorf("alone: %v %v, want neither processes nor an error", p, err)
	}
}
