package nn

import (
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"

	"autolora/nn/adapterhub"
	"autolora/nn/peft"
	"autolora/nn/safetensors"
	"autolora/torchbind"
	"autolora/torchbind/torchtest"
)

var bottleneckCases = []struct {
	base, adapter string
	style         adapterhub.Style
	labels        int64
	regression    bool
}{
	{"bert-tiny", "bert-tiny-houlsby", Houlsby, 3, false},
	{"bert-tiny", "bert-tiny-pfeiffer", Pfeiffer, 3, false},
	{"roberta-tiny", "roberta-tiny-houlsby", Houlsby, 2, false},
	{"roberta-tiny", "roberta-tiny-pfeiffer", Pfeiffer, 2, false},
	{"bert-tiny-tokens", "bert-tiny-tokens-houlsby", Houlsby, 5, false},
	{"bert-tiny-regression", "bert-tiny-regression-pfeiffer", Pfeiffer, 1, true},
}

// Adapters written by AdapterHub: logits, loss, every gradient and ten steps.
func TestBottlenecksAgainstAdapterHub(t *testing.T) {
	for _, c := range bottleneckCases {
		for _, dtype := range []torchbind.DType{torchbind.Float32, torchbind.Float64} {
			t.Run(c.adapter+"/"+dtype.String(), func(t *testing.T) {
				run(t, func(s *torchbind.Scope) {
					m := loadAdapted(t, c.base, testdata(c.adapter), c.labels, c.regression, dtype)
					defer m.Close()
					want := openFixture(t, "expected-"+c.adapter)
					checkTraining(t, s, m, want, want, "")
				})
			})
		}
	}
}

// The gradients of the loss with respect to every weight of the adapters, along a
// random direction each.
func TestBottleneckDifferences(t *testing.T) {
	for _, c := range bottleneckCases[3:] {
		t.Run(c.adapter, func(t *testing.T) {
			torchtest.Run(t, func(s *torchbind.Scope) {
				m := loadAdapted(t, c.base, testdata(c.adapter), c.labels, c.regression, torchbind.Float64)
				defer m.Close()
				seqs, labels := openFixture(t, "expected-"+c.base).sequences("batch")
				b, y := batchOf(t, s, m, seqs, labels)
				checkDifferences(t, s, m.AdapterParams(), func(s *torchbind.Scope) *torchbind.Tensor { return m.Loss(s, b, y, nil) })
			})
		})
	}
}

// checkDifferences compares the gradients of a loss with central differences, for each
// of the weights along a random direction, in which an error does not cancel by chance.
func checkDifferences(t *testing.T, s *torchbind.Scope, params []*Param, loss func(s *torchbind.Scope) *torchbind.Tensor) {
	t.Helper()
	rng := rand.New(rand.NewPCG(3, 5))
	var directions []*torchbind.Tensor
	for _, p := range params {
		v := make([]float64, p.Value.NumEl())
		for i := range v {
			v[i] = rng.NormFloat64()
		}
		directions = append(directions, torchbind.FromSlice(s, v, p.Value.Shape(), torchbind.CPU))
	}
	torchtest.GradCheck(t, func(s *torchbind.Scope, in []*torchbind.Tensor) (l *torchbind.Tensor) {
		var moved []*torchbind.Tensor
		for i, p := range params {
			by := torchbind.Mul(s, torchbind.Narrow(s, in[0], 0, int64(i), 1), directions[i])
			moved = append(moved, torchbind.Add(s, torchbind.Detach(s, p.Value), by))
		}
		At(params, moved, func() { l = loss(s) })
		return l
	}, []*torchbind.Tensor{torchbind.FromSlice(s, make([]float64, len(params)), []int64{int64(len(params))}, torchbind.CPU)})
}

