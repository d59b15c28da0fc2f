package torchbind_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"autolora/torchbind"
	"autolora/torchbind/torchtest"
)

// capture is Capture on the CPU, of which an error ends the test.
func capture(t *testing.T, fn func(s *torchbind.Scope) []*torchbind.Tensor) *torchbind.Graph {
	t.Helper()
	g, err := torchbind.Capture(torchbind.CPU, fn)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestGraphReplaysWithWhatItsInputsHold(t *testing.T) {
	torchtest.Run(t, func(s *torchbind.Scope) {
		x, w := vector(s, 1, 2, 3), vector(s, 4, 5, 6).SetRequiresGrad(true)
		sum := vector(s, 0)
		before := torchbind.Live()
		g := capture(t, func(s *torchbind.Scope) []*torchbind.Tensor {
			loss := torchbind.Sum(s, torchbind.Mul(s, torchbind.Mul(s, w, w), x))
			grad := torchbind.Grad(s, []*torchbind.Tensor{loss}, []*torchbind.Tensor{w}, nil, false)[0]
			torchbind.ForeachAddInPlace([]*torchbind.Tensor{sum}, []*torchbind.Tensor{torchbind.Reshape(s, torchbind.Detach(s, loss), 1)}, 1)
			// The gradient of a sum is one number expanded; x is an input itself.
			ones := torchbind.Grad(s, []*torchbind.Tensor{torchbind.Sum(s, w)}, []*torchbind.Tensor{w}, nil, false)[0]
			return []*torchbind.Tensor{loss, grad, ones, x}
		})
		outputs := slices.Clone(g.Outputs())
		if n := torchbind.Live() - before; n != 4 {
			t.Errorf("%d tensors of the capture are alive, want its 4 outputs", n)
		}
		for i, y := range outputs {
			if y.RequiresGrad() {
				t.Errorf("output %d is still part of an autograd graph", i)
			}
		}
		want := func(loss float64, grad, in []float64) {
			t.Helper()
			torchtest.Equal(t, "loss", outputs[0], []float64{loss}, torchtest.Float64)
			torchtest.Equal(t, "gradient", outputs[1], grad, torchtest.Float64)
			torchtest.Equal(t, "gradient of the sum", outputs[2], []float64{1, 1, 1}, torchtest.Exact)
			torchtest.Equal(t, "input", outputs[3], in, torchtest.Exact)
		}
		g.Replay()
		want(16+2*25+3*36, []float64{8, 20, 36}, []float64{1, 2, 3})

		x.CopyInPlace(vector(s, 2, 0, 1))
		want(16+2*25+3*36, []float64{8, 20, 36}, []float64{1, 2, 3}) // an output changes in a replay alone
		total := sum.Item()
		for range 2 {
			g.Replay()
			want(2*16+36, []float64{16, 0, 12}, []float64{2, 0, 1})
		}
		torchtest.Equal(t, "what fn changes in place", sum, []float64{total + 2*(2*16+36)}, torchtest.Float64)
		if !slices.Equal(g.Outputs(), outputs) {
			t.Error("a replay gave other tensors than the first")
		}
		live := torchbind.Live()
		g.Replay()
		if n := torchbind.Live() - live; n != 0 {
			t.Errorf("a replay left %d tensors", n)
		}
		g.Close()
		g.Close()
		wantError(t, "replay: graph is closed", func(*torchbind.Scope) { g.Replay() })
		wantError(t, "mul: tensor was used after its scope was closed", func(s *torchbind.Scope) { torchbind.Mul(s, outputs[0], outputs[0]) })
	})
}

func TestCaptureRefusesTheHost(t *testing.T) {
	torchtest.Run(t, func(s *torchbind.Scope) {
		x, y, one := vector(s, 1, 2), vector(s, 3, 4), vector(s, 1)
		read := torchbind.ReadLater(s, []*torchbind.Tensor{one})
		done := capture(t, func(s *torchbind.Scope) []*torchbind.Tensor { return []*torchbind.Tensor{torchbind.Mul(s, x, y)} })
		defer done.Close()

		const refused, another = "not while a graph is being captured: a replay would not do it again", "another graph is being captured"
		tests := []struct {
			name, want string
			fn         func(s *torchbind.Scope)
		}{
			{"Item", "item: " + refused, func(*torchbind.Scope) { one.Item() }},
			{"Float32s", "copy_to_host: " + refused, func(*torchbind.Scope) { x.Float32s() }},
			{"Float64s", "copy_to_host: " + refused, func(*torchbind.Scope) { x.Float64s() }},
			{"Int64s", "copy_to_host: " + refused, func(*torchbind.Scope) { x.Int64s() }},
			{"Bytes", "copy_to_host: " + refused, func(*torchbind.Scope) { x.Bytes() }},
			{"ForeachNorm", "_foreach_norm: " + refused, func(*torchbind.Scope) { torchbind.ForeachNorm([]*torchbind.Tensor{x}) }},
			{"ReadLater", "read_later: " + refused, func(s *torchbind.Scope) { torchbind.ReadLater(s, []*torchbind.Tensor{one}) }},
			{"what ReadLater returned", "read_later: " + refused, func(*torchbind.Scope) { read() }},
			{"FromSlice", "from_data: " + refused, func(s *torchbind.Scope) { vector(s, 1) }},
			{"FromBytes", "from_data: " + refused, func(s *torchbind.Scope) {
				torchbind.FromBytes(s, make([]byte, 8), torchbind.Int64, []int64{1}, torchbind.CPU)
			}},
			{"SeedDropout", "manual_seed: " + refused, func(*torchbind.Scope) { torchbind.SeedDropout(torchbind.CPU, 1) }},
			{"Synchronize", "synchronize: " + refused, func(*torchbind.Scope) { torchbind.Synchronize(torchbind.CPU) }},
			{"EmptyCache", "empty_cache: " + refused, func(*torchbind.Scope) { torchbind.EmptyCache(torchbind.CPU) }},
			{"Replay", "replay: " + another, func(*torchbind.Scope) { done.Replay() }},
			{"Capture", "capture: " + another, func(*torchbind.Scope) {
				g, err := torchbind.Capture(torchbind.CPU, func(*torchbind.Scope) []*torchbind.Tensor { return nil })
				if err != nil {
					panic(err)
				}
				g.Close()
			}},
		}
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				before := torchbind.Live()
				g, err := torchbind.Capture(torchbind.CPU, func(s *torchbind.Scope) []*torchbind.Tensor {
					z := torchbind.Add(s, x, y)
					tt.fn(s)
					return []*torchbind.Tensor{z}
				})
				var e *torchbind.Error
				if g != nil || !errors.As(err, &e) || err.Error() != "torch "+tt.want {
					t.Errorf("graph %v and error %v, want %q", g, err, "torch "+tt.want)
				}
				if n := torchbind.Live() - before; n != 0 {
					t.Errorf("%d tensors are left of the capture", n)
				}
				s.Do(func(s *torchbind.Scope) error {
					tt.fn(s) // after it, all is allowed again
					return nil
				})
			})
		}
	})
}

