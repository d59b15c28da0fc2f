package autolora

import (
	"cmp"
	"errors"
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
// (of a negative s, ±√(σ_j/|s|)) with the highest σ first: of all ways to leave out some rank-1 parts, leaving out
// columns of this B changes ΔW least. ΔW stays but for rounding. It returns what the
// parts are worth by PARA (arXiv:2604.27796), a row for those of JoinedLoRAs, whose
// rows of ΔW stand one above the other: σ², by which ‖ΔW‖²_F shrinks without the part.
// That costs no step.
func Trained(model *nn.Model) (worth [][]float64, err error) {
	for _, joined := range model.JoinedLoRAs() {
		values, err := singular(joined)
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

// PartCosts returns the parameters of one rank-1 part of those of JoinedLoRAs.
func PartCosts(model *nn.Model) []int64 {
	var costs []int64
	for _, joined := range model.JoinedLoRAs() {
		cost := joined[0].A.Shape[1]
		for _, l := range joined {
			cost += l.B.Shape[0]
		}
		costs = append(costs, cost)
	}
	return costs
}

// singular rewrites the factors of layers with one A and one scale, and returns the
// singular values of their update, as many as they have parts.
func singular(joined []*nn.LoRA) ([]float64, error) {
	first := joined[0]
	values, scale := make([]float64, first.Rank), first.Scale()
	if scale == 0 {
		return values, nil
	}
	var below []float64 // B of all
	rows := 0
	for _, l := range joined {
		below = append(below, l.B.Value.Float64s()...)
		rows += int(l.B.Shape[0])
	}
	rank, columns := int(first.Rank), int(first.A.Shape[1])
	// B A = U_B (S_B V_Bᵀ U_A S_A) V_Aᵀ, whose core is at most [R, R]; R may be more than the matrices have.
	b, errB := decompose(mat.NewDense(rows, rank, below))
	a, errA := decompose(mat.NewDense(rank, columns, first.A.Value.Float64s()))
	if errA != nil || errB != nil {
		return nil, fmt.Errorf("%s: %w", first.Module, cmp.Or(errA, errB))
	}
	var core, u, v mat.Dense
	core.Mul(b.v.T(), a.u)
	core.Apply(func(i, j int, v float64) float64 { return scale * b.values[i] * v * a.values[j] }, &core)
	both, err := decompose(&core)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", first.Module, err)
	}
	u.Mul(b.u, both.u) // [out, R]
	v.Mul(a.v, both.v) // [in, R]

	copy(values, both.values)
	newB, newA := make([]float64, rows*rank), make([]float64, rank*columns)
	for j, value := range both.values {
		root := math.Sqrt(value / math.Abs(scale))
		for i := range rows {
			newB[i*rank+j] = math.Copysign(root, scale) * u.At(i, j)
		}
		for i := range columns {
			newA[j*columns+i] = root * v.At(i, j)
		}
	}
	s := torchbind.NewScope()
	defer s.Close()
	torchbind.NoGrad(func() {
		first.A.Value.CopyInPlace(torchbind.FromSlice(s, newA, first.A.Shape, torchbind.CPU))
		for _, l := range joined {
			own := newB[:l.B.Shape[0]*l.Rank]
			l.B.Value.CopyInPlace(torchbind.FromSlice(s, own, l.B.Shape, torchbind.CPU))
			newB = newB[len(own):]
		}
	})
	return values, nil
}

// decomposition is the thin singular value decomposition u diag(values) vᵀ.
type decomposition struct {
	u, v   *mat.Dense
	values []float64
}

func decompose(m *mat.Dense) (d decomposition, err error) {
	var svd mat.SVD
	if sum := mat.Sum(m); !Finite(sum) || !svd.Factorize(m, mat.SVDThin) {
		return d, errors.New("its update has no singular values: the adapter's weights are broken")
	}
	d.u, d.v = new(mat.Dense), new(mat.Dense)
	svd.UTo(d.u)
	svd.VTo(d.v)
	d.values = svd.Values(nil)
	return d, nil
}
