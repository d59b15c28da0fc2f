package autolora

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"autolora/data"
	"autolora/nn"
	"autolora/nn/safetensors"
	"autolora/torchbind"
	"autolora/torchbind/torchtest"
)

// The reference of these tests is testdata/nn/make_search.py: the search
// (docs/method.md, "One search iteration") written a second time in plain PyTorch
// on transformers' BERT.

const (
	keyPrefix    = "base_model.model." // PEFT's, before the names of W
	tolExact     = 1e-9                // float64 against float64, relative to the largest number
	tolSingle    = 2e-4                // a hypergradient in float32, likewise: second derivatives lose digits
	searchK      = 4
	searchLayers = 4
)

func fixturePath(name string) string { return filepath.Join("..", "testdata", "nn", name) }

type fixture struct {
	t *testing.T
	*safetensors.File
}

func openFixture(t *testing.T, name string) fixture {
	t.Helper()
	f, err := safetensors.Open(fixturePath(name + ".safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return fixture{t, f}
}

// tensor returns a fixture's tensor in s.
func (f fixture) tensor(s *torchbind.Scope, name string) *torchbind.Tensor {
	f.t.Helper()
	x, ok := f.Tensor(name)
	if !ok {
		f.t.Fatalf("the fixture has no %q", name)
	}
	types := map[safetensors.DType]torchbind.DType{safetensors.I64: torchbind.Int64, safetensors.F32: torchbind.Float32, safetensors.F64: torchbind.Float64}
	return torchbind.FromBytes(s, x.Data, types[x.DType], x.Shape, torchbind.CPU)
}

func (f fixture) floats(s *torchbind.Scope, name string) []float64 {
	f.t.Helper()
	return f.tensor(s, name).Float64s()
}

// texts returns the padded batch under prefix, packed, without labels.
func (f fixture) texts(s *torchbind.Scope, prefix string) *data.Batch {
	f.t.Helper()
	ids, segments := f.tensor(s, prefix+".ids"), f.tensor(s, prefix+".segments").Int64s()
	flat, width := ids.Int64s(), ids.Size(1)
	var seqs data.Batch
	for i, n := range f.tensor(s, prefix+".lengths").Int64s() {
		at := int64(i) * width
		seqs.IDs = append(seqs.IDs, flat[at:at+n]...)
		seqs.Segments = append(seqs.Segments, segments[at:at+n]...)
		seqs.Lengths, seqs.Index = append(seqs.Lengths, int(n)), append(seqs.Index, i)
	}
	if _, ok := f.Tensor(prefix + ".want"); ok {
		seqs.Want = f.tensor(s, prefix+".want").Int64s()
		for _, n := range f.tensor(s, prefix+".want_per").Int64s() {
			seqs.WantPer = append(seqs.WantPer, int(n))
		}
	}
	return &seqs
}

// batch returns the texts under prefix with their labels.
func (f fixture) batch(s *torchbind.Scope, m *nn.Model, prefix string) *Batch {
	f.t.Helper()
	seqs := f.texts(s, prefix)
	if labels := f.tensor(s, prefix+".labels"); m.Output == nn.Regression {
		seqs.Values = labels.Float64s()
	} else {
		seqs.Labels = labels.Int64s()
	}
	b, err := NewBatch(s, m, seqs)
	if err != nil {
		f.t.Fatal(err)
	}
	return b
}

// near fails unless got is want to tolerance, relative to want's largest number.
func near(t *testing.T, name string, got, want []float64, tolerance float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: %d values, want %d", name, len(got), len(want))
		return
	}
	scale, worst, at := 1e-30, 0.0, 0
	for _, w := range want {
		scale = max(scale, math.Abs(w))
	}
	for i := range want {
		if d := math.Abs(got[i]-want[i]) / scale; !(d <= worst) {
			worst, at = d, i
		}
	}
	if !(worst <= tolerance) {
		t.Errorf("%s: element %d is %v, want %v (difference %.2g of %.3g, tolerance %g)", name, at, got[at], want[at], worst, scale, tolerance)
	}
}

// newReferenceSearch returns the search of the fixtures at its start: W of the
// adapter bert-tiny-lora and its head, a as given.
func newReferenceSearch(t *testing.T, s *torchbind.Scope, dtype torchbind.DType, form AlphaForm, start []float64, cfg SearchConfig) *Search {
	t.Helper()
	return newSearchBy(t, s, dtype, form, start, cfg, Execution{Seed: 1, GradientCheckpointing: recomputing})
}

// newSearchBy is newReferenceSearch, computed in another way.
func newSearchBy(t *testing.T, s *torchbind.Scope, dtype torchbind.DType, form AlphaForm, start []float64, cfg SearchConfig, how Execution) *Search {
	t.Helper()
	model, err := nn.Load(fixturePath("bert-tiny"), nn.LoadConfig{Labels: 3, Head: nn.HeadStored, DType: dtype, Device: torchbind.CPU})
	if err != nil {
		t.Fatal(err)
	}
	cfg.K, cfg.Form, cfg.AdamW, cfg.AdamWA = searchK, form, AdamW(0.01), AdamW(0)
	cfg.LRWeights, cfg.LRAlpha = 1e-3, 1e-2
	if cfg.Scale == 0 {
		cfg.Scale = 1
	}
	x, err := NewSearch(model, nn.LoRAConfig{Targets: []string{"query", "value"}, Alpha: 8}, cfg, how)
	if err != nil {
		t.Fatal(err)
	}
	weights := openFixture(t, "bert-tiny-lora/adapter_model")
	for _, p := range x.weights {
		torchbind.NoGrad(func() { p.Value.CopyInPlace(weights.tensor(s, keyPrefix+p.Name)) })
	}
	torchbind.NoGrad(func() {
		x.a.CopyInPlace(torchbind.FromSlice(s, start, []int64{searchLayers, searchK}, torchbind.CPU))
	})
	return x
}

// run runs fn on the thread of libtorch, and makes sure that it leaves no tensor.
var run = torchtest.Run

var referenceForms = []struct {
	name  string
	form  AlphaForm
	scale float64
}{{"softmax", Softmax, 1}, {"softmax-uniform", Softmax, 1}, {"softmax-scaled", Softmax, searchK}, {"none", Free, 1}, {"sigmoid", Sigmoid, 1}}

// hypergradient returns the parts of one iteration on t.0 and v.0.
func (x *Search) hypergradient(s *torchbind.Scope, t, v *Batch) (lossT, lossV float64, g, ahead, u, d, implicit []*torchbind.Tensor) {
	masks := x.dropout.State
	train := x.training(s, t, x.Mode == Exact)
	ahead, scale := x.lookAhead(s, train.g)
	val, u, d := x.validation(s, ahead, v)
	return train.loss.Item(), val.Item(), train.g, ahead, u, d, x.implicit(s, train, u, ahead, scale, t, masks)
}

// One iteration, every part of it, in all modes, look-aheads and forms.
func TestHypergradientAgainstPyTorch(t *testing.T) {
	inputs := openFixture(t, "search-inputs")
	for _, form := range referenceForms {
		want := openFixture(t, "search-"+form.name)
		for _, ahead := range LookAheads {
			for _, eta := range []float64{0.05, 0.01} {
				for _, mode := range Modes {
					for _, dtype := range []torchbind.DType{torchbind.Float64, torchbind.Float32} {
						name := fmt.Sprintf("%s/%s-%v/%s/%s", form.name, ahead, eta, mode, dtype)
						t.Run(name, func(t *testing.T) {
							run(t, func(s *torchbind.Scope) {
								x := newReferenceSearch(t, s, dtype, form.form, want.floats(s, "a"), SearchConfig{Scale: form.scale, Mode: mode, LookAhead: ahead, Eta: eta})
								defer x.model.Close()
								checkIteration(t, s, x, inputs, want, fmt.Sprintf("%s-%v", ahead, eta))
							})
						})
					}
				}
			}
		}
	}
}

// giveMoments makes W's optimiser one that has taken three steps.
func (x *Search) giveMoments(s *torchbind.Scope, inputs fixture) {
	for i, p := range x.weights {
		x.optim.M[i].CopyInPlace(inputs.tensor(s, "moment1."+keyPrefix+p.Name))
		x.optim.V[i].CopyInPlace(inputs.tensor(s, "moment2."+keyPrefix+p.Name))
	}
	x.optim.Step = 3
}

func checkIteration(t *testing.T, s *torchbind.Scope, x *Search, inputs, want fixture, lookAhead string) {
	t.Helper()
	x.giveMoments(s, inputs)
	lossT, lossV, g, ahead, u, d, implicit := x.hypergradient(s, inputs.batch(s, x.model, "t.0"), inputs.batch(s, x.model, "v.0"))
	suffix, tolerance := "", tolExact
	if x.model.DType() == torchbind.Float32 {
		suffix, tolerance = ".f32", tolSingle
	}
	near(t, "training loss", []float64{lossT}, want.floats(s, "train_loss"+suffix), tolerance)
	if x.Mode == FirstOrder {
		near(t, "h", d[0].Float64s(), want.floats(s, "first-order.h"+suffix), tolerance)
		near(t, "validation loss", []float64{lossV}, want.floats(s, "first-order.val_loss"+suffix), tolerance)
		return
	}
	near(t, "validation loss", []float64{lossV}, want.floats(s, lookAhead+".val_loss"+suffix), tolerance)
	near(t, "d", d[0].Float64s(), want.floats(s, lookAhead+".d"+suffix), tolerance)
	part, tolImplicit := ".implicit", tolerance
	if x.Mode == FiniteDifference {
		part = ".fd.implicit"
		if suffix != "" {
			tolImplicit = 0.05 // of two nearly equal float32 gradients' difference
		}
	}
	torchbind.ForeachMulScalarInPlace(implicit, -x.Eta)
	near(t, "implicit part", implicit[0].Float64s(), want.floats(s, lookAhead+part+suffix), tolImplicit)
	if suffix != "" {
		return
	}
	for i, p := range x.weights {
		near(t, "g of "+p.Name, g[i].Float64s(), want.floats(s, "g."+keyPrefix+p.Name), tolerance)
		if strings.HasSuffix(lookAhead, "0.05") {
			near(t, "W' of "+p.Name, ahead[i].Float64s(), want.floats(s, lookAhead+".w."+keyPrefix+p.Name), tolerance)
			near(t, "u of "+p.Name, u[i].Float64s(), want.floats(s, lookAhead+".u."+keyPrefix+p.Name), tolerance)
		}
	}
}

// Whole iterations: five updates of a, with W and a moved by AdamW.
func TestSearchStepsAgainstPyTorch(t *testing.T) {
	inputs, want := openFixture(t, "search-inputs"), openFixture(t, "search-steps")
	names := make(map[string]bool)
	for _, name := range want.Names() {
		if run, ok := strings.CutSuffix(name, ".train_loss"); ok {
			names[run] = true
		}
	}
	if len(names) < 6 {
		t.Fatalf("%d runs in the fixture", len(names))
	}
	for name := range names {
		t.Run(name, func(t *testing.T) {
			run(t, func(s *torchbind.Scope) {
				cfg := SearchConfig{Mode: Exact, LookAhead: SGD, Eta: 0.05, Unroll: 1}
				formName, rest, _ := strings.Cut(name, ".")
				switch {
				case strings.HasSuffix(rest, ".fd"):
					cfg.Mode = FiniteDifference
				case strings.HasSuffix(rest, ".first-order"):
					cfg.Mode = FirstOrder
				case strings.HasSuffix(rest, ".unroll-2"):
					cfg.Unroll = 2
				}
				if strings.HasPrefix(rest, "adam") {
					cfg.LookAhead = Adam
				}
				if strings.Contains(rest, "0.01") {
					cfg.Eta = 0.01
				}
				form := map[string]AlphaForm{"softmax": Softmax, "softmax-uniform": Softmax, "none": Free, "sigmoid": Sigmoid}[formName]
				x := newReferenceSearch(t, s, torchbind.Float64, form, openFixture(t, "search-"+formName).floats(s, "a"), cfg)
				defer x.model.Close()
				checkSteps(t, s, x, inputs, want, name)
			})
		})
	}
}

// checkSteps takes the iterations of one of want's runs.
func checkSteps(t *testing.T, s *torchbind.Scope, x *Search, inputs, want fixture, name string) {
	t.Helper()
	var trainLosses, valLosses []float64
	for i := range want.tensor(s, name+".train_loss").Size(0) {
		update := (int(i)+1)%x.Unroll == 0
		v := fmt.Sprintf("v.%d", int(i)/x.Unroll)
		step := x.Iterate(s, inputs.batch(s, x.model, fmt.Sprintf("t.%d", i)), inputs.batch(s, x.model, v), update)
		trainLosses = append(trainLosses, step.TrainLoss)
		if update {
			valLosses = append(valLosses, step.ValLoss)
		}
	}
	tolerance := 1e-8 // AdamW's division magnifies rounding in the first steps
	near(t, "training losses", trainLosses, want.floats(s, name+".train_loss"), tolerance)
	near(t, "validation losses", valLosses, want.floats(s, name+".val_loss"), tolerance)
	near(t, "a", torchbind.Detach(s, x.a).Float64s(), want.floats(s, name+".a"), tolerance)
	for _, p := range x.weights {
		near(t, p.Name, torchbind.Detach(s, p.Value).Float64s(), want.floats(s, name+".w."+keyPrefix+p.Name), tolerance)
	}
}

// What one iteration computes is what docs/method.md says that it costs
// ("Hypergradient modes").
func TestWork(t *testing.T) {
	inputs := openFixture(t, "search-inputs")
	start := openFixture(t, "search-softmax").floats
	for _, c := range []struct {
		name              string
		cfg               SearchConfig
		updateA           bool
		forward, backward int64
		validations       int64 // forwards among them that are of v
	}{
		{"exact", SearchConfig{Mode: Exact}, true, 2, 3, 1},
		{"exact without a", SearchConfig{Mode: Exact}, false, 1, 1, 0},
		{"fd", SearchConfig{Mode: FiniteDifference}, true, 4, 4, 1},
		{"first-order", SearchConfig{Mode: FirstOrder}, true, 2, 2, 1},
		{"exact at W'", SearchConfig{Mode: Exact, At: AtLookAhead}, true, 3, 4, 1},
		{"alpha first", SearchConfig{Mode: Exact, Order: AlphaFirst}, true, 3, 4, 1},
		{"alpha first without a", SearchConfig{Mode: Exact, Order: AlphaFirst}, false, 1, 1, 0},
		{"published", SearchConfig{Mode: FiniteDifference, LookAhead: Adam, At: AtLookAhead, Factor: 1, Order: AlphaFirst}, true, 5, 5, 1},
		{"exact, checkpointing", SearchConfig{Mode: Exact}, true, 6, 5, 2},
		{"fd, checkpointing", SearchConfig{Mode: FiniteDifference}, true, 8, 4, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			run(t, func(s *torchbind.Scope) {
				c.cfg.Eta = 0.05
				how := Execution{Seed: 1, GradientCheckpointing: strings.HasSuffix(c.name, "checkpointing")}
				x := newSearchBy(t, s, torchbind.Float64, Softmax, start(s, "a"), c.cfg, how)
				defer x.model.Close()
				bt, bv := inputs.batch(s, x.model, "t.0"), inputs.batch(s, x.model, "v.2")
				x.Iterate(s, bt, bv, true) // work is counted anew in every iteration
				tokens := (c.forward-c.validations)*int64(bt.Tokens) + c.validations*int64(bv.Tokens)
				want := Work{Tokens: tokens, Forward: c.forward, Backward: c.backward}
				if got := x.Iterate(s, bt, bv, c.updateA).Work; got != want {
					t.Errorf("work %+v, want %+v", got, want)
				}
			})
		})
	}
}

