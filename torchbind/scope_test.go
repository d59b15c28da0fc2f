package torchbind_test

import (
	"bytes"
	"errors"
	"fmt"
	"log"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"autolora/torchbind"
	"autolora/torchbind/torchtest"
)

func TestTidyFreesAllButItsResult(t *testing.T) {
	torchtest.Run(t, func(s *torchbind.Scope) {
		x := vector(s, 1, 2)
		before := torchbind.Live()
		var inner *torchbind.Tensor
		y := s.Tidy(func(s *torchbind.Scope) *torchbind.Tensor {
			inner = torchbind.Mul(s, x, x)
			return torchbind.Add(s, inner, x)
		})
		if n := torchbind.Live() - before; n != 1 {
			t.Errorf("%d more tensors are alive, want the result alone", n)
		}
		torchtest.Equal(t, "result", y, []float64{2, 6}, torchtest.Exact)
		wantError(t, "mul: tensor was used after its scope was closed", func(s *torchbind.Scope) { torchbind.Mul(s, inner, x) })
	})
}

func TestTidyResults(t *testing.T) {
	torchtest.Run(t, func(s *torchbind.Scope) {
		x := vector(s, 3)
		tests := []struct {
			name  string
			fn    func(s *torchbind.Scope) *torchbind.Tensor
			added int64
		}{
			{"nil", func(s *torchbind.Scope) *torchbind.Tensor { vector(s, 1); return nil }, 0},
			{"its own", func(s *torchbind.Scope) *torchbind.Tensor { vector(s, 1); return vector(s, 3) }, 1},
			{"the parent's", func(s *torchbind.Scope) *torchbind.Tensor { vector(s, 1); return x }, 0},
			{"of a nested Tidy", func(s *torchbind.Scope) *torchbind.Tensor {
				return s.Tidy(func(s *torchbind.Scope) *torchbind.Tensor { vector(s, 1); return vector(s, 3) })
			}, 1},
		}
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				before := torchbind.Live()
				got := s.Tidy(tt.fn)
				if added := torchbind.Live() - before; added != tt.added {
					t.Errorf("%d tensors were added, want %d", added, tt.added)
				}
				if got != nil {
					torchtest.Equal(t, "result", got, []float64{3}, torchtest.Exact)
				}
			})
		}
	})
}

func TestKeepMovesOwnership(t *testing.T) {
	torchtest.Run(t, func(s *torchbind.Scope) {
		a, b := torchbind.NewScope(), torchbind.NewScope()
		defer b.Close()
		before := torchbind.Live()
		x, gone := vector(a, 1), vector(a, 2)
		for range 3 { // back and forth: each scope owned it more than once
			b.Keep(x)
			a.Keep(x)
		}
		b.Keep(b.Keep(x))
		a.Close()
		torchtest.Equal(t, "kept", x, []float64{1}, torchtest.Exact)
		if n := torchbind.Live() - before; n != 1 {
			t.Errorf("%d tensors are alive, want 1", n)
		}
		wantError(t, "keep: tensor was used after its scope was closed", func(*torchbind.Scope) { b.Keep(gone) })
		wantError(t, "keep: scope is closed", func(*torchbind.Scope) { a.Keep(x) })
		b.Close()
		if n := torchbind.Live() - before; n != 0 {
			t.Errorf("%d tensors are alive, want none", n)
		}
	})
}

func TestDoFreesAndReturnsTheError(t *testing.T) {
	torchtest.Run(t, func(s *torchbind.Scope) {
		before := torchbind.Live()
		stop := errors.New("stop")
		var kept *torchbind.Tensor
		err := s.Do(func(child *torchbind.Scope) error {
			vector(child, 1)
			kept = s.Keep(vector(child, 2))
			return stop
		})
		if err != stop {
			t.Errorf("error is %v, want %v", err, stop)
		}
		if n := torchbind.Live() - before; n != 1 {
			t.Errorf("%d more tensors are alive, want the kept one", n)
		}
		torchtest.Equal(t, "kept", kept, []float64{2}, torchtest.Exact)
	})
}

func TestCloseTwice(t *testing.T) {
	torchtest.Setup(t)
	before := torchbind.Live()
	s := torchbind.NewScope()
	vector(s, 1)
	s.Close()
	s.Close()
	if n := torchbind.Live(); n != before {
		t.Errorf("%d tensors are alive, want %d", n, before)
	}
}

