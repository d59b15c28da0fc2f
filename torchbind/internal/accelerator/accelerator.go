// Package accelerator binds what libtorch lets one ask of any accelerator:
// accelerator.h is its boundary. It calls no symbol of CUDA, which a binary for
// machines without does not have; what does lies in internal/cuda.
package accelerator

// #cgo CXXFLAGS: -std=c++17 -O2 -I${SRCDIR}/../shim -I${SRCDIR}/../../../third_party/include
// #cgo LDFLAGS: -L${SRCDIR}/../../../third_party/lib -Wl,-rpath,${SRCDIR}/../../../third_party/lib -ltorch_cpu -lc10 -lstdc++
import "C"
