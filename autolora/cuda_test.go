package autolora

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"autolora/nn"
	"autolora/torchbind"
	"autolora/torchbind/torchtest"
)

// way is how a search is computed.
type way struct {
	device  torchbind.Device
	dtype   torchbind.DType
	dropout float64
	round   bool
	graphs  bool
}

// searchedBy makes so many iterations of the exact search on the fixtures'
// batches, over and over, and returns the losses, the ranks and α.
func searchedBy(t *testing.T, w way, steps int) (losses []float64, ranks []int, alpha []float64) {
	t.Helper()
	inputs := openFixture(t, "search-inputs")
	run(t, func(*torchbind.Scope) {
		m, err := nn.Load(fixturePath("bert-tiny"), nn.LoadConfig{
			Labels: 3, Head: nn.HeadStored, Dropout: &w.dropout, DType: w.dtype, Device: w.device, Round: w.round,
		})
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		how := Execution{Seed: 1}
		if w.graphs {
			how.Graphs = NewGraphs(w.device, func(line string) { t.Error(line) })
			defer how.Graphs.Close()
		}
		x, err := NewSearch(m, nn.LoRAConfig{Targets: []string{"query", "value"}, Alpha: 8}, SearchConfig{
			K: searchK, LoRADropout: w.dropout, Form: Softmax, Scale: 1, Mode: Exact, LookAhead: SGD, Eta: 0.05, Unroll: 1,
			LRWeights: 1e-3, LRAlpha: 1e-2, AdamW: AdamW(0.01), AdamWA: AdamW(0),
		}, how)
		if err != nil {
			t.Fatal(err)
		}
		for i := range steps {
			s := torchbind.NewScope()
			step := x.Iterate(s, inputs.batch(s, m, fmt.Sprintf("t.%d", i%4)), inputs.batch(s, m, fmt.Sprintf("v.%d", (i+1)%4)), true)
			s.Close()
			losses = append(losses, step.TrainLoss, step.ValLoss)
		}
		ranks, alpha = x.Ranks(), slices.Concat(x.Alphas()...)
	})
	return losses, ranks, alpha
}

// agree fails where two searches differ: the losses by more than a share of
// them, or the ranks.
func agree(t *testing.T, got, want way, tolerance float64) {
	t.Helper()
	const steps = 50
	a, ranks, _ := searchedBy(t, got, steps)
	b, wantRanks, alpha := searchedBy(t, want, steps)
	for i := range b {
		if d := math.Abs(a[i]-b[i]) / math.Abs(b[i]); !(d <= tolerance) {
			t.Fatalf("iteration %d: the loss is %v, want %v: %.1e apart", i/2+1, a[i], b[i], d)
		}
	}
	if !slices.Equal(ranks, wantRanks) {
		t.Errorf("ranks %v, want %v of α %.4v", ranks, wantRanks, alpha)
	}
}

// A search on rounded batches, by graphs and without, is that on the batches
// themselves: on the CPU, what a GPU computes but for its kernels. Of float64's
// rounding Adam makes steps of at most 1e-16·100/1e-8 of the rate 1e-2, 50 times.
func TestFiftyIterations(t *testing.T) {
	plain := way{device: torchbind.CPU, dtype: torchbind.Float64}
	agree(t, way{device: torchbind.CPU, dtype: torchbind.Float64, round: true, graphs: true}, plain, 1e-6)
	if losses, _, _ := searchedBy(t, plain, 50); losses[0] == losses[8] {
		t.Error("50 iterations change nothing")
	}
}

// A GPU computes what the CPU does, in float32; dropout, whose masks are others
// there, is off.
func TestCUDASearchAgainstCPU(t *testing.T) {
	device := torchtest.CUDA(t)
	for _, graphs := range []bool{false, true} {
		t.Run(fmt.Sprintf("graphs %v", graphs), func(t *testing.T) {
			agree(t, way{device: device, dtype: torchbind.Float32, round: true, graphs: graphs}, way{device: torchbind.CPU, dtype: torchbind.Float32}, 1e-3)
		})
	}
}

// Graphs give the numbers of steps without, dropout and all: the same kernels in
// the same order, and masks of the same seeds.
func TestCUDAGraphsAgainstSteps(t *testing.T) {
	device := torchtest.CUDA(t)
	for _, dtype := range []torchbind.DType{torchbind.Float32, torchbind.BFloat16} {
		t.Run(dtype.String(), func(t *testing.T) {
			agree(t, way{device: device, dtype: dtype, dropout: 0.1, round: true, graphs: true}, way{device: device, dtype: dtype, dropout: 0.1, round: true}, 1e-6)
		})
	}
}

// bfloat16 has 8 bits: losses of 50 iterations stay within 1 % of float32's, as on the
// CPU, where they are 0.4 % apart.
func TestCUDABFloat16(t *testing.T) {
	device := torchtest.CUDA(t)
	a, _, _ := searchedBy(t, way{device: device, dtype: torchbind.BFloat16, round: true}, 50)
	b, _, _ := searchedBy(t, way{device: device, dtype: torchbind.Float32, round: true}, 50)
	near(t, "losses", a, b, 1e-2)
}
