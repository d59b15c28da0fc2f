package torchbind

// #cgo CFLAGS: -I${SRCDIR}/internal/accelerator -I${SRCDIR}/internal/cuda
// #define _GNU_SOURCE
// #include <dlfcn.h>
// #include "accelerator.h"
// #include "cuda_api.h"
//
// static const tb_cuda_api *find_cuda_api(void) {
//   const tb_cuda_api *(*api)(void) = (const tb_cuda_api *(*)(void))dlsym(RTLD_DEFAULT, "tb_cuda_api_v1");
//   return api == NULL ? NULL : api();
// }
//
// static tb_error *describe(const tb_cuda_api *api, int device, tb_cuda_device *out) { return api->describe(device, out); }
import "C"

import (
	"errors"
	"fmt"
	"sync"
	"unsafe"
)

// cudaAPI returns the functions of libautolora_cuda.so, which is opened, once,
// after libtorch_cuda.so. The error is one line that says what to do.
var cudaAPI = sync.OnceValues(func() (*C.tb_cuda_api, error) {
	const library = "libautolora_cuda.so"
	const remedy = "run `make cuda-shim`"
	if err := openCUDA(); err != nil {
		return nil, err
	}
	if _, err := openShared(library); err != nil {
		return nil, fmt.Errorf("%s cannot be opened: %w; %s", library, err, remedy)
	}
	api := C.find_cuda_api()
	if api == nil {
		return nil, fmt.Errorf("%s is of another version of autolora: %s", library, remedy)
	}
	if got, want := C.GoString(api.torch_version), Version(); got != want {
		return nil, fmt.Errorf("%s was made for libtorch %s, want %s: %s", library, got, want, remedy)
	}
	return api, nil
})

// SeedDropout makes the masks of dropout on a CUDA device those of seed from the
// first on. On the CPU it does nothing: there every mask has its own seed.
func SeedDropout(device Device, seed uint64) {
	outsideCapture("manual_seed")
	if device != CPU {
		check(C.tb_accelerator_seed(C.int(device), C.uint64_t(seed)), "manual_seed")
	}
}

// Synchronize waits until device has done all that was launched. The CPU never
// has anything left.
func Synchronize(device Device) {
	outsideCapture("synchronize")
	if device != CPU {
		check(C.tb_accelerator_synchronize(C.int(device)), "synchronize")
	}
}

// AllowTF32 says whether float32 matrix products on CUDA may round their
// operands to TF32, 10 bits of mantissa, which is several times faster. Off, as
// at the start, they have float32's 23.
func AllowTF32(on bool) { check(C.tb_allow_tf32(flag(on)), "allow_tf32") }

// PeakDeviceMemory returns the most bytes that tensors had on a CUDA device at
// a time, as torch.cuda.max_memory_allocated does; on the CPU it is PeakMemory.
func PeakDeviceMemory(device Device) (bytes int64, err error) {
	if device == CPU {
		return PeakMemory()
	}
	defer recoverError(&err)
	var peak C.int64_t
	check(C.tb_accelerator_peak_memory(C.int(device), &peak), "max_memory_allocated")
	return int64(peak), nil
}

// ResetPeakDeviceMemory makes PeakDeviceMemory count from now on.
func ResetPeakDeviceMemory(device Device) (err error) {
	if device == CPU {
		return ResetPeakMemory()
	}
	defer recoverError(&err)
	check(C.tb_accelerator_reset_peak_memory(C.int(device)), "reset_peak_memory_stats")
	return nil
}

// EmptyCache gives memory of freed tensors back to a CUDA device, as
// torch.cuda.empty_cache does. On the CPU it does nothing: there is no cache.
func EmptyCache(device Device) {
	outsideCapture("empty_cache")
	if device != CPU {
		check(C.tb_accelerator_empty_cache(), "empty_cache")
	}
}

// emptyCaches is EmptyCache for all devices that are in use; it does not fail.
func emptyCaches() {
	if n := C.tb_cuda_devices(); n > 0 {
		C.tb_error_free(C.tb_accelerator_empty_cache())
	}
}

// DeviceInfo describes a CUDA device.
type DeviceInfo struct {
	Name        string // "NVIDIA H100 80GB HBM3"
	Capability  [2]int // compute capability, {9, 0}
	Total, Free int64  // bytes of memory; free of what any process has
}

// DescribeDevice returns what the driver says of a CUDA device. The error is one
// line.
func DescribeDevice(device Device) (info DeviceInfo, err error) {
	if device == CPU {
		return info, errors.New("describe cpu: it is no CUDA device")
	}
	defer recoverError(&err)
	api, err := cudaAPI()
	if err != nil {
		return info, fmt.Errorf("describe %v: %w", device, err)
	}
	var d C.tb_cuda_device
	check(C.describe(api, C.int(device), &d), "get_device_properties")
	return DeviceInfo{
		Name:       C.GoString(&d.name[0]),
		Capability: [2]int{int(d.major), int(d.minor)},
		Total:      int64(d.total),
		Free:       int64(d.free),
	}, nil
}

// ReadLater begins to copy ts, of one element each and on one device, to the host
// and does not wait for them: work that is launched after it does not delay them.
// The returned function does wait; it returns the numbers that ts held when
// ReadLater was called. It may be called as long as s is open.
func ReadLater(s *Scope, ts []*Tensor) (read func() []float64) {
	const op = "read_later"
	outsideCapture(op)
	if len(ts) == 0 {
		return func() []float64 { return nil }
	}
	var out C.tb_tensor
	var event unsafe.Pointer
	ptrs := list(op, ts)
	err := C.tb_read_later(first(ptrs), C.int64_t(len(ts)), &out, &event)
	host := s.adopt(out, err, op, ts...)
	return func() []float64 {
		outsideCapture(op)
		host.handle(op)
		if event != nil {
			check(C.tb_read_wait(event), op)
		}
		return host.Float64s()
	}
}
