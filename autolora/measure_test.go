package autolora

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"gonum.org/v1/gonum/mat"

	"autolora/data"
	"autolora/nn"
	"autolora/torchbind"
)

// The reference of these tests is testdata/nn/make_rules.py.

// The largest singular values and vectors are those of gonum's SVD, also of a matrix of
// low rank, one with equal values, and none but zeros.
func TestTopSVD(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	random := func(p, q int) *mat.Dense {
		m := mat.NewDense(p, q, nil)
		m.Apply(func(int, int, float64) float64 { return rng.NormFloat64() }, m)
		return m
	}
	var low, equal mat.Dense
	low.Mul(random(50, 3), random(3, 70))
	equal.CloneFrom(mat.NewDiagDense(40, slices.Repeat([]float64{2}, 40)))
	for name, m := range map[string]*mat.Dense{
		"tall": random(90, 40), "wide": random(30, 200), "small": random(3, 5), "low rank": &low, "equal values": &equal, "zero": mat.NewDense(30, 20, nil),
	} {
		run(t, func(s *torchbind.Scope) {
			const k = 4
			p, q := m.Dims()
			u, sigma, v := topSVD(s, torchbind.FromSlice(s, m.RawMatrix().Data, []int64{int64(p), int64(q)}, torchbind.CPU), k)
			var svd mat.SVD
			svd.Factorize(m, mat.SVDThin)
			want := svd.Values(nil)
			want = want[:min(k, len(want))]
			near(t, name+": values", sigma, want, 1e-7) // of noise, whose values are close to each other
			U, V := mat.NewDense(p, len(sigma), u.Float64s()), mat.NewDense(q, len(sigma), v.Float64s())
			for j, value := range sigma {
				if value < 1e-9 {
					continue
				}
				var image mat.VecDense
				image.MulVec(m, V.ColView(j))
				image.AddScaledVec(&image, -value, U.ColView(j))
				if d := mat.Norm(&image, 2) / sigma[0]; d > 1e-12 {
					t.Errorf("%s: ‖Mv − σu‖ of value %d is %g", name, j, d)
				}
				if n := mat.Norm(V.ColView(j), 2); math.Abs(n-1) > 1e-12 {
					t.Errorf("%s: vector %d has norm %v", name, j, n)
				}
			}
		})
	}
}

// Numbers that are none come out as such.
func TestTopSVDOfBrokenNumbers(t *testing.T) {
	run(t, func(s *torchbind.Scope) {
		_, sigma, _ := topSVD(s, torchbind.FromSlice(s, []float64{1, math.NaN(), 2, 3}, []int64{2, 2}, torchbind.CPU), 1)
		if len(sigma) != 1 || Finite(sigma[0]) {
			t.Errorf("singular values %v", sigma)
		}
	})
}

// measure returns what a rule's measurement of bert-tiny comes to on batches of the
// search's fixtures, and the parameters of one part of each layer.
func measure(t *testing.T, s *torchbind.Scope, rule RankRule, k int, whole bool, first, other []string) (worth [][]float64, costs []int64) {
	t.Helper()
	m, err := nn.Load(fixturePath("bert-tiny"), nn.LoadConfig{Labels: 3, Head: nn.HeadStored, Pack: true, DType: torchbind.Float64, Device: torchbind.CPU})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	x, err := rule.Measure(m, MeasureConfig{LoRA: nn.LoRAConfig{Targets: []string{"all-linear"}, Alpha: 8}, K: k})
	if err != nil {
		t.Fatal(err)
	}
	inputs := openFixture(t, "search-inputs")
	for i, name := range slices.Concat(first, other) {
		_ = s.Do(func(s *torchbind.Scope) error {
			b := inputs.batch(s, m, name)
			if whole {
				b = everyRow(t, s, m, inputs, name)
			}
			if work := x.Observe(s, b, i >= len(first)); work.Forward != 1 || work.Tokens == 0 {
				t.Errorf("work %+v", work)
			}
			return nil
		})
	}
	for _, name := range x.Layers() {
		cost, err := m.RankSize(name)
		if err != nil {
			t.Fatal(err)
		}
		costs = append(costs, cost)
	}
	if worth, err = x.Worth(costs); err != nil {
		t.Fatal(err)
	}
	return worth, costs
}

