// Package profiler is the C++ half of torchbind.Profile: libtorch's own
// profiler behind profiler.h. It has no Go of its own; it is a package for the
// reason that torchbind/internal/shim is.
package profiler

// #cgo CXXFLAGS: -std=c++17 -O2 -I${SRCDIR}/../shim -I${SRCDIR}/../../../third_party/include -I${SRCDIR}/../../../third_party/include/torch/csrc/api/include
// #cgo LDFLAGS: -L${SRCDIR}/../../../third_party/lib -Wl,-rpath,${SRCDIR}/../../../third_party/lib -ltorch_cpu -lc10 -lstdc++
import "C"
