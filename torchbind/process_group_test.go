package torchbind_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"autolora/torchbind"
	"autolora/torchbind/torchtest"
)

// groupEnv marks the processes that the tests of process groups start, and says
// what each does: "part rank size port limit", and where the store is.
const groupEnv = "AUTOLORA_TEST_GROUP"

// groupParts are what processes do in a group.
var groupParts = map[string]func(t *testing.T, g *torchbind.ProcessGroup){
	"average": groupAverage,
	"grad":    groupGrad,
	"bytes":   groupBytes,
	"loop":    groupLoop,
	"unasked": groupUnasked,
	"unused":  groupUnused,
	"private": groupPrivate,
}

// TestProcess is what the processes do that the other tests start. An error
// that another process caused is printed.
func TestProcess(t *testing.T) {
	var part string
	cfg := torchbind.GroupConfig{Addr: "127.0.0.1", Prefix: "test", Device: torchbind.CPU}
	var limit int
	if n, _ := fmt.Sscan(os.Getenv(groupEnv), &part, &cfg.Rank, &cfg.Size, &cfg.Port, &limit, &cfg.Addr); n == 0 {
		t.Skip("only in the processes that other tests start")
	}
	cfg.Timeout = time.Duration(limit) * time.Millisecond
	torchtest.Setup(t)
	g, err := torchbind.NewProcessGroup(cfg)
	if err != nil {
		printProcessError(t, err)
		return
	}
	defer g.Close()
	fmt.Println("joined")
	groupParts[part](t, g)
}

// groupPrivate looks whether a socket of this process listens at an address that others can reach.
func groupPrivate(t *testing.T, g *torchbind.ProcessGroup) {
	if _, err := g.Gather(nil); err != nil {
		t.Fatal(err)
	}
	own := map[string]bool{}
	fds, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		if link, err := os.Readlink(fd); err == nil {
			own[link] = true
		}
	}
	listens := 0
	for _, table := range []string{"/proc/self/net/tcp", "/proc/self/net/tcp6"} {
		text, err := os.ReadFile(table)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			const local, state, inode, listening = 1, 3, 9, "0A"
			f := strings.Fields(line)
			if len(f) <= inode || f[state] != listening || !own["socket:["+f[inode]+"]"] {
				continue
			}
			listens++
			// Words of 32 bits, the lowest byte first: 127.0.0.1, and ::1.
			if !strings.HasPrefix(f[local], "0100007F:") && !strings.HasPrefix(f[local], "00000000000000000000000001000000:") {
				t.Errorf("process %d listens at %s", g.Rank(), f[local])
			}
		}
	}
	if listens == 0 {
		t.Errorf("process %d listens nowhere", g.Rank())
	}
	if _, err := g.Gather(nil); err != nil {
		t.Fatal(err)
	}
}

func printProcessError(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, torchbind.ErrProcess) || strings.Contains(err.Error(), "\n") {
		t.Errorf("not one line of ErrProcess: %v", err)
	}
	fmt.Printf("error: %v\n", err)
}

// process is one that a test started.
type process struct {
	*exec.Cmd
	output bytes.Buffer
	done   chan error
	joined chan struct{}
	once   sync.Once
}

func (p *process) Write(b []byte) (int, error) {
	n, err := p.output.Write(b)
	if bytes.Contains(p.output.Bytes(), []byte("joined")) {
		p.once.Do(func() { close(p.joined) })
	}
	return n, err
}

// finish waits for p, which is to succeed, print want and warn of nothing.
func (p *process) finish(t *testing.T, want string) {
	t.Helper()
	err := <-p.done
	if err != nil || !strings.Contains(p.output.String(), want) {
		t.Errorf("process %q: %v, want %q:\n%s", p.Env[len(p.Env)-1], err, want, &p.output)
	}
	if strings.Contains(p.output.String(), "[W") {
		t.Errorf("process %q warns:\n%s", p.Env[len(p.Env)-1], &p.output)
	}
}

