package torchbind

// #include "shim.h"
import "C"

import (
	"math"
	"runtime"
	"unsafe"
)

// Tensor is a handle on a libtorch tensor, owned by one scope. Using it after
// its scope was closed panics with an *Error.
type Tensor struct {
	ptr    C.tb_tensor
	scope  *Scope
	slot   int // of ptr, in the scope's list
	shape  []int64
	dtype  DType
	device Device
}

// handle returns the C handle, or panics naming op if t was freed.
func (t *Tensor) handle(op string) C.tb_tensor {
	if t == nil {
		misuse(op, "nil tensor")
	}
	if !t.alive() {
		misuse(op, "tensor was used after its scope was closed")
	}
	return t.ptr
}

func (t *Tensor) alive() bool { return t.ptr != nil && !t.scope.owned.closed }

// optionalHandle is handle for an argument that may be nil.
func (t *Tensor) optionalHandle(op string) C.tb_tensor {
	if t == nil {
		return nil
	}
	return t.handle(op)
}

// describe fills shape, dtype and device, which never change, on first use.
func (t *Tensor) describe() {
	if t.shape != nil {
		return
	}
	var dims [8]C.int64_t
	var ndim C.int64_t
	var dtype, device C.int
	check(C.tb_info(t.handle("info"), &dims[0], &ndim, &dtype, &device), "info")
	t.shape = make([]int64, ndim)
	for i := range t.shape {
		t.shape[i] = int64(dims[i])
	}
	t.dtype, t.device = DType(dtype), Device(device)
}

// Shape returns the sizes of t's dimensions. The caller must not change it.
func (t *Tensor) Shape() []int64 {
	t.describe()
	return t.shape
}

// Size returns the size of dimension dim, counted from the end if negative.
func (t *Tensor) Size(dim int) int64 {
	shape := t.Shape()
	i := dim
	if i < 0 {
		i += len(shape)
	}
	if i < 0 || i >= len(shape) {
		misuse("size", "dimension %d of shape %v", dim, shape)
	}
	return shape[i]
}

// NumEl returns the number of elements.
func (t *Tensor) NumEl() int64 { return count("numel", t.Shape()) }

// DType returns the element type.
func (t *Tensor) DType() DType {
	t.describe()
	return t.dtype
}

// Device returns where the elements are.
func (t *Tensor) Device() Device {
	t.describe()
	return t.device
}

// RequiresGrad reports whether gradients flow to or through t.
func (t *Tensor) RequiresGrad() bool {
	var on C.int
	check(C.tb_requires_grad(t.handle("requires_grad"), &on), "requires_grad", t)
	return on != 0
}

// SetRequiresGrad turns the leaf t into one that gradients can be taken of, or
// back, and returns t.
func (t *Tensor) SetRequiresGrad(on bool) *Tensor {
	check(C.tb_requires_grad_(t.handle("requires_grad_"), flag(on)), "requires_grad_", t)
	return t
}

// Item returns the one element of t, whatever its shape.
func (t *Tensor) Item() float64 {
	outsideCapture("item")
	var v C.double
	check(C.tb_item(t.handle("item"), &v), "item", t)
	return float64(v)
}

// CopyInPlace overwrites t with src, converting dtype and device.
func (t *Tensor) CopyInPlace(src *Tensor) {
	if capturing.Load() != nil {
		moveOutsideCapture("copy_", src, t.Device())
	}
	check(C.tb_copy_(t.handle("copy_"), src.handle("copy_")), "copy_", t, src)
}

// Float32s returns t's elements, of any dtype, in row-major order.
func (t *Tensor) Float32s() []float32 { return toSlice[float32](t) }

// Float64s returns t's elements, of any dtype, in row-major order.
func (t *Tensor) Float64s() []float64 { return toSlice[float64](t) }

// Int64s returns t's elements, of any dtype, in row-major order.
func (t *Tensor) Int64s() []int64 { return toSlice[int64](t) }

func toSlice[T element](t *Tensor) []T {
	outsideCapture("copy_to_host")
	s := newScope()
	defer s.Close()
	t = Detach(s, t)
	t = To(s, t, dtypeOf[T](), t.Device())
	data := make([]T, t.NumEl())
	copyToHost(t, unsafe.Pointer(unsafe.SliceData(data)), int64(len(data))*t.DType().Size())
	return data
}