// With alpha-first a loss that is not finite at the new a is seen at once, and
// the weights before it are there to go back to.
func TestAlphaFirstDivergence(t *testing.T) {
	inputs := openFixture(t, "search-inputs")
	run(t, func(s *torchbind.Scope) {
		x := newReferenceSearch(t, s, torchbind.Float64, Free, slices.Repeat([]float64{1}, searchLayers*searchK), SearchConfig{Mode: Exact, Eta: 0.05, Order: AlphaFirst})
		defer x.model.Close()
		var before [][]float64
		for _, p := range x.weights {
			before = append(before, torchbind.Detach(s, p.Value).Float64s())
		}
		x.LRAlpha = math.Inf(1)
		step := x.Iterate(s, inputs.batch(s, x.model, "t.0"), inputs.batch(s, x.model, "v.0"), true)
		if step.Finite() || !Finite(step.ValLoss) || !strings.Contains(step.Trouble(), "training loss") {
			t.Errorf("step %+v: %s", step, step.Trouble())
		}
		if good := x.Revert(); good != 0 {
			t.Errorf("the last good step is %d, want 0", good)
		}
		for i, p := range x.weights {
			near(t, p.Name, torchbind.Detach(s, p.Value).Float64s(), before[i], 0)
		}
	})
}

// The search's LoRA layers have its own dropout.
func TestSearchLoRADropout(t *testing.T) {
	run(t, func(s *torchbind.Scope) {
		x := newReferenceSearch(t, s, torchbind.Float64, Softmax, make([]float64, searchLayers*searchK), SearchConfig{LoRADropout: 0.25})
		defer x.model.Close()
		for _, l := range x.model.LoRAs() {
			if l.Dropout != 0.25 {
				t.Errorf("%s: dropout %v, want 0.25", l.Module, l.Dropout)
			}
		}
	})
}