// With up-projections of zero an adapter changes nothing, under dropout too: its
// mask is that of the block.
func TestZeroBottlenecksAreTheBase(t *testing.T) {
	p := 0.3
	for _, style := range []adapterhub.Style{Houlsby, Pfeiffer} {
		for _, c := range fullCases {
			t.Run(string(style)+"/"+c.name, func(t *testing.T) {
				run(t, func(s *torchbind.Scope) {
					m, err := Load(testdata(c.name), LoadConfig{
						Labels: c.labels, Output: outputOf(c.name, c.regression), Head: HeadStored, Dropout: &p, DType: torchbind.Float64, Device: torchbind.CPU,
					})
					if err != nil {
						t.Fatal(err)
					}
					defer m.Close()
					seqs, _ := openFixture(t, "expected-"+c.name).sequences("batch")
					b, err := m.NewBatch(s, &seqs)
					if err != nil {
						t.Fatal(err)
					}
					logits := func(rng *DropoutRNG) []float64 { return torchbind.Detach(s, m.Logits(s, b, rng)).Float64s() }
					base, dropped := logits(nil), logits(&DropoutRNG{State: 7})
					if err := m.AddBottlenecks(BottleneckConfig{Style: style, Size: 3, Seed: 1}); err != nil {
						t.Fatal(err)
					}
					if slices.Equal(logits(nil), base) {
						t.Error("fresh adapters have no effect")
					}
					torchbind.NoGrad(func() {
						for _, a := range m.Bottlenecks() {
							a.Up.Value.CopyInPlace(torchbind.ZerosLike(s, a.Up.Value))
						}
					})
					near(t, "logits", logits(nil), base, 0)
					near(t, "logits under dropout", logits(&DropoutRNG{State: 7}), dropped, tolerance64) // the dropout is not in the kernel of the norm
				})
			})
		}
	}
}

// What is written and read again gives the same logits.
func TestBottleneckAdapterRoundTrip(t *testing.T) {
	for _, c := range bottleneckCases {
		t.Run(c.adapter, func(t *testing.T) {
			run(t, func(s *torchbind.Scope) {
				m := loadAdapted(t, c.base, testdata(c.adapter), c.labels, c.regression, torchbind.Float64)
				defer m.Close()
				var labels []string
				for i := range c.labels {
					labels = append(labels, string(rune('a'+i)))
				}
				if c.regression {
					labels = nil
				}
				dir := filepath.Join(t.TempDir(), "adapter")
				if err := adapterhub.Write(dir, m.BottleneckAdapter("base", labels), peft.ModelCard{}); err != nil {
					t.Fatal(err)
				}
				again := loadAdapted(t, c.base, dir, c.labels, c.regression, torchbind.Float64)
				defer again.Close()
				want := openFixture(t, "expected-"+c.adapter)
				seqs, _ := want.sequences("batch")
				logits := logitsOf(t, s, &seqs)
				near(t, "logits", logits(m), want.floats("logits"), tolLogits32)
				near(t, "logits of the adapter read again", logits(again), logits(m), tolerance64)
				oneLine(t, m.Write(filepath.Join(t.TempDir(), "merged"), labels, safetensors.F32), "cannot be merged")
			})
		})
	}
}

// Fresh adapters: how many, how large, and drawn how.
func TestAddBottlenecks(t *testing.T) {
	run(t, func(s *torchbind.Scope) {
		for _, c := range []struct {
			style    adapterhub.Style
			size     int64
			adapters int
			want     int64
		}{
			{Houlsby, 0, 4, 1}, {Pfeiffer, 0, 2, 2}, {Houlsby, 20, 4, 20}, {Pfeiffer, 32, 2, 32},
		} {
			m := tiny(t, torchbind.Float32)
			if err := m.AddBottlenecks(BottleneckConfig{Style: c.style, Size: c.size, Seed: 9}); err != nil {
				t.Fatal(err)
			}
			if got := len(m.Bottlenecks()); got != c.adapters {
				t.Errorf("%s: %d adapters, want %d", c.style, got, c.adapters)
			}
			adapter := 2*c.want*m.HiddenSize + c.want + m.HiddenSize
			if got, want := NumEl(m.AdapterParams()), int64(c.adapters)*adapter; got != want {
				t.Errorf("%s of size %d: %d parameters, want %d", c.style, c.size, got, want)
			}
			if got, want := NumEl(m.TrainableParams()), NumEl(m.AdapterParams())+NumEl(m.Head.Params()); got != want {
				t.Errorf("%s: %d trainable parameters, want %d", c.style, got, want)
			}
			var squares, n float64
			for _, p := range m.AdapterParams() {
				for _, v := range torchbind.Detach(s, p.Value).Float64s() {
					if len(p.Shape) == 1 && v != 0 {
						t.Fatalf("%s: bias %s begins at %v", c.style, p.Name, v)
					}
					if len(p.Shape) == 2 {
						squares, n = squares+v*v, n+1
					}
				}
			}
			if std := math.Sqrt(squares / n); math.Abs(std/0.02-1) > 4/math.Sqrt(2*n) { // four standard errors
				t.Errorf("%s: weights have a standard deviation of %v, want 0.02", c.style, std)
			}
			m.Close()
		}
	})
}