func startProcess(t *testing.T, part string, rank, size, port int, limit time.Duration, addr ...string) *process {
	t.Helper()
	p := &process{Cmd: exec.Command(os.Args[0], "-test.run=^TestProcess$", "-test.v"), done: make(chan error, 1), joined: make(chan struct{})}
	p.Env = append(os.Environ(), "OMP_NUM_THREADS=1", "GLOO_SOCKET_IFNAME=", fmt.Sprintf("%s=%s %d %d %d %d %s", groupEnv, part, rank, size, port, limit.Milliseconds(), strings.Join(addr, "")))
	p.Stdout, p.Stderr = p, p
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Process.Kill() })
	go func() { p.done <- p.Wait() }()
	return p
}

// startGroup starts one process for each of parts.
func startGroup(t *testing.T, limit time.Duration, parts ...string) (all []*process, port int) {
	t.Helper()
	port = torchtest.FreePort(t)
	for rank, part := range parts {
		all = append(all, startProcess(t, part, rank, len(parts), port, limit))
	}
	return all, port
}

const patience = 30 * time.Second // of processes that are to find each other on a busy machine

func TestProcessGroup(t *testing.T) {
	for _, size := range []int{1, 2, 4} {
		for _, part := range []string{"average", "grad", "bytes", "unasked"} {
			t.Run(fmt.Sprintf("%s of %d", part, size), func(t *testing.T) {
				t.Parallel()
				all, _ := startGroup(t, patience, slices.Repeat([]string{part}, size)...)
				for _, p := range all {
					p.finish(t, "joined")
				}
			})
		}
	}
}