func TestUseAfterClose(t *testing.T) {
	torchtest.Setup(t)
	closed := torchbind.NewScope()
	x := torchbind.Add(closed, ones(closed, 2, 2), ones(closed, 2, 2)) // nobody has asked for its shape
	closed.Close()
	const used, full = "tensor was used after its scope was closed", "scope is closed"
	tests := []struct {
		op, want string
		fn       func(s *torchbind.Scope)
	}{
		{"add", used, func(s *torchbind.Scope) { torchbind.Add(s, x, x) }},
		{"linear", used, func(s *torchbind.Scope) { torchbind.Linear(s, ones(s, 2), ones(s, 2, 2), x) }},
		{"cat", used, func(s *torchbind.Scope) { torchbind.Cat(s, []*torchbind.Tensor{ones(s, 2), x}, 0) }},
		{"grad", used, func(s *torchbind.Scope) {
			torchbind.Grad(s, []*torchbind.Tensor{x}, []*torchbind.Tensor{x}, nil, false)
		}},
		{"_foreach_norm", used, func(s *torchbind.Scope) { torchbind.ForeachNorm([]*torchbind.Tensor{x}) }},
		{"item", used, func(s *torchbind.Scope) { x.Item() }},
		{"info", used, func(s *torchbind.Scope) { x.Shape() }},
		{"detach", used, func(s *torchbind.Scope) { x.Float32s() }},
		{"copy_", used, func(s *torchbind.Scope) { ones(s, 2).CopyInPlace(x) }},
		{"requires_grad", used, func(s *torchbind.Scope) { x.RequiresGrad() }},
		{"requires_grad_", used, func(s *torchbind.Scope) { x.SetRequiresGrad(true) }},
		{"from_data", full, func(s *torchbind.Scope) { vector(closed, 1) }},
		{"full", full, func(s *torchbind.Scope) { ones(closed, 1) }},
		{"add", full, func(s *torchbind.Scope) { torchbind.Add(closed, ones(s, 1), ones(s, 1)) }},
		{"_foreach_mul", full, func(s *torchbind.Scope) {
			two := []*torchbind.Tensor{ones(s, 1), ones(s, 1)}
			torchbind.ForeachMul(closed, two, two)
		}},
	}
	for _, tt := range tests {
		t.Run(tt.op+", "+tt.want, func(t *testing.T) {
			torchtest.Setup(t)
			wantError(t, tt.op+": "+tt.want, tt.fn)
		})
	}
}

func TestPanicInsideTidy(t *testing.T) {
	torchtest.Run(t, func(s *torchbind.Scope) {
		w := vector(s, 1).SetRequiresGrad(true)
		before := torchbind.Live()
		func() {
			defer func() {
				if r := recover(); r != "stop" {
					t.Errorf("recovered %v, want stop", r)
				}
			}()
			s.Tidy(func(s *torchbind.Scope) *torchbind.Tensor {
				vector(s, 1)
				torchbind.NoGrad(func() {
					torchbind.Mul(s, w, w)
					panic("stop")
				})
				return nil
			})
		}()
		if n := torchbind.Live(); n != before {
			t.Errorf("%d tensors are alive, want %d", n, before)
		}
		if !torchbind.Mul(s, w, w).RequiresGrad() {
			t.Error("gradient recording is still off after the panic")
		}
	})
}

// lose opens a scope, forgets it, and returns a tensor of it and the line where
// it was opened.
//
//go:noinline
func lose() (x *torchbind.Tensor, where string) {
	_, file, line, _ := runtime.Caller(0)
	s := torchbind.NewScope()
	vector(s, 1)
	return vector(s, 5), fmt.Sprintf("%s:%d", file, line+1)
}

// collectUntil collects garbage until done, for ten seconds at most.
func collectUntil(done func() bool) bool {
	for range 1000 {
		runtime.GC()
		if done() {
			return true
		}
		time.Sleep(10 * time.Millisecond)
	}
	return false
}

func TestLostScopeIsCountedAndFreed(t *testing.T) {
	var logged bytes.Buffer
	log.SetOutput(&logged)
	defer log.SetOutput(os.Stderr)
	live, leaked := torchbind.Live(), torchbind.LeakedScopes()

	x, where := lose()
	for range 5 { // x is in use: its scope must stay
		runtime.GC()
		time.Sleep(time.Millisecond)
	}
	torchtest.Equal(t, "tensor of a lost scope", x, []float64{5}, torchtest.Exact)
	if n := torchbind.LeakedScopes() - leaked; n != 0 {
		t.Errorf("%d scopes were reclaimed while a tensor of theirs was in use", n)
	}
	runtime.KeepAlive(x)

	if !collectUntil(func() bool { return torchbind.Live() == live }) {
		t.Fatalf("%d tensors of a lost scope were not freed", torchbind.Live()-live)
	}
	if n := torchbind.LeakedScopes() - leaked; n != 1 {
		t.Errorf("%d scopes were counted as leaked, want 1", n)
	}
	if want := "scope leaked (opened at " + where + ", 2 tensors)"; !strings.Contains(logged.String(), want) {
		t.Errorf("log is %q, want %q", logged.String(), want)
	}
}

func TestClosedScopesAreNotLeaks(t *testing.T) {
	torchtest.Setup(t)
	for i := range 2000 {
		s := torchbind.NewScope()
		vector(s, 1)
		s.Close()
		if i%100 == 0 {
			runtime.GC()
		}
	}
	runtime.GC()
}
