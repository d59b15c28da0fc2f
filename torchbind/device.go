package torchbind

// #include <malloc.h>
// #include "shim.h"
import "C"

import (
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
)

// Device says where a tensor's elements are: CPU, or the number of a CUDA
// device.
type Device int

// CPU is the host.
const CPU Device = -1

// String returns the PyTorch name, "cpu" or "cuda:0".
func (d Device) String() string {
	if d == CPU {
		return "cpu"
	}
	return fmt.Sprintf("cuda:%d", int(d))
}

// openCUDA opens libtorch_cuda.so, once, before the first tensor, so that one
// binary serves machines with and without CUDA.
var openCUDA = sync.OnceValue(func() error {
	if err := Open(); err != nil {
		return err
	}
	// NVRTC, which compiles kernels at run time, opens this by its name alone, and
	// does not look beside itself. Where it is not, NVRTC says so when it is used.
	_, _ = openShared("libnvrtc-builtins.so.13.0")
	const library = "libtorch_cuda.so"
	_, err := openShared(library)
	if err == nil {
		return nil
	}
	why := err.Error()
	if strings.HasPrefix(why, library+": cannot open shared object file: No such file") {
		return fmt.Errorf("%s is not there: `scripts/fetch_libtorch.sh --cuda && make build` brings it", library)
	}
	return fmt.Errorf("%s cannot be opened: %s", library, why)
})

// CUDADevices returns the number of CUDA devices; the error says why
// libtorch's CUDA library could not be opened.
func CUDADevices() (int, error) {
	if err := openCUDA(); err != nil {
		return 0, err
	}
	return int(C.tb_cuda_devices()), nil
}

// ParseDevice reads "cpu", "cuda", "cuda:N" or "auto": the first CUDA device
// where there is one, else the CPU.
func ParseDevice(name string) (Device, error) {
	switch {
	case name == "cpu":
		return CPU, nil
	case name == "auto":
		if _, err := os.Stat("/dev/nvidiactl"); err != nil {
			return CPU, nil // no driver: do not spend seconds on opening libtorch_cuda
		}
		if n, err := CUDADevices(); err != nil || n == 0 {
			return CPU, nil
		}
		return 0, nil
	case name == "cuda" || strings.HasPrefix(name, "cuda:"):
		index := 0
		if _, text, ok := strings.Cut(name, ":"); ok {
			var err error
			if index, err = strconv.Atoi(text); err != nil || index < 0 {
				return 0, fmt.Errorf("device %q: %q is not a device number", name, text)
			}
		}
		n, err := CUDADevices()
		if err != nil {
			return 0, fmt.Errorf("device %q: %w", name, err)
		}
		if index >= n {
			return 0, fmt.Errorf("device %q: this machine has %d CUDA devices", name, n)
		}
		return Device(index), nil
	default:
		return 0, fmt.Errorf("unknown device %q, want auto, cpu, cuda or cuda:N", name)
	}
}

// Version returns libtorch's version.
func Version() string {
	mustOpen()
	return C.GoString(C.tb_version())
}

// CPUCapability returns the instruction set that libtorch chose, "AVX2".
func CPUCapability() string {
	mustOpen()
	return C.GoString(C.tb_cpu_capability())
}

// HasBFloat16 reports whether this CPU multiplies bfloat16 matrices in
// hardware; without, bfloat16 saves memory but not time.
func HasBFloat16() bool {
	mustOpen()
	return C.tb_cpu_bfloat16() != 0
}

// SetNumThreads sets the threads of one operation.
func SetNumThreads(n int) {
	if n < 1 {
		misuse("set_num_threads", "%d threads", n)
	}
	mustOpen()
	check(C.tb_set_num_threads(C.int(n)), "set_num_threads")
}

// NumThreads returns the threads of one operation.
func NumThreads() int {
	mustOpen()
	return int(C.tb_num_threads())
}

// PeakMemory returns the highest resident size of this process so far, in
// bytes, as the kernel counts it (VmHWM).
func PeakMemory() (int64, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		var kb int64
		if _, err := fmt.Sscanf(line, "VmHWM: %d kB", &kb); err == nil {
			return kb << 10, nil
		}
	}
	return 0, errors.New("/proc/self/status has no VmHWM line")
}

// ResetPeakMemory gives memory that is not in use back to the kernel and makes
// PeakMemory count from now on, so that each of several runs in one process has
// a peak of its own.
func ResetPeakMemory() error {
	debug.FreeOSMemory()
	C.malloc_trim(0)
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil {
		return fmt.Errorf("reset the peak of memory: %w", err)
	}
	return nil
}
