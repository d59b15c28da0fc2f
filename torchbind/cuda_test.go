package torchbind_test

import (
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"autolora/torchbind"
	"autolora/torchbind/torchtest"
)

// cudaDevice is torchtest.CUDA, with the library that calls CUDA.
func cudaDevice(t *testing.T) torchbind.Device {
	t.Helper()
	device := torchtest.CUDA(t)
	if _, err := torchbind.DescribeDevice(device); err != nil {
		t.Fatal(err)
	}
	return device
}

// The error says in one line what is wrong and what is to be done.
func TestLibraryOfCUDAIsRefused(t *testing.T) {
	const remedy = "run `make cuda-shim`"
	mine := torchbind.Version()
	tests := []struct {
		name string
		shim func(t *testing.T, path string) // makes libautolora_cuda.so
		want string
	}{
		{"absent", nil, "libautolora_cuda.so cannot be opened: libautolora_cuda.so: cannot open shared object file: No such file or directory; " + remedy},
		{"no library", func(t *testing.T, path string) {
			if err := os.WriteFile(path, []byte("rubbish"), 0o666); err != nil {
				t.Fatal(err)
			}
		}, "libautolora_cuda.so cannot be opened: "},
		{"of another autolora", func(t *testing.T, path string) { compile(t, path, "") }, "libautolora_cuda.so is of another version of autolora: " + remedy},
		{"for another libtorch", func(t *testing.T, path string) { compile(t, path, fakeAPI, `-DVERSION="1.13.1"`) },
			"libautolora_cuda.so was made for libtorch 1.13.1, want " + mine + ": " + remedy},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			compile(t, filepath.Join(dir, "libtorch_cuda.so"), "")
			if tt.shim == nil {
				if _, err := os.Stat("../third_party/lib/libautolora_cuda.so"); err == nil {
					t.Skip("the library is there")
				}
			} else {
				tt.shim(t, filepath.Join(dir, "libautolora_cuda.so"))
			}
			got := withCUDA(t, dir, "describe")
			want := "describe cuda:0: " + tt.want
			if !strings.HasPrefix(got, want) || strings.Count(got, "\n") != 1 {
				t.Errorf("got %q, want one line that begins with %q", got, want)
			}
		})
	}
}

