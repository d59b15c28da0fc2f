// Package shim is the C++ half of torchbind: shim.h is its boundary, shim_*.cc
// call libtorch, fused_*.cc are kernels of our own. It has no Go of its own; it
// is a package so that a change in torchbind's Go does not compile C++ again.
package shim

// #cgo CXXFLAGS: -std=c++17 -O2 -fopenmp -I${SRCDIR}/../../../third_party/include -I${SRCDIR}/../../../third_party/include/torch/csrc/api/include
// #cgo LDFLAGS: -L${SRCDIR}/../../../third_party/lib -Wl,-rpath,${SRCDIR}/../../../third_party/lib -lcgotorch -ltorch_cpu -lc10 -lgomp -lstdc++ -ldl
import "C"
