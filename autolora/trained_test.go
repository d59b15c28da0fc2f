package autolora

import (
	"math"
	"slices"
	"testing"

	"autolora/nn"
	"autolora/torchbind"
)

// tolRotated bounds what two singular value decompositions in float64 change of sums
// of some tens of terms.
const tolRotated = 1e-12

// withAdapter loads a fixture's model with an adapter of PEFT, in float64.
func withAdapter(t *testing.T, model, adapter string, cfg nn.LoadConfig) *nn.Model {
	t.Helper()
	cfg.DType, cfg.Device = torchbind.Float64, torchbind.CPU
	m, err := nn.Load(fixturePath(model), cfg)
	if err == nil {
		err = m.LoadAdapter(fixturePath(adapter))
	}
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// tinyAdapters are adapters of one rank on every linear layer, and of several ranks.
var tinyAdapters = []string{"bert-tiny-all-linear", "bert-tiny-lora-ranks"}

func withTinyAdapter(t *testing.T, adapter string) *nn.Model {
	t.Helper()
	return withAdapter(t, "bert-tiny", adapter, nn.LoadConfig{Labels: 3, Head: nn.HeadFresh, Seed: 1})
}

// Trained leaves every ΔW as it was, in orthogonal parts whose squared norms are what
// they are worth; leaving one out changes ΔW by that much.
func TestTrained(t *testing.T) {
	for _, adapter := range tinyAdapters {
		t.Run(adapter, func(t *testing.T) {
			run(t, func(s *torchbind.Scope) {
				m := withTinyAdapter(t, adapter)
				defer m.Close()
				var before [][]float64
				m.LoRAs()[1].Alpha *= -1
				for _, l := range m.LoRAs() {
					before = append(before, l.Delta(s).Float64s())
				}
				worth, err := Trained(m)
				if err != nil {
					t.Fatal(err)
				}
				for i, l := range m.LoRAs() {
					near(t, l.Module, l.Delta(s).Float64s(), before[i], tolRotated)
					if !slices.IsSortedFunc(worth[i], func(a, b float64) int { return int(math.Copysign(1, b-a)) }) || len(worth[i]) != int(l.Rank) {
						t.Errorf("%s: worth %v of %d parts", l.Module, worth[i], l.Rank)
					}
					checkSingular(t, s, l, worth[i])
				}
				keep := make([][]bool, len(worth))
				var want []float64
				for i, row := range worth {
					keep[i] = slices.Repeat([]bool{true}, len(row))
					keep[i][len(row)-1] = len(row) == 1
					if len(row) > 1 {
						want = append(want, row[len(row)-1])
					}
				}
				m.Keep(keep)
				var got []float64
				for i, l := range m.LoRAs() {
					if len(worth[i]) == 1 {
						continue
					}
					square := 0.0
					for k, v := range l.Delta(s).Float64s() {
						square += (v - before[i][k]) * (v - before[i][k])
					}
					got = append(got, square)
				}
				near(t, "what is lost", got, want, 1e-9)
			})
		})
	}
}

// checkSingular compares the products AᵀA and BBᵀ of a layer's factors with σ/s on the
// diagonal.
func checkSingular(t *testing.T, s *torchbind.Scope, l *nn.LoRA, worth []float64) {
	t.Helper()
	want := make([]float64, l.Rank*l.Rank)
	for j, w := range worth {
		want[j*int(l.Rank+1)] = math.Sqrt(w) / math.Abs(l.Scale())
	}
	a, b := l.A.Value, l.B.Value
	near(t, l.Module+": A Aᵀ", torchbind.MatMul(s, a, torchbind.Transpose(s, a, 0, 1)).Float64s(), want, 1e-10)
	near(t, l.Module+": Bᵀ B", torchbind.MatMul(s, torchbind.Transpose(s, b, 0, 1), b).Float64s(), want, 1e-10)
}

// A layer may have more parts than its matrix has dimensions, or none at all; and a
// broken one is an error.
func TestTrainedAtTheEdges(t *testing.T) {
	run(t, func(s *torchbind.Scope) {
		m := withTinyAdapter(t, "bert-tiny-all-linear")
		defer m.Close()
		l := m.LoRAs()[0]
		wide := func(p *nn.Param, shape ...int64) {
			data := make([]float64, shape[0]*shape[1])
			for i := range data {
				data[i] = math.Sin(float64(7*i + 1))
			}
			p.Shape, p.Value = shape, torchbind.FromSlice(s, data, shape, torchbind.CPU)
		}
		wide(l.A, 40, 32)
		wide(l.B, 32, 40)
		l.Rank = 40
		before := l.Delta(s).Float64s()
		m.LoRAs()[1].Alpha = 0
		m.LoRAs()[2].B.Value = torchbind.ZerosLike(s, m.LoRAs()[2].B.Value)
		worth, err := Trained(m)
		if err != nil {
			t.Fatal(err)
		}
		near(t, "rank 40 of 32", l.Delta(s).Float64s(), before, tolRotated)
		if tail := worth[0][32:]; slices.Max(tail) != 0 || len(worth[0]) != 40 || slices.Max(worth[1]) != 0 || slices.Max(worth[2]) != 0 {
			t.Errorf("worth %v, %v, %v", tail, worth[1], worth[2])
		}
		m.LoRAs()[3].A.Value = torchbind.MulScalar(s, m.LoRAs()[3].A.Value, math.NaN())
		want := m.LoRAs()[3].Module + ": its update has no singular values: the adapter's weights are broken"
		if _, err := Trained(m); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	})
}
