package torchtest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"runtime"
	"testing"

	"autolora/torchbind"
)

// Setup locks the test to its OS thread and seeds libtorch. When the test ends,
// it fails if tensors are alive that were not before, or a scope was lost
// without Close. Both counts are the process's: such tests do not run in
// parallel.
func Setup(t testing.TB) {
	t.Helper()
	runtime.LockOSThread()
	torchbind.Seed(1)
	live, leaked := torchbind.Live(), torchbind.LeakedScopes()
	t.Cleanup(func() {
		defer runtime.UnlockOSThread()
		// In this order: a lost scope is counted before its tensors are freed.
		if n := torchbind.Live() - live; n > 0 {
			t.Errorf("%d tensors were not freed", n)
		}
		if n := torchbind.LeakedScopes() - leaked; n > 0 {
			t.Errorf("%d scopes were not closed", n)
		}
	})
}

// Run is Setup and torchbind.Run; an error of an operation ends the test.
func Run(t testing.TB, fn func(s *torchbind.Scope)) {
	t.Helper()
	Setup(t)
	err := torchbind.Run(func(s *torchbind.Scope) error {
		fn(s)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// CUDA returns the first CUDA device, and skips the test where there is none.
func CUDA(t testing.TB) torchbind.Device {
	t.Helper()
	if n, err := torchbind.CUDADevices(); n == 0 {
		t.Skipf("no CUDA device: %v", err)
	}
	return 0
}

// FreePort returns a port of this machine at which nobody listens. It lies below
// those that the system gives to connections, one of which could take it before it
// is used.
func FreePort(t testing.TB) int {
	t.Helper()
	for range 100 {
		port := 20_000 + rand.IntN(12_000)
		if l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			l.Close()
			return port
		}
	}
	t.Fatal("none of a hundred ports is free")
	return 0
}
