// Package preinit sets OMP_NUM_THREADS before gotorch's init runs.
//
// gotorch's init calls at::set_num_threads(NumCPU/2) where the variable is
// unset: on a machine with one CPU that is 0, and libtorch ends the process;
// elsewhere it is half of what the user expects. Go initialises packages in
// the order of their import paths as far as dependencies allow, and this one
// needs less than gotorch does.
package preinit

import (
	"os"
	"runtime"
	"strconv"
	"strings"
)

func init() {
	outermost, _, _ := strings.Cut(os.Getenv("OMP_NUM_THREADS"), ",") // OpenMP allows a list, one per nesting level
	if n, err := strconv.Atoi(strings.TrimSpace(outermost)); err != nil || n < 1 {
		os.Setenv("OMP_NUM_THREADS", strconv.Itoa(max(1, runtime.NumCPU())))
	}
}