func TestCopiesToAnotherDeviceInACapture(t *testing.T) {
	torchtest.Run(t, func(s *torchbind.Scope) {
		x := vector(s, 1)
		_, err := torchbind.Capture(torchbind.CPU, func(s *torchbind.Scope) []*torchbind.Tensor {
			torchbind.To(s, x, torchbind.Float32, torchbind.CPU) // stays where it is
			x.CopyInPlace(x)
			return []*torchbind.Tensor{torchbind.To(s, x, torchbind.Float64, 0)}
		})
		if want := "torch to: not while a graph is being captured"; err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	})
}

func TestReplayRefusesOtherShapes(t *testing.T) {
	torchtest.Run(t, func(s *torchbind.Scope) {
		x := vector(s, 1, 2, 3)
		results := func(s *torchbind.Scope) []*torchbind.Tensor { return []*torchbind.Tensor{torchbind.Mul(s, x, x)} }
		g := capture(t, func(s *torchbind.Scope) []*torchbind.Tensor { return results(s) })
		defer g.Close()
		for want, change := range map[string]func(s *torchbind.Scope) []*torchbind.Tensor{
			"output 0 is float64 [2], was float64 [3] when the graph was captured": func(s *torchbind.Scope) []*torchbind.Tensor {
				return []*torchbind.Tensor{torchbind.Narrow(s, x, 0, 0, 2)}
			},
			"output 0 is float32 [3], was float64 [3] when the graph was captured": func(s *torchbind.Scope) []*torchbind.Tensor {
				return []*torchbind.Tensor{torchbind.To(s, x, torchbind.Float32, torchbind.CPU)}
			},
			"lists of 1 and 0 tensors": func(*torchbind.Scope) []*torchbind.Tensor { return nil },
		} {
			results = change
			wantError(t, "replay: "+want, func(*torchbind.Scope) { g.Replay() })
		}
	})
}

func TestPanicInACapture(t *testing.T) {
	torchtest.Run(t, func(s *torchbind.Scope) {
		x := vector(s, 1)
		before := torchbind.Live()
		func() {
			defer func() {
				if r := recover(); r != "stop" {
					t.Errorf("recovered %v, want stop", r)
				}
			}()
			torchbind.Capture(torchbind.CPU, func(s *torchbind.Scope) []*torchbind.Tensor {
				torchbind.Mul(s, x, x)
				panic("stop")
			})
		}()
		if n := torchbind.Live() - before; n != 0 {
			t.Errorf("%d tensors are left of the capture", n)
		}
		torchtest.Equal(t, "read after the panic", x, []float64{1}, torchtest.Exact)
	})
}

func TestReadLater(t *testing.T) {
	torchtest.Run(t, func(s *torchbind.Scope) {
		x, big := vector(s, 0.1), ids(s, 1<<53)
		half := torchbind.To(s, vector(s, 0.5), torchbind.Float32, torchbind.CPU)
		read := torchbind.ReadLater(s, []*torchbind.Tensor{x, torchbind.Reshape(s, big, 1, 1), half})
		x.CopyInPlace(vector(s, 7)) // too late
		for range 2 {
			if got := read(); !slices.Equal(got, []float64{0.1, 1 << 53, 0.5}) {
				t.Errorf("read %v", got)
			}
		}
		if got := torchbind.ReadLater(s, nil)(); len(got) != 0 {
			t.Errorf("read %v of no tensors", got)
		}
		wantError(t, "read_later: tensor of shape [2], want one element", func(s *torchbind.Scope) {
			torchbind.ReadLater(s, []*torchbind.Tensor{vector(s, 1, 2)})
		})
		var late func() []float64
		s.Do(func(s *torchbind.Scope) error {
			late = torchbind.ReadLater(s, []*torchbind.Tensor{x})
			return nil
		})
		wantError(t, "read_later: tensor was used after its scope was closed", func(*torchbind.Scope) { late() })
	})
}