// everyRow returns a batch whose rows all are wanted, so that the last block computes
// them, as transformers' does.
func everyRow(t *testing.T, s *torchbind.Scope, m *nn.Model, inputs fixture, name string) *Batch {
	t.Helper()
	ids, segments := inputs.tensor(s, name+".ids"), inputs.tensor(s, name+".segments").Int64s()
	var seqs data.Batch
	for i, n := range inputs.tensor(s, name+".lengths").Int64s() {
		for j := range n {
			at := int64(i)*ids.Size(1) + j
			seqs.Want = append(seqs.Want, int64(len(seqs.IDs)))
			seqs.IDs, seqs.Segments = append(seqs.IDs, ids.Int64s()[at]), append(seqs.Segments, segments[at])
		}
		seqs.Lengths, seqs.WantPer = append(seqs.Lengths, int(n)), append(seqs.WantPer, int(n))
	}
	b, err := m.NewBatch(s, &seqs)
	if err != nil {
		t.Fatal(err)
	}
	return &Batch{Batch: b, Weight: 1}
}

// Singular values of the mean gradient, and their worth on the other half, are
// PyTorch's.
func TestGradientRule(t *testing.T) {
	run(t, func(s *torchbind.Scope) {
		want := openFixture(t, "expected-rules")
		worth, _ := measure(t, s, GradientRule, 4, false, []string{"t.0", "t.1", "t.2"}, []string{"v.0", "v.1", "v.2"})
		near(t, "worth", slices.Concat(worth...), want.floats(s, "gradient.worth"), tolExact)
		// Where both halves are the same the worth is σ².
		worth, _ = measure(t, s, GradientRule, 4, false, []string{"t.0", "t.1", "t.2"}, []string{"t.0", "t.1", "t.2"})
		squares := want.floats(s, "gradient.sigma")
		for i, sigma := range squares {
			squares[i] = sigma * sigma
		}
		near(t, "σ²", slices.Concat(worth...), squares, tolExact)
	})
}

// GoRA's importances and ranks are those of its formula in PyTorch.
func TestGoRARule(t *testing.T) {
	run(t, func(s *torchbind.Scope) {
		const k = 16
		want := openFixture(t, "expected-rules")
		worth, costs := measure(t, s, GoRARule, k, false, []string{"t.0", "t.1", "t.2"}, nil)
		var importances []float64
		for _, row := range worth {
			importances = append(importances, row[0])
			near(t, "worth of the third part", row[2:3], []float64{row[0] / 3}, 1e-15)
		}
		near(t, "importance", importances, want.floats(s, "gora.importance"), tolExact)
		ranks := GoRARule.Ranks(Evidence{K: k, Worth: worth, Costs: costs})
		near(t, "ranks", toFloats(ranks), want.floats(s, "gora.ranks"), 0)
	})
}

// EVA's ratios are those of PEFT's incremental SVD, and the ranks those that PEFT
// comes to.
func TestEVARule(t *testing.T) {
	run(t, func(s *torchbind.Scope) {
		want := openFixture(t, "expected-rules")
		worth, costs := measure(t, s, EVARule, 8, true, []string{"t.0", "t.1", "t.2", "t.3"}, nil)
		near(t, "ratios", slices.Concat(worth...), want.floats(s, "eva.ratio"), tolExact)
		near(t, "ranks", toFloats(EVARule.Ranks(Evidence{K: 8, Worth: worth, Costs: costs})), want.floats(s, "eva.ranks"), 0)
	})
}

// A layer whose rows are too few in every batch has no components, and not those of the
// layer before: of the last block only the rows that the head reads are computed.
func TestEVARuleOfFewRows(t *testing.T) {
	run(t, func(s *torchbind.Scope) {
		m, err := nn.Load(fixturePath("bert-tiny"), nn.LoadConfig{Labels: 3, Head: nn.HeadStored, DType: torchbind.Float64, Device: torchbind.CPU})
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		x, err := EVARule.Measure(m, MeasureConfig{LoRA: nn.LoRAConfig{Targets: []string{"query", "value"}}, K: 8})
		if err != nil {
			t.Fatal(err)
		}
		x.Observe(s, openFixture(t, "search-inputs").batch(s, m, "t.0"), false)
		_, err = x.Worth(nil)
		want := `layer "bert.encoder.layer.1.attention.self.query": no batch had so many rows for it as there are parts to choose from, 8: take larger batches, or fewer parts`
		if err == nil || err.Error() != want {
			t.Errorf("error %v, want %s", err, want)
		}
	})
}

func toFloats(ranks []int) []float64 {
	all := make([]float64, len(ranks))
	for i, rank := range ranks {
		all[i] = float64(rank)
	}
	return all
}
