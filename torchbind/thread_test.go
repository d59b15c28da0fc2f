package torchbind_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"

	"autolora/torchbind"
	"autolora/torchbind/torchtest"
)

func TestThreadRunsJobsOnOneOSThread(t *testing.T) {
	torchtest.Setup(t)
	th := torchbind.NewThread()
	defer th.Close()
	var mu sync.Mutex
	sum, threads := 0.0, map[int]bool{}
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			for range 50 {
				err := th.Do(t.Context(), func(s *torchbind.Scope) error {
					x := vector(s, float64(i))
					mu.Lock()
					defer mu.Unlock()
					sum += torchbind.Mul(s, x, x).Item()
					threads[syscall.Gettid()] = true
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	if sum != 50*140 || len(threads) != 1 || threads[syscall.Gettid()] {
		t.Errorf("sum %v on %d threads, want 7000 on one that is not the caller's", sum, len(threads))
	}
}

func TestThreadReturnsErrors(t *testing.T) {
	torchtest.Setup(t)
	th := torchbind.NewThread()
	defer th.Close()
	stop := errors.New("stop")
	if err := th.Do(t.Context(), func(s *torchbind.Scope) error { vector(s, 1); return stop }); err != stop {
		t.Errorf("error is %v, want %v", err, stop)
	}
	var e *torchbind.Error
	err := th.Do(t.Context(), func(s *torchbind.Scope) error { torchbind.Cat(s, nil, 0); return nil })
	if !errors.As(err, &e) || e.Op != "cat" {
		t.Errorf("error is %v, want an *Error of cat", err)
	}
}

func TestThreadContext(t *testing.T) {
	torchtest.Setup(t)
	th := torchbind.NewThread()
	defer th.Close()
	ran := func(*torchbind.Scope) error { t.Error("a cancelled job ran"); return nil }

	t.Run("ended before", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		for range 200 { // an idle thread is ready too: the choice must not be by chance
			if err := th.Do(ctx, ran); err != context.Canceled {
				t.Fatalf("error is %v, want %v", err, context.Canceled)
			}
		}
	})
	t.Run("ended while waiting", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		started, release, waiter := make(chan struct{}), make(chan struct{}), make(chan error)
		go func() {
			waiter <- th.Do(context.Background(), func(*torchbind.Scope) error {
				close(started)
				<-release
				return nil
			})
		}()
		<-started
		go func() { waiter <- th.Do(ctx, ran) }()
		cancel()
		if err := <-waiter; err != context.Canceled {
			t.Errorf("error is %v, want %v", err, context.Canceled)
		}
		close(release)
		if err := <-waiter; err != nil {
			t.Errorf("the running job returned %v", err)
		}
	})
	t.Run("ended while running", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		err := th.Do(ctx, func(*torchbind.Scope) error { cancel(); return nil })
		if err != nil {
			t.Errorf("error is %v, want none: the job ran to its end", err)
		}
	})
}

func TestThreadClose(t *testing.T) {
	torchtest.Setup(t)
	th := torchbind.NewThread()
	started, release, result := make(chan struct{}), make(chan struct{}), make(chan error)
	go func() {
		result <- th.Do(context.Background(), func(*torchbind.Scope) error {
			close(started)
			<-release
			return nil
		})
	}()
	<-started
	th.Close()
	th.Close()
	for range 200 {
		if err := th.Do(t.Context(), func(*torchbind.Scope) error { return nil }); err != torchbind.ErrThreadClosed {
			t.Fatalf("error is %v, want %v", err, torchbind.ErrThreadClosed)
		}
	}
	close(release)
	if err := <-result; err != nil {
		t.Errorf("the running job returned %v", err)
	}
}

func explode(*torchbind.Scope) error { panic(errBoom) }

var errBoom = errors.New("boom")

func TestThreadPanicGoesToTheCaller(t *testing.T) {
	torchtest.Setup(t)
	th := torchbind.NewThread()
	defer th.Close()
	func() {
		defer func() {
			err, ok := recover().(error)
			if !ok || !errors.Is(err, errBoom) || !strings.Contains(err.Error(), "torchbind_test.explode") {
				t.Errorf("recovered %v, want boom with the stack of explode", err)
			}
		}()
		err := th.Do(t.Context(), explode)
		t.Errorf("returned %v instead of panicking", err)
	}()
	if err := th.Do(t.Context(), func(*torchbind.Scope) error { return nil }); err != nil {
		t.Errorf("after the panic the thread returns %v", err)
	}
}

// A failed test ends its goroutine with runtime.Goexit: a job must not look
// like one that is done.
func TestThreadGoexitGoesToTheCaller(t *testing.T) {
	torchtest.Setup(t)
	th := torchbind.NewThread()
	ended := make(chan string)
	go func() {
		outcome := "goexit"
		defer func() { ended <- outcome }()
		err := th.Do(context.Background(), func(s *torchbind.Scope) error {
			vector(s, 1)
			runtime.Goexit()
			return nil
		})
		outcome = fmt.Sprintf("returned %v", err)
	}()
	if outcome := <-ended; outcome != "goexit" {
		t.Errorf("Do %s, want the job's runtime.Goexit", outcome)
	}
	if err := th.Do(t.Context(), func(*torchbind.Scope) error { return nil }); err != torchbind.ErrThreadClosed {
		t.Errorf("error is %v, want %v", err, torchbind.ErrThreadClosed)
	}
}
