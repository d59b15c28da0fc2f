package torchbind_test

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"autolora/torchbind"
	"autolora/torchbind/torchtest"
)

// startEnv marks the process that TestStart starts: it does TestStarted alone.
const startEnv = "AUTOLORA_TEST_STARTED"

func TestStarted(t *testing.T) {
	if os.Getenv(startEnv) == "" {
		t.Skip("only in the process that TestStart starts")
	}
	torchtest.Run(t, func(s *torchbind.Scope) {
		y := torchbind.MatMul(s, ones(s, 64, 64), ones(s, 64, 64))
		fmt.Printf("%d CPUs, %d threads, sum %v\n", runtime.NumCPU(), torchbind.NumThreads(), torchbind.Sum(s, y).Item())
	})
}

// gotorch's init calls at::set_num_threads(NumCPU/2) where OMP_NUM_THREADS is
// not set. On one CPU that ends the process before main: see package preinit.
func TestStart(t *testing.T) {
	if os.Getenv(startEnv) != "" {
		t.Skip("already in the process that TestStart starts")
	}
	all := runtime.NumCPU()
	tests := []struct {
		name          string
		oneCPU        bool
		threads       string // OMP_NUM_THREADS
		set           bool
		cpus, started int
	}{
		{name: "one CPU", oneCPU: true, cpus: 1, started: 1},
		{name: "all CPUs", cpus: all, started: all},
		{name: "a list of threads", threads: "1,1", set: true, cpus: all, started: 1},
		{name: "zero", threads: "0", set: true, oneCPU: true, cpus: 1, started: 1},
		{name: "rubbish", threads: "many", set: true, cpus: all, started: all},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cmd := exec.Command(os.Args[0], "-test.run=^TestStarted$", "-test.v")
			for _, v := range os.Environ() {
				if !strings.HasPrefix(v, "OMP_") && !strings.HasPrefix(v, "MKL_") && !strings.HasPrefix(v, "GOMAXPROCS=") {
					cmd.Env = append(cmd.Env, v)
				}
			}
			cmd.Env = append(cmd.Env, startEnv+"=1")
			if tt.set {
				cmd.Env = append(cmd.Env, "OMP_NUM_THREADS="+tt.threads)
			}
			if tt.oneCPU {
				defer useOneCPU(t)()
			}
			output, err := cmd.CombinedOutput()
			want := fmt.Sprintf("%d CPUs, %d threads, sum 262144\n", tt.cpus, tt.started)
			if err != nil || !strings.Contains(string(output), want) {
				t.Errorf("%v, want %q:\n%s", err, want, output)
			}
		})
	}
}

// useOneCPU binds this thread, and the processes that it starts, to one of its
// CPUs, until the returned function is called.
func useOneCPU(t *testing.T) (restore func()) {
	t.Helper()
	runtime.LockOSThread()
	var before, one [128]uint64 // 8192 CPUs, as many as Linux knows
	affinity := func(call uintptr, mask *[128]uint64) {
		t.Helper()
		if _, _, errno := syscall.RawSyscall(call, 0, unsafe.Sizeof(*mask), uintptr(unsafe.Pointer(mask))); errno != 0 {
			t.Fatalf("CPU affinity: %v", errno)
		}
	}
	affinity(syscall.SYS_SCHED_GETAFFINITY, &before)
	for i, word := range before {
		if word != 0 {
			one[i] = word & -word
			break
		}
	}
	affinity(syscall.SYS_SCHED_SETAFFINITY, &one)
	return func() {
		affinity(syscall.SYS_SCHED_SETAFFINITY, &before)
		runtime.UnlockOSThread()
	}
}
