// Package c10d binds c10d, PyTorch's engine for several processes: c10d.h is
// its boundary. It is a package of its own so that neither it nor the shim is
// compiled again for the other's sake.
package c10d

// #cgo CXXFLAGS: -std=c++17 -O2 -I${SRCDIR}/../shim -I${SRCDIR}/../../../third_party/include -I${SRCDIR}/../../../third_party/include/torch/csrc/api/include
// #cgo LDFLAGS: -L${SRCDIR}/../../../third_party/lib -Wl,-rpath,${SRCDIR}/../../../third_party/lib -ltorch_cpu -lc10 -lstdc++ -ldl
import "C"

import _ "autolora/torchbind/internal/shim" // tb_error_free, and what opens CUDA