// The order of calls that a capture makes, with an API that only tells of them.
func TestCaptureCallsInOrder(t *testing.T) {
	dir := t.TempDir()
	compile(t, filepath.Join(dir, "libtorch_cuda.so"), "")
	compile(t, filepath.Join(dir, "libautolora_cuda.so"), fakeAPI, `-DVERSION="`+torchbind.Version()+`"`)
	const cudaSays = "CUDA out of memory. Tried to allocate 2.50 GiB. GPU 3 has a total capacity of 79.11 GiB of which 812.00 MiB is free. " +
		"Including non-PyTorch memory, this process has 78.31 GiB memory in use. Of the allocated memory 70.00 GiB is allocated by PyTorch."
	weSay := torchbind.ErrOutOfMemory.Error() + ": 2.50 GiB more were needed on cuda:3, where 812.00 MiB of 79.11 GiB are free"
	tests := []struct{ name, do, want string }{
		{"works", "capture", "begin 3\nfn\nend\ncaptured\nreplay\nreplay\nfree\n"},
		{"cannot begin", "capture begin", "begin 3\nerror torch capture: no begin\n"},
		{"fn fails", "capture fn", "begin 3\nfn\nfree\nerror torch item: not while a graph is being captured: a replay would not do it again\n"},
		{"fn panics", "capture panic", "begin 3\nfn\nfree\npanic stop\n"},
		{"cannot end", "capture end", "begin 3\nfn\nend\nfree\nerror torch capture: no end\n"},
		{"no memory", "capture end " + cudaSays, "begin 3\nfn\nend\nfree\nerror torch capture: " + weSay + "\n"},
		{"cannot replay", "capture replay", "begin 3\nfn\nend\ncaptured\nreplay\nerror torch replay: no replay\nfree\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := withCUDA(t, dir, tt.do); got != tt.want+"0 tensors\n" {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// fakeAPI is a library that prints how it is called. FAIL names a call that
// fails, MEMORY the message if it is for want of memory.
const fakeAPI = `
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "cuda_api.h"
static tb_error *call(const char *name) {
  const char *fail = getenv("FAIL");
  printf("%s\n", name);
  fflush(stdout);
  if (fail == NULL || strncmp(fail, name, strlen(fail)) != 0 || *fail == 0) return NULL;
  char msg[64];
  snprintf(msg, sizeof msg, "no %s\nat line 1", fail);
  const char *memory = getenv("MEMORY");
  tb_error *e = malloc(sizeof *e);
  *e = (tb_error){*memory ? TB_ERR_MEMORY : TB_ERR_OTHER, strdup(*memory ? memory : msg), strdup("")};
  return e;
}
static tb_error *describe(int device, tb_cuda_device *out) { return call("describe"); }
static tb_error *begin(int device, tb_cuda_graph *out) {
  char name[32];
  snprintf(name, sizeof name, "begin %d", device);
  tb_error *e = call(name);
  if (e == NULL) *out = malloc(1);
  return e;
}
static tb_error *end(tb_cuda_graph g) { return call("end"); }
static tb_error *replay(tb_cuda_graph g) { return call("replay"); }
static tb_error *free_graph(tb_cuda_graph g) { free(g); return call("free"); }
static const tb_cuda_api api = {VERSION, describe, begin, end, replay, free_graph};
const tb_cuda_api *tb_cuda_api_v1(void) { return &api; }
`

// compile makes a shared library of C code.
func compile(t *testing.T, path, code string, flags ...string) {
	t.Helper()
	compiler, err := exec.LookPath("cc")
	if err != nil {
		t.Skip("this machine has no C compiler")
	}
	flags = append(flags, "-shared", "-fPIC", "-Iinternal/cuda", "-Iinternal/shim", "-o", path, "-x", "c", "-")
	cmd := exec.Command(compiler, flags...)
	cmd.Stdin = strings.NewReader(code)
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
}

// cudaEnv says what the process that withCUDA starts is to do.
const cudaEnv = "AUTOLORA_TEST_CUDA"

// withCUDA returns what TestWithCUDA prints in a process with the libraries in
// dir. After what it is to do come the FAIL and MEMORY of fakeAPI.
func withCUDA(t *testing.T, dir, do string) string {
	t.Helper()
	do, fail, _ := strings.Cut(do, " ")
	fail, memory, _ := strings.Cut(fail, " ")
	cmd := exec.Command(os.Args[0], "-test.run=^TestWithCUDA$")
	cmd.Env = append(os.Environ(), cudaEnv+"="+do, "FAIL="+fail, "MEMORY="+memory, "LD_LIBRARY_PATH="+dir+":"+os.Getenv("LD_LIBRARY_PATH"), "LIBTORCH=")
	output, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	got, _, _ := strings.Cut(string(output), "PASS\n")
	return got
}

func TestWithCUDA(t *testing.T) {
	switch os.Getenv(cudaEnv) {
	case "describe":
		_, err := torchbind.DescribeDevice(0)
		fmt.Println(err)
	case "capture":
		captureAndReplay(3)
		fmt.Println(torchbind.Live(), "tensors")
	default:
		t.Skip("only in a process that withCUDA starts")
	}
}

// captureAndReplay prints what happens. Its tensors are on the CPU.
func captureAndReplay(device torchbind.Device) {
	defer func() {
		if r := recover(); r != nil {
			fmt.Println("panic", r)
		}
	}()
	err := torchbind.Run(func(s *torchbind.Scope) error {
		x := vector(s, 2)
		g, err := torchbind.Capture(device, func(s *torchbind.Scope) []*torchbind.Tensor {
			fmt.Println("fn")
			y := torchbind.Mul(s, x, x)
			switch os.Getenv("FAIL") {
			case "fn":
				y.Item()
			case "panic":
				panic("stop")
			}
			return []*torchbind.Tensor{y}
		})
		if err != nil {
			return err
		}
		defer g.Close()
		fmt.Println("captured")
		for range 2 {
			if err := torchbind.Run(func(*torchbind.Scope) error { g.Replay(); return nil }); err != nil {
				fmt.Println("error", err)
				return nil
			}
		}
		return nil
	})
	if err != nil {
		fmt.Println("error", err)
	}
}

func TestCPUHasNoCUDA(t *testing.T) {
	torchtest.Setup(t)
	torchbind.SeedDropout(torchbind.CPU, 1)
	torchbind.Synchronize(torchbind.CPU)
	torchbind.EmptyCache(torchbind.CPU)
	torchbind.AllowTF32(true)
	torchbind.AllowTF32(false)
	if info, err := torchbind.DescribeDevice(torchbind.CPU); err == nil {
		t.Errorf("the CPU is described as %v", info)
	}
	if err := torchbind.ResetPeakDeviceMemory(torchbind.CPU); err != nil {
		t.Fatal(err)
	}
	before, err := torchbind.PeakDeviceMemory(torchbind.CPU)
	if err != nil {
		t.Fatal(err)
	}
	const size = 64 << 20
	if err := torchbind.Run(func(s *torchbind.Scope) error { ones(s, size/4); return nil }); err != nil {
		t.Fatal(err)
	}
	if after, err := torchbind.PeakDeviceMemory(torchbind.CPU); err != nil || after < before+size/2 {
		t.Errorf("the peak is %d bytes and error %v after a tensor of %d, was %d", after, err, size, before)
	}
}

// waves returns a float32 tensor of numbers between -1 and 1 of which products
// are not exact.
func waves(s *torchbind.Scope, device torchbind.Device, shape ...int64) *torchbind.Tensor {
	n := int64(1)
	for _, d := range shape {
		n *= d
	}
	values := make([]float32, n)
	for i := range values {
		values[i] = float32(math.Sin(float64(i) * 0.7))
	}
	return torchbind.FromSlice(s, values, shape, device)
}

// step is a loss and a gradient, with dropout before and after a product.
func step(s *torchbind.Scope, x, w *torchbind.Tensor) []*torchbind.Tensor {
	y := torchbind.Dropout(s, torchbind.MatMul(s, torchbind.Dropout(s, x, 0.3, 1), w), 0.5, 2)
	loss := torchbind.Sum(s, torchbind.Mul(s, y, y))
	return append(torchbind.Grad(s, []*torchbind.Tensor{loss}, []*torchbind.Tensor{w}, nil, false), torchbind.Detach(s, loss))
}

func TestCUDAGraphDrawsTheMasksOfEagerSteps(t *testing.T) {
	device := cudaDevice(t)
	torchtest.Run(t, func(s *torchbind.Scope) {
		x, w := waves(s, device, 64, 32), waves(s, device, 32, 16).SetRequiresGrad(true)
		other := torchbind.To(s, torchbind.Add(s, x, x), torchbind.Float32, device)
		eager := func(seed uint64) (results [][]float64) {
			torchbind.SeedDropout(device, seed)
			for range 2 {
				s.Do(func(s *torchbind.Scope) error {
					for _, y := range step(s, x, w) {
						results = append(results, y.Float64s())
					}
					return nil
				})
			}
			return results
		}
		first := eager(7)
		g, err := torchbind.Capture(device, func(s *torchbind.Scope) []*torchbind.Tensor { return step(s, x, w) })
		if err != nil {
			t.Fatal(err)
		}
		defer g.Close()
		graph := func(seed uint64) (results [][]float64) {
			torchbind.SeedDropout(device, seed)
			for range 2 {
				g.Replay()
				for _, y := range g.Outputs() {
					results = append(results, y.Float64s())
				}
			}
			return results
		}
		same := func(name string, got, want [][]float64) {
			t.Helper()
			for i := range want {
				torchtest.Equal(t, fmt.Sprintf("%s, result %d", name, i), got[i], want[i], torchtest.Exact)
			}
		}
		same("seed 7", graph(7), first)
		if fmt.Sprint(first[0]) == fmt.Sprint(first[2]) {
			t.Error("two steps have the same masks")
		}
		same("seed 8", graph(8), eager(8))
		x.CopyInPlace(other)
		same("other input", graph(7), eager(7))
	})
}

// Graphs of a device share their memory: what one computes must not depend on
// what another left there, and of two as many bytes are kept as of the larger.
func TestCUDAGraphsInTurn(t *testing.T) {
	device := cudaDevice(t)
	torchtest.Run(t, func(s *torchbind.Scope) {
		w := waves(s, device, 512, 512).SetRequiresGrad(true)
		free := func() int64 {
			t.Helper()
			torchbind.EmptyCache(device)
			info, err := torchbind.DescribeDevice(device)
			if err != nil {
				t.Fatal(err)
			}
			return info.Free
		}
		var graphs []*torchbind.Graph
		var want [][]float64
		var kept []int64
		for i, rows := range []int64{16384, 8192, 16384} {
			x := torchbind.MulScalar(s, waves(s, device, rows, 512), float64(i+1))
			s.Do(func(s *torchbind.Scope) error {
				torchbind.SeedDropout(device, uint64(i))
				want = append(want, step(s, x, w)[0].Float64s())
				return nil
			})
			before := free()
			g, err := torchbind.Capture(device, func(s *torchbind.Scope) []*torchbind.Tensor { return step(s, x, w) })
			if err != nil {
				t.Fatal(err)
			}
			defer g.Close()
			graphs = append(graphs, g)
			kept = append(kept, before-free())
		}
		for range 3 {
			for i, g := range graphs {
				torchbind.SeedDropout(device, uint64(i))
				g.Replay()
				torchtest.Equal(t, fmt.Sprintf("graph %d", i), g.Outputs()[0], want[i], torchtest.Exact)
			}
		}
		if most := kept[0] / 4; kept[1] > most || kept[2] > most {
			t.Errorf("graphs keep %d bytes, those after the first want a quarter of it at most", kept)
		}
	})
}

func TestCUDAFailedCapture(t *testing.T) {
	device := cudaDevice(t)
	torchtest.Run(t, func(s *torchbind.Scope) {
		x, w := waves(s, device, 64, 32), waves(s, device, 32, 16).SetRequiresGrad(true)
		heads, offsets := waves(s, device, 4, 24), ids(s, 0, 4)
		attention := func(s *torchbind.Scope) {
			torchbind.SelfAttention(s, heads, offsets, torchbind.AttentionConfig{Heads: 2, Scale: 1})
		}
		good := func(s *torchbind.Scope) []*torchbind.Tensor { return step(s, x, w) }
		s.Do(func(s *torchbind.Scope) error { good(s); attention(s); return nil })
		torchbind.EmptyCache(device)
		before, err := torchbind.DescribeDevice(device)
		if err != nil {
			t.Fatal(err)
		}
		for name, bad := range map[string]func(s *torchbind.Scope){
			"read":                 func(s *torchbind.Scope) { x.Float32s() },
			"misuse":               func(s *torchbind.Scope) { torchbind.MatMul(s, w, w) },
			"copy inside libtorch": attention, // it makes its plan on the host
		} {
			for range 20 {
				g, err := torchbind.Capture(device, func(s *torchbind.Scope) []*torchbind.Tensor {
					results := good(s)
					bad(s)
					return results
				})
				var e *torchbind.Error
				if !errors.As(err, &e) || strings.Contains(err.Error(), "\n") {
					t.Fatalf("%s: graph %v and error %v", name, g, err)
				}
			}
			torchbind.SeedDropout(device, 3)
			s.Do(func(s *torchbind.Scope) error {
				want := good(s)[0].Float64s() // draws again, and reads
				g, err := torchbind.Capture(device, good)
				if err != nil {
					t.Fatalf("after %s: %v", name, err)
				}
				defer g.Close()
				torchbind.SeedDropout(device, 3)
				g.Replay()
				torchtest.Equal(t, "after "+name, g.Outputs()[0], want, torchtest.Exact)
				return nil
			})
		}
		torchbind.EmptyCache(device)
		after, err := torchbind.DescribeDevice(device)
		if err != nil {
			t.Fatal(err)
		}
		if lost := before.Free - after.Free; lost > 100<<20 { // workspaces of cuBLAS stay
			t.Errorf("%d bytes of the device are gone after failed captures", lost)
		}
	})
}

func TestCUDAFull(t *testing.T) {
	device := cudaDevice(t)
	torchtest.Run(t, func(s *torchbind.Scope) {
		for _, dtype := range []torchbind.DType{torchbind.Int64, torchbind.Float16, torchbind.Float32, torchbind.Float64, torchbind.BFloat16} {
			for _, value := range []float64{0, 1, -3, 1 << 10} {
				got, want := torchbind.Full(s, []int64{2, 3}, value, dtype, device), torchbind.Full(s, []int64{2, 3}, value, dtype, torchbind.CPU)
				if got.DType() != dtype || got.Device() != device {
					t.Errorf("%v on %v, want %v on %v", got.DType(), got.Device(), dtype, device)
				}
				torchtest.Equal(t, fmt.Sprintf("%v of %v", value, dtype), got, want, torchtest.Exact)
			}
		}
		g, err := torchbind.Capture(device, func(s *torchbind.Scope) []*torchbind.Tensor {
			return []*torchbind.Tensor{torchbind.Full(s, []int64{3}, 0.1, torchbind.Float32, device)}
		})
		if err != nil {
			t.Fatal(err)
		}
		defer g.Close()
		g.Replay()
		torchtest.Equal(t, "in a graph", g.Outputs()[0], torchbind.Full(s, []int64{3}, 0.1, torchbind.Float32, torchbind.CPU), torchtest.Exact)
	})
}

func TestCUDAMemory(t *testing.T) {
	device := cudaDevice(t)
	torchtest.Run(t, func(s *torchbind.Scope) {
		const size = 256 << 20
		allocate := func(s *torchbind.Scope) error {
			torchbind.Empty(s, []int64{size / 4}, torchbind.Float32, device)
			return nil
		}
		peak := func() int64 {
			t.Helper()
			n, err := torchbind.PeakDeviceMemory(device)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		if err := torchbind.ResetPeakDeviceMemory(device); err != nil {
			t.Fatal(err)
		}
		before := peak()
		s.Do(allocate)
		if got := peak() - before; got != size {
			t.Errorf("the peak rose by %d bytes, want %d", got, size)
		}
		if err := torchbind.ResetPeakDeviceMemory(device); err != nil {
			t.Fatal(err)
		}
		if got := peak(); got != before {
			t.Errorf("the peak is %d bytes after a reset, want %d", got, before)
		}
		cached, err := torchbind.DescribeDevice(device)
		if err != nil {
			t.Fatal(err)
		}
		torchbind.EmptyCache(device)
		empty, err := torchbind.DescribeDevice(device)
		if err != nil {
			t.Fatal(err)
		}
		if empty.Name == "" || empty.Capability[0] < 5 || empty.Total < empty.Free || empty.Free-cached.Free < size {
			t.Errorf("device %+v, before the cache was emptied %+v", empty, cached)
		}
	})
}

func TestCUDAOutOfMemory(t *testing.T) {
	device := cudaDevice(t)
	info, err := torchbind.DescribeDevice(device)
	if err != nil {
		t.Fatal(err)
	}
	torchtest.Setup(t)
	for range 3 {
		err := torchbind.Run(func(s *torchbind.Scope) error {
			for {
				torchbind.Empty(s, []int64{info.Total / 16}, torchbind.Float32, device)
			}
		})
		if !errors.Is(err, torchbind.ErrOutOfMemory) {
			t.Fatalf("error %v is not ErrOutOfMemory", err)
		}
		for _, want := range []string{torchbind.ErrOutOfMemory.Error(), "more were needed on " + device.String(), "are free"} {
			if !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %q, want one line with %q", err, want)
			}
		}
		after, err := torchbind.DescribeDevice(device)
		if err != nil {
			t.Fatal(err)
		}
		if after.Free < info.Free-info.Total/100 {
			t.Errorf("%d bytes are free after the error, were %d", after.Free, info.Free)
		}
	}
}

// The host's memory is written again as soon as FromSlice returned, and the
// blocks between go around.
func TestCUDAPinnedCopies(t *testing.T) {
	device := cudaDevice(t)
	torchtest.Run(t, func(s *torchbind.Scope) {
		data := make([]int64, 1<<16)
		for round := range int64(50) {
			s.Do(func(s *torchbind.Scope) error {
				var copies []*torchbind.Tensor
				for i := range int64(40) {
					n := 1 + (i*7919+round*104729)%int64(len(data))
					for j := range data[:n] {
						data[j] = round<<32 + i<<24 + int64(j)
					}
					copies = append(copies, torchbind.FromSlice(s, data[:n], []int64{n}, device))
				}
				clear(data)
				for i, c := range copies {
					for j, got := range c.Int64s() {
						if want := round<<32 + int64(i)<<24 + int64(j); got != want {
							t.Fatalf("round %d, copy %d: element %d is %x, want %x", round, i, j, got, want)
						}
					}
				}
				return nil
			})
		}
	})
}

func TestCUDAReadLater(t *testing.T) {
	device := cudaDevice(t)
	torchtest.Run(t, func(s *torchbind.Scope) {
		a := torchbind.Full(s, []int64{1024, 1024}, 1.0/1024, torchbind.Float32, device)
		count := torchbind.FromSlice(s, []int64{0}, []int64{1}, device)
		one := torchbind.FromSlice(s, []int64{1}, []int64{1}, device)
		var reads []func() []float64
		for range 20 { // products delay what is read
			a = torchbind.MatMul(s, a, a)
			for range 10 {
				a = torchbind.MatMul(s, a, torchbind.Full(s, []int64{1024, 1024}, 1.0/1024, torchbind.Float32, device))
			}
			torchbind.ForeachAddInPlace([]*torchbind.Tensor{count}, []*torchbind.Tensor{one}, 1)
			reads = append(reads, torchbind.ReadLater(s, []*torchbind.Tensor{count, torchbind.Mean(s, a)}))
			a = torchbind.Full(s, []int64{1024, 1024}, 1.0/1024, torchbind.Float32, device)
		}
		for i := len(reads) - 1; i >= 0; i-- {
			if got := reads[i](); got[0] != float64(i+1) || math.Abs(got[1]*1024-1) > 1e-3 {
				t.Errorf("read %d gives %v", i, got)
			}
		}
	})
}

func TestCUDATF32(t *testing.T) {
	device := cudaDevice(t)
	if info, err := torchbind.DescribeDevice(device); err != nil || info.Capability[0] < 8 {
		t.Skipf("TF32 takes compute capability 8, this device has %v", info.Capability)
	}
	torchtest.Run(t, func(s *torchbind.Scope) {
		a, b := waves(s, device, 256, 256), waves(s, device, 256, 256)
		double := func(x *torchbind.Tensor) *torchbind.Tensor { return torchbind.To(s, x, torchbind.Float64, device) }
		want := torchbind.MatMul(s, double(a), double(b)).Float64s()
		worst := func(tf32 bool) (largest float64) {
			torchbind.AllowTF32(tf32)
			defer torchbind.AllowTF32(false)
			for i, got := range torchbind.MatMul(s, a, b).Float64s() {
				largest = max(largest, math.Abs(got-want[i]))
			}
			return largest
		}
		// Sums of 256 products of size 1: 24 bits of mantissa give errors of 1e-5, 11 bits of 1e-3 or more.
		if off := worst(false); off > 1e-4 {
			t.Errorf("without TF32 a product is %g off", off)
		}
		if on := worst(true); on < 5e-4 || on > 0.5 {
			t.Errorf("with TF32 a product is %g off", on)
		}
	})
}