// Bytes returns t's elements in row-major order, little-endian, in t's dtype.
func (t *Tensor) Bytes() []byte {
	outsideCapture("copy_to_host")
	data := make([]byte, t.NumEl()*t.DType().Size())
	copyToHost(t, unsafe.Pointer(unsafe.SliceData(data)), int64(len(data)))
	return data
}

func copyToHost(t *Tensor, dst unsafe.Pointer, bytes int64) {
	check(C.tb_copy_to_host(t.handle("copy_to_host"), dst, C.int64_t(bytes)), "copy_to_host", t)
}

// FromSlice returns a tensor of the given shape on device with a copy of data,
// which is in row-major order.
func FromSlice[T element](s *Scope, data []T, shape []int64, device Device) *Tensor {
	if n := count("from_slice", shape); n != int64(len(data)) {
		misuse("from_slice", "%d elements for shape %v", len(data), shape)
	}
	return fromPointer(s, unsafe.Pointer(unsafe.SliceData(data)), dtypeOf[T](), shape, device)
}

// FromBytes is FromSlice for little-endian bytes of any dtype.
func FromBytes(s *Scope, data []byte, dtype DType, shape []int64, device Device) *Tensor {
	if n := count("from_bytes", shape); dtype.Size() == 0 || n != int64(len(data))/dtype.Size() || int64(len(data))%dtype.Size() != 0 {
		misuse("from_bytes", "%d bytes for shape %v of %v", len(data), shape, dtype)
	}
	return fromPointer(s, unsafe.Pointer(unsafe.SliceData(data)), dtype, shape, device)
}

func fromPointer(s *Scope, data unsafe.Pointer, dtype DType, shape []int64, device Device) *Tensor {
	inputOutsideCapture("from_data", device)
	var out C.tb_tensor
	err := C.tb_from_data(data, C.int(dtype), dims(shape), C.int64_t(len(shape)), C.int(device), &out)
	runtime.KeepAlive(data)
	return s.adopt(out, err, "from_data")
}

// Empty returns an uninitialised tensor.
func Empty(s *Scope, shape []int64, dtype DType, device Device) *Tensor {
	dtype.mustBeKnown("empty")
	var out C.tb_tensor
	err := C.tb_empty(C.int(dtype), dims(shape), C.int64_t(len(shape)), C.int(device), &out)
	return s.adopt(out, err, "empty")
}

// To returns t with another dtype and device; t itself if both are the same.
// Gradients flow through.
func To(s *Scope, t *Tensor, dtype DType, device Device) *Tensor {
	dtype.mustBeKnown("to")
	ptr := t.handle("to")
	if t.DType() == dtype && t.Device() == device {
		return t
	}
	moveOutsideCapture("to", t, device)
	var out C.tb_tensor
	err := C.tb_to(ptr, C.int(dtype), C.int(device), &out)
	return s.adopt(out, err, "to", t)
}

// Clone returns a copy; gradients flow through.
func Clone(s *Scope, t *Tensor) *Tensor { return unary(s, "clone", C.tb_clone, t) }

// ZerosLike returns zeros of t's shape, dtype and device.
func ZerosLike(s *Scope, t *Tensor) *Tensor { return unary(s, "zeros_like", C.tb_zeros_like, t) }

// Detach returns t's values, shared, cut from the graph.
func Detach(s *Scope, t *Tensor) *Tensor { return unary(s, "detach", C.tb_detach, t) }

// count returns the number of elements of shape; it panics if that is negative
// or no int64.
func count(op string, shape []int64) int64 {
	n := int64(1)
	for _, d := range shape {
		if d < 0 || d > 0 && n > math.MaxInt64/d {
			misuse(op, "shape %v", shape)
		}
		n *= d
	}
	return n
}

// dims returns a C pointer to shape; NULL for a scalar's empty shape.
func dims(shape []int64) *C.int64_t {
	return (*C.int64_t)(unsafe.Pointer(unsafe.SliceData(shape)))
}

// list returns the C handles of ts.
func list(op string, ts []*Tensor) []C.tb_tensor {
	ptrs := make([]C.tb_tensor, len(ts))
	for i, t := range ts {
		if t == nil {
			misuse(op, "tensor %d of %d is nil", i, len(ts))
		}
		ptrs[i] = t.handle(op)
	}
	return ptrs
}

// sameLength panics unless every list is as long as the first; n is that length.
func sameLength(op string, lists ...[]*Tensor) C.int64_t {
	for _, l := range lists {
		if len(l) != len(lists[0]) {
			misuse(op, "lists of %d and %d tensors", len(lists[0]), len(l))
		}
	}
	return C.int64_t(len(lists[0]))
}