func TestBottleneckErrors(t *testing.T) {
	run(t, func(s *torchbind.Scope) {
		m := tiny(t, torchbind.Float32)
		defer m.Close()
		oneLine(t, m.AddBottlenecks(BottleneckConfig{Style: "par_bn"}), `style "par_bn", want double_seq_bn or seq_bn`)
		oneLine(t, m.AddBottlenecks(BottleneckConfig{Style: Houlsby, Size: 33}), "got size 33, want 1 to 32")
		oneLine(t, m.AddBottlenecks(BottleneckConfig{Style: Houlsby, Size: -1}), "got size -1")
		for _, c := range []struct{ adapter, want string }{
			{"roberta-tiny-houlsby", "a RobertaForSequenceClassification of hidden size 24, want BertForSequenceClassification of 32"},
			{"bert-tiny-tokens-houlsby", "a BertForTokenClassification"},
			{"bert-tiny-regression-pfeiffer", "hidden size 16"},
		} {
			oneLine(t, m.LoadAdapter(testdata(c.adapter)), c.want)
		}
		write := func(change func(*adapterhub.Bottlenecks)) string {
			a, err := adapterhub.Read(testdata("bert-tiny-houlsby"))
			if err != nil {
				t.Fatal(err)
			}
			change(a)
			dir := filepath.Join(t.TempDir(), "adapter")
			if err := adapterhub.Write(dir, a, peft.ModelCard{}); err != nil {
				t.Fatal(err)
			}
			return dir
		}
		for _, c := range []struct {
			name, want string
			change     func(*adapterhub.Bottlenecks)
		}{
			{"a block less", `layer.1.output.adapter_up.weight" is missing`, func(a *adapterhub.Bottlenecks) { a.Weights = a.Weights[:15] }},
			{"a block more", `layer.7.output.adapter_up.bias" is not in the model`, func(a *adapterhub.Bottlenecks) {
				more := a.Weights[0]
				more.Name = "bert.encoder.layer.7.output.adapter_up.bias"
				a.Weights = append(a.Weights, more)
			}},
			{"another size", "shape [4 32], want [8 32]", func(a *adapterhub.Bottlenecks) { a.Size = 8 }},
			{"half a head", `"classifier.weight" is missing`, func(a *adapterhub.Bottlenecks) { a.Head = a.Head[:1] }},
			{"another head", "another number of labels", func(a *adapterhub.Bottlenecks) { a.Head[1].Shape = []int64{32, 3} }},
		} {
			fresh := tiny(t, torchbind.Float32)
			err := fresh.LoadAdapter(write(c.change))
			oneLine(t, err, c.want)
			fresh.Close()
		}
		if err := m.AddBottlenecks(BottleneckConfig{Style: Pfeiffer}); err != nil {
			t.Fatal(err)
		}
		oneLine(t, m.AddBottlenecks(BottleneckConfig{Style: Pfeiffer}), "has an adapter already")
	})
}

// Over weights of half the precision an adapter stays float32, and computes the
// same to that precision.
func TestBottlenecksOverBFloat16(t *testing.T) {
	run(t, func(s *torchbind.Scope) {
		m := loadAdapted(t, "bert-tiny", testdata("bert-tiny-pfeiffer"), 3, false, torchbind.BFloat16)
		defer m.Close()
		want := openFixture(t, "expected-bert-tiny-pfeiffer")
		seqs, labels := want.sequences("batch")
		b, y := batchOf(t, s, m, seqs, labels)
		near(t, "logits", m.Logits(s, b, nil).Float64s(), want.floats("logits"), 0.05) // 8 bits
		params := m.AdapterParams()
		for i, g := range torchbind.Grad(s, []*torchbind.Tensor{m.Loss(s, b, y, nil)}, Values(params), nil, false) {
			if g.DType() != torchbind.Float32 {
				t.Errorf("the gradient of %s is %v, want float32", params[i].Name, g.DType())
			}
		}
	})
}