// same fails the test unless every process has the same bits.
func same(t *testing.T, g *torchbind.ProcessGroup, ts []*torchbind.Tensor) {
	t.Helper()
	for i, x := range ts {
		all, err := g.Gather(x.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		for r, other := range all {
			if !bytes.Equal(other, all[0]) {
				t.Errorf("tensor %d differs between process 0 and %d", i, r)
			}
		}
	}
}

// ramp returns n numbers that differ from process to process and take many bits.
func ramp(s *torchbind.Scope, n int64, rank int, dtype torchbind.DType) *torchbind.Tensor {
	values := make([]float64, n)
	for i := range values {
		values[i] = 1 / float64(i%97+3*rank+3)
	}
	return torchbind.To(s, torchbind.FromSlice(s, values, []int64{n}, torchbind.CPU), dtype, torchbind.CPU)
}

func groupAverage(t *testing.T, g *torchbind.ProcessGroup) {
	torchtest.Run(t, func(s *torchbind.Scope) {
		weight := func(rank int) float64 { return []float64{3, 0, 1.5, 1000}[rank] }
		const large = 400_000 // more than the first bucket holds
		sizes := []int64{1, 0, 1000, large, 3}
		dtypes := []torchbind.DType{torchbind.Float32, torchbind.Float32, torchbind.Float64, torchbind.Float32, torchbind.BFloat16}
		tolerances := []torchtest.Tolerance{{Rel: 3e-7}, {Rel: 3e-7}, {Rel: 1e-15}, {Rel: 3e-7}, {Rel: 1.0 / 256}}
		of := func(rank int) (ts []*torchbind.Tensor) {
			for i, n := range sizes {
				ts = append(ts, ramp(s, n, rank, dtypes[i]))
			}
			return ts
		}
		own := of(g.Rank())
		own[0].SetRequiresGrad(true)
		mean := g.Average(s, own, weight(g.Rank()))
		for i, after := range of(g.Rank()) {
			if !bytes.Equal(own[i].Bytes(), after.Bytes()) {
				t.Errorf("Average changed tensor %d", i)
			}
		}
		same(t, g, slices.Delete(slices.Clone(mean), 3, 4))
		for i, n := range sizes {
			want, total := make([]float64, n), 0.0
			for r := range g.Size() {
				total += weight(r)
				for j, v := range ramp(s, n, r, dtypes[i]).Float64s() {
					want[j] += weight(r) * v
				}
			}
			for j := range want {
				want[j] /= total
			}
			torchtest.Equal(t, fmt.Sprintf("mean %d", i), mean[i].Float64s(), want, tolerances[i])
			if mean[i].DType() != dtypes[i] || mean[i].RequiresGrad() {
				t.Errorf("mean %d is %v, requires a gradient: %v", i, mean[i].DType(), mean[i].RequiresGrad())
			}
		}

		// Sizes here are powers of 2, and so are the weights: nothing is rounded.
		equal := []*torchbind.Tensor{ramp(s, 1000, 0, torchbind.Float32), ramp(s, 10, 0, torchbind.BFloat16)}
		for _, w := range []float64{1, 8} {
			for i, x := range g.Average(s, equal, w) {
				torchtest.Equal(t, "mean of equals", x, equal[i], torchtest.Exact)
			}
		}

		// What a process computes of no examples may be anything.
		x := torchbind.FromSlice(s, []float32{5}, nil, torchbind.CPU)
		w := 1.0
		if g.Rank() > 0 {
			x, w = torchbind.FromSlice(s, []float32{float32(math.NaN())}, nil, torchbind.CPU), 0
		}
		torchtest.Equal(t, "mean without NaN", g.Average(s, []*torchbind.Tensor{x}, w)[0], []float32{5}, torchtest.Exact)
		if g.Average(s, nil, 1) != nil {
			t.Error("the mean of no tensors is something")
		}
	})
}

func groupGrad(t *testing.T, g *torchbind.ProcessGroup) {
	torchtest.Run(t, func(s *torchbind.Scope) {
		const width, layers = 600, 4 // 1.4 MB a layer: several buckets
		x := torchbind.Reshape(s, ramp(s, 2*width, g.Rank(), torchbind.Float32), 2, width)
		var inputs []*torchbind.Tensor
		for i := range layers {
			w := torchbind.MulScalar(s, torchbind.Reshape(s, ramp(s, width*width, i, torchbind.Float32), width, width), 0.1)
			inputs = append(inputs, torchbind.Detach(s, w).SetRequiresGrad(true))
		}
		loss := func() *torchbind.Tensor {
			h := x
			for _, w := range inputs {
				h = torchbind.Tanh(s, torchbind.MatMul(s, h, w))
			}
			return torchbind.Sum(s, torchbind.Mul(s, h, h))
		}
		weight := float64(g.Rank() + 1)
		for _, graph := range []bool{false, true, false} {
			plain := torchbind.Grad(s, []*torchbind.Tensor{loss()}, inputs, nil, graph)
			plainMean := g.Average(s, plain, weight)
			own, mean := g.Grad(s, []*torchbind.Tensor{loss()}, inputs, nil, graph, weight)
			for i := range inputs {
				torchtest.Equal(t, fmt.Sprintf("gradient %d", i), own[i], plain[i], torchtest.Exact)
				// Buckets cut in other places let Gloo add in another order.
				torchtest.Equal(t, fmt.Sprintf("mean %d", i), mean[i], plainMean[i], torchtest.Tolerance{Abs: 1e-9, Rel: 1e-6})
				if own[i].RequiresGrad() != graph || mean[i].RequiresGrad() {
					t.Errorf("gradient %d has a graph: %v, its mean: %v; want %v and false", i, own[i].RequiresGrad(), mean[i].RequiresGrad(), graph)
				}
			}
			same(t, g, mean)
			if !graph {
				continue
			}
			second := func(gradients []*torchbind.Tensor) []*torchbind.Tensor {
				y := torchbind.Sum(s, torchbind.Mul(s, gradients[0], gradients[1]))
				return torchbind.Grad(s, []*torchbind.Tensor{y}, inputs, nil, false)
			}
			want := second(plain)
			for i, got := range second(own) {
				torchtest.Equal(t, fmt.Sprintf("second derivative %d", i), got, want[i], torchtest.Exact)
			}
		}
		// Of inner nodes, with weights of the outputs, and of one input twice.
		inner := torchbind.Tanh(s, inputs[0])
		of, weights := []*torchbind.Tensor{inner, inputs[0], inner}, []*torchbind.Tensor{torchbind.Detach(s, inputs[1])}
		square := func() []*torchbind.Tensor { return []*torchbind.Tensor{torchbind.Mul(s, inner, inner)} }
		want := torchbind.Grad(s, square(), of, weights, true)
		own, mean := g.Grad(s, square(), of, weights, false, 1)
		for i := range want {
			torchtest.Equal(t, fmt.Sprintf("gradient %d of inner nodes", i), own[i], torchbind.Detach(s, want[i]), torchtest.Exact)
			torchtest.Equal(t, fmt.Sprintf("mean %d of inner nodes", i), mean[i], torchbind.Detach(s, want[i]), torchtest.Exact)
		}
	})
}

func groupBytes(t *testing.T, g *torchbind.ProcessGroup) {
	of := func(rank, round int) []byte { return bytes.Repeat([]byte{byte(rank + 1)}, rank*round) }
	for round := range 3 {
		all, err := g.Gather(of(g.Rank(), round))
		if err != nil || len(all) != g.Size() {
			t.Fatalf("%d parts, %v", len(all), err)
		}
		for r, data := range all {
			if !bytes.Equal(data, of(r, round)) {
				t.Errorf("round %d: process %d gave %v", round, r, data)
			}
		}
	}
	// Several may be under way, and waited for in any order.
	one, none := g.AnySoon(g.Rank() == g.Size()-1), g.AnySoon(false)
	if got, err := none(); got || err != nil {
		t.Errorf("any of none: %v, %v", got, err)
	}
	if got, err := one(); !got || err != nil {
		t.Errorf("any with one: %v, %v", got, err)
	}
	g.Close()
	if _, err := g.Gather(nil); err == nil || errors.Is(err, torchbind.ErrProcess) {
		t.Errorf("after Close: %v", err)
	}
}

// exchangeFor exchanges until an error, which it prints, or the given time.
func exchangeFor(t *testing.T, g *torchbind.ProcessGroup, d time.Duration) {
	start, last := time.Now(), time.Now()
	err := torchbind.Run(func(s *torchbind.Scope) error {
		for stop := false; !stop; {
			last = time.Now()
			wait := g.AnySoon(g.Rank() == 0 && time.Since(start) > d)
			if err := s.Do(func(s *torchbind.Scope) error {
				x := ones(s, 100, 100).SetRequiresGrad(true)
				g.Grad(s, []*torchbind.Tensor{torchbind.Sum(s, x)}, []*torchbind.Tensor{x}, nil, false, 1)
				return nil
			}); err != nil {
				return err
			}
			var err error
			if stop, err = wait(); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		fmt.Printf("after %v: ", time.Since(last).Round(time.Second))
		printProcessError(t, err)
	}
}

func groupLoop(t *testing.T, g *torchbind.ProcessGroup) { exchangeFor(t, g, time.Minute) }

// groupUnasked closes the group with an exchange that nobody waits for.
func groupUnasked(t *testing.T, g *torchbind.ProcessGroup) {
	awaitAll(t, g)
	g.AnySoon(g.Rank() == 0)
}

// awaitAll waits until every process has joined: the first must not leave, with the
// store in which they find each other, before the last has come.
func awaitAll(t *testing.T, g *torchbind.ProcessGroup) {
	t.Helper()
	if _, err := g.Gather(nil); err != nil {
		t.Fatal(err)
	}
}

// groupUnused differentiates by what the loss does not depend on.
func groupUnused(t *testing.T, g *torchbind.ProcessGroup) {
	awaitAll(t, g)
	err := torchbind.Run(func(s *torchbind.Scope) error {
		x, y := ones(s, 2).SetRequiresGrad(true), ones(s, 2).SetRequiresGrad(true)
		g.Grad(s, []*torchbind.Tensor{torchbind.Sum(s, x)}, []*torchbind.Tensor{x, y}, nil, false, 1)
		return nil
	})
	if err == nil || errors.Is(err, torchbind.ErrProcess) || !strings.Contains(err.Error(), "not have been used") {
		t.Errorf("error is %v", err)
	}
}

func TestProcessGroupFailures(t *testing.T) {
	await := func(all []*process) {
		for _, p := range all {
			<-p.joined
		}
		time.Sleep(200 * time.Millisecond)
	}
	goOn := func(t *testing.T, all []*process) {
		t.Helper()
		for _, p := range all {
			select {
			case err := <-p.done:
				t.Errorf("process %q ended: %v\n%s", p.Env[len(p.Env)-1], err, &p.output)
			default:
			}
		}
	}
	t.Run("one is killed", func(t *testing.T) {
		t.Parallel()
		all, _ := startGroup(t, patience, "loop", "loop", "loop", "loop")
		await(all)
		_ = all[2].Process.Kill()
		for _, rank := range []int{0, 1, 3} {
			all[rank].finish(t, fmt.Sprintf("error: process %d of 4 lost the connection to another in an exchange", rank))
		}
	})
	t.Run("one hangs", func(t *testing.T) {
		t.Parallel()
		const limit = 3 * time.Second
		all, _ := startGroup(t, limit, "loop", "loop")
		await(all)
		_ = all[1].Process.Signal(syscall.SIGSTOP)
		all[0].finish(t, "error: process 0 of 2 waited 3s for the others in an exchange: one of them hangs or was lost")
	})
	t.Run("one is missing", func(t *testing.T) {
		t.Parallel()
		port := torchtest.FreePort(t)
		first, third := startProcess(t, "loop", 0, 3, port, 3*time.Second), startProcess(t, "loop", 2, 3, port, 2*time.Second)
		third.finish(t, "error: process 1 did not appear within 2s; 2 of 3 are there")
		first.finish(t, "error: process 1 did not appear within 3s; 2 of 3 are there")
	})
	t.Run("process 0 is missing", func(t *testing.T) {
		t.Parallel()
		port := torchtest.FreePort(t)
		startProcess(t, "loop", 1, 2, port, time.Second).finish(t, fmt.Sprintf("error: no process 0 at 127.0.0.1:%d within 1s", port))
	})
	t.Run("one comes late, one counts otherwise", func(t *testing.T) {
		t.Parallel()
		all, port := startGroup(t, patience, "loop", "loop")
		await(all)
		late, other := startProcess(t, "loop", 1, 2, port, patience), startProcess(t, "loop", 2, 3, port, patience)
		late.finish(t, "error: process 1 of this run has joined already: a process cannot join a run that has begun")
		other.finish(t, "error: process 0 of this run counts 2 processes, process 2 was told of 3")
		goOn(t, all)
	})
	t.Run("the port is taken", func(t *testing.T) {
		t.Parallel()
		all, port := startGroup(t, patience, "loop", "loop")
		await(all)
		startProcess(t, "loop", 0, 2, port, patience).finish(t, fmt.Sprintf("error: port %d is in use by another program", port))
		goOn(t, all)
	})
	for _, addr := range []string{"127.0.0.1", "::1", "localhost"} {
		t.Run("strangers at "+addr, func(t *testing.T) {
			t.Parallel()
			if l, err := net.Listen("tcp", net.JoinHostPort(addr, "0")); err != nil {
				t.Skip(err)
			} else {
				l.Close()
			}
			port := torchtest.FreePort(t)
			var all []*process
			for rank := range 2 {
				all = append(all, startProcess(t, "private", rank, 2, port, patience, addr))
			}
			for _, p := range all {
				p.finish(t, "joined")
			}
		})
	}
	t.Run("no way to process 0", func(t *testing.T) { // which listens and lets go of the port
		t.Parallel()
		port := torchtest.FreePort(t)
		config := torchbind.GroupConfig{Size: 1, Addr: "fe80::1%none", Port: port, Timeout: patience, Device: torchbind.CPU}
		if _, err := torchbind.NewProcessGroup(config); err == nil || !strings.Contains(err.Error(), "find the way to process 0") {
			t.Fatalf("error %v", err)
		}
		var err error
		for range 200 { // a process that another test starts just now may hold a copy until its program begins
			var l net.Listener
			if l, err = net.Listen("tcp", fmt.Sprintf(":%d", port)); err == nil {
				l.Close()
				return
			}
			time.Sleep(50 * time.Millisecond)
		}
		t.Errorf("the socket was left open: %v", err)
	})
	t.Run("an input is not used", func(t *testing.T) {
		t.Parallel()
		all, _ := startGroup(t, patience, "unused", "unused")
		for _, p := range all {
			p.finish(t, "joined")
		}
	})
}
