package autolora

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"

	"autolora/nn"
	"autolora/torchbind"
)

// Trained puts every LoRA layer of a trained model into the basis of the singular
// vectors of its update,
//
//	ΔW = s·B·A = Σ_j σ_j u_j v_jᵀ,  B[:,j] = √(σ_j/s) u_j,  A[j,:] = √(σ_j/s) v_jᵀ,
//
// with the highest σ first: of all ways to leave out some rank-1 parts, leaving out
// columns of this B changes ΔW least. ΔW stays but for rounding. It returns what the
// parts are worth by PARA (arXiv:2604.27796), a row for every layer: σ², by which
// ‖ΔW‖²_F shrinks without the part. That costs no step.
func Trained(model *nn.Model) (worth [][]float64, err error) {
	for _, l := range model.LoRAs() {
		values, err := singular(l)
		if err != nil {
			return nil, err
		}
		for j, v := range values {
			values[j] = v * v
		}
		worth = append(worth, values)
	}
	return worth, nil
}

// singular rewrites the factors of a layer and returns the singular values of its
// update, as many as it has parts.
func singular(l *nn.LoRA) ([]float64, error) {
	values := make([]float64, l.Rank)
	scale := l.Scale()
	if scale == 0 {
		return values, nil
	}
	// B A = U_B (S_B V_Bᵀ U_A S_A) V_Aᵀ, whose core is at most [R, R]; R may be more than the matrices have.
	b, err := decompose(l.B)
	if err != nil {
		return nil, err
	}
	a, err := decompose(l.A)
	if err != nil {
		return nil, err
	}
	var core, left, right, u, v mat.Dense
	core.Mul(b.v.T(), a.u)
	core.Apply(func(i, j int, v float64) float64 { return scale * b.values[i] * v * a.values[j] }, &core)
	var svd mat.SVD
	if !svd.Factorize(&core, mat.SVDThin) {
		return nil, fmt.Errorf("%s: the update has no singular values: its weights are broken", l.Module)
	}
	found := svd.Values(nil)
	svd.UTo(&left)
	svd.VTo(&right)
	u.Mul(b.u, &left)  // [out, R]
	v.Mul(a.v, &right) // [in, R]

	copy(values, found)
	rank := int(l.Rank)
	newB, newA := make([]float64, int(l.B.Shape[0])*rank), make([]float64, rank*int(l.A.Shape[1]))
	for j, value := range found {
		root := math.Sqrt(value / scale)
		for i := range l.B.Shape[0] {
			newB[int(i)*rank+j] = root * u.At(int(i), j)
		}
		for i := range l.A.Shape[1] {
			newA[j*int(l.A.Shape[1])+int(i)] = root * v.At(int(i), j)
		}
	}
	s := torchbind.NewScope()
	defer s.Close()
	torchbind.NoGrad(func() {
		l.B.Value.CopyInPlace(torchbind.FromSlice(s, newB, l.B.Shape, torchbind.CPU))
		l.A.Value.CopyInPlace(torchbind.FromSlice(s, newA, l.A.Shape, torchbind.CPU))
	})
	return values, nil
}

// decomposition is the thin singular value decomposition u diag(values) vᵀ.
type decomposition struct {
	u, v   *mat.Dense
	values []float64
}

func decompose(p *nn.Param) (d decomposition, err error) {
	var svd mat.SVD
	m := mat.NewDense(int(p.Shape[0]), int(p.Shape[1]), p.Value.Float64s())
	if math.IsNaN(mat.Sum(m)) || !svd.Factorize(m, mat.SVDThin) {
		return d, fmt.Errorf("%s has no singular values: its weights are broken", p.Name)
	}
	d.u, d.v = new(mat.Dense), new(mat.Dense)
	svd.UTo(d.u)
	svd.VTo(d.v)
	d.values = svd.Values(nil)
	return d, nil
}