// A thousand iterations take no more memory than two hundred.
func TestSearchMemoryIsFlat(t *testing.T) {
	if testing.Short() {
		t.Skip("long")
	}
	run(t, func(s *torchbind.Scope) {
		defer torchbind.SetNumThreads(torchbind.NumThreads())
		torchbind.SetNumThreads(1) // of so small a model; two would wait for each other
		inputs := openFixture(t, "search-inputs")
		start := make([]float64, searchLayers*searchK)
		x := newReferenceSearch(t, s, torchbind.Float32, Softmax, start, SearchConfig{Mode: Exact, LookAhead: SGD, Eta: 0.05, Unroll: 1})
		defer x.model.Close()
		var early, live int64
		for i := range 1000 {
			err := s.Do(func(s *torchbind.Scope) error {
				x.Iterate(s, inputs.batch(s, x.model, fmt.Sprintf("t.%d", i%6)), inputs.batch(s, x.model, fmt.Sprintf("v.%d", i%6)), true)
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if i == 200 {
				early, live = residentBytes(t), torchbind.Live()
			}
		}
		// One iteration of this model makes about 2 MB of tensors: a leak of a
		// hundredth of them would show as 16 MB.
		if grown := residentBytes(t) - early; grown > 10<<20 {
			t.Errorf("resident memory grew by %d MB over 800 iterations", grown>>20)
		}
		if n := torchbind.Live(); n != live {
			t.Errorf("%d live tensors, %d after 200 iterations", n, live)
		}
	})
}

func residentBytes(t *testing.T) int64 {
	t.Helper()
	data, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Skip("no /proc/self/statm")
	}
	var size, resident int64
	if _, err := fmt.Sscan(string(data), &size, &resident); err != nil {
		t.Fatal(err)
	}
	return resident * int64(os.Getpagesize())
}
