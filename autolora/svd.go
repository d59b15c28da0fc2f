package autolora

import (
	"math"
	"math/rand/v2"
	"slices"

	"autolora/torchbind"

	"gonum.org/v1/gonum/mat"
)

// topSVD returns the k largest singular values of m [p, q], descending, with their
// vectors as the columns of u [p, k] and v [q, k]; fewer where m has no more. It is
// in float64 on the CPU: subspace iteration (Halko et al. 2011, arXiv:0909.4061,
// algorithm 4.4) with as many columns more as are wanted, until the values stand
// still, from the same random start each time. The products are libtorch's, and
// what is left are matrices of 2k + 8.
func topSVD(s *torchbind.Scope, m *torchbind.Tensor, k int) (u *torchbind.Tensor, sigma []float64, v *torchbind.Tensor) {
	const (
		most  = 60    // iterations
		still = 1e-13 // change of the squared values, relative to the largest
	)
	_ = s.Do(func(own *torchbind.Scope) error {
		m := torchbind.To(own, m, torchbind.Float64, torchbind.CPU)
		p, q := m.Size(0), m.Size(1)
		width := min(int64(2*k+8), p, q)
		k := min(k, int(width))
		rng := rand.New(rand.NewPCG(svdStream, uint64(width)))
		start := make([]float64, q*width)
		for i := range start {
			start[i] = rng.NormFloat64()
		}
		mt := torchbind.Transpose(own, m, 0, 1)
		right := torchbind.FromSlice(own, start, []int64{q, width}, torchbind.CPU)
		var before []float64
		for range most {
			right = own.Tidy(func(s *torchbind.Scope) *torchbind.Tensor {
				left := orthonormal(s, torchbind.MatMul(s, m, right)) // [p, width]
				return orthonormal(s, torchbind.MatMul(s, mt, left))  // [q, width]
			})
			image := torchbind.MatMul(own, m, right) // [p, width]
			values, vectors := eigenSym(gram(own, image))
			// m·right = Σ (m·right·w) wᵀ over the eigenvectors w of its Gram matrix: σ² and right singular vectors right·w.
			v = torchbind.MatMul(own, right, columns(own, vectors, k))
			u, sigma = normalised(own, torchbind.MatMul(own, m, v), values[:k])
			moved := math.Inf(1)
			if before != nil {
				moved = 0
				for i, value := range values[:k] {
					moved = max(moved, math.Abs(value-before[i]))
				}
			}
			if before = values[:k]; moved <= still*values[0] {
				break
			}
		}
		s.Keep(u)
		s.Keep(v)
		return nil
	})
	return u, sigma, v
}

const svdStream = 5 // keeps these random numbers apart from others

// orthonormal returns the columns of x made orthonormal, those that depend on the
// others zero.
func orthonormal(s *torchbind.Scope, x *torchbind.Tensor) *torchbind.Tensor {
	for range 2 { // once leaves errors of the Gram matrix's condition
		values, vectors := eigenSym(gram(s, x))
		n := len(values)
		for j, value := range values {
			scale := 0.0
			if value > 1e-26*values[0] {
				scale = 1 / math.Sqrt(value)
			}
			for i := range n {
				vectors.Set(i, j, vectors.At(i, j)*scale)
			}
		}
		x = torchbind.MatMul(s, x, columns(s, vectors, n))
	}
	return x
}

// gram returns xᵀx.
func gram(s *torchbind.Scope, x *torchbind.Tensor) *mat.SymDense {
	g := torchbind.MatMul(s, torchbind.Transpose(s, x, 0, 1), x)
	return mat.NewSymDense(int(g.Size(0)), g.Float64s())
}

// eigenSym returns the eigenvalues of a symmetric matrix, descending and at least 0,
// with the vectors as columns; NaN for all of a matrix that is not finite.
func eigenSym(a *mat.SymDense) (values []float64, vectors *mat.Dense) {
	n := a.SymmetricDim()
	var e mat.EigenSym
	if !e.Factorize(a, true) {
		nan := slices.Repeat([]float64{math.NaN()}, n*n)
		return nan[:n], mat.NewDense(n, n, nan)
	}
	ascending := e.Values(nil)
	var v mat.Dense
	e.VectorsTo(&v)
	vectors = mat.NewDense(n, n, nil)
	for j := range n {
		values = append(values, max(0, ascending[n-1-j]))
		vectors.SetCol(j, mat.Col(nil, n-1-j, &v))
	}
	return values, vectors
}

// columns returns the first k columns of m as a tensor.
func columns(s *torchbind.Scope, m *mat.Dense, k int) *torchbind.Tensor {
	n, _ := m.Dims()
	return torchbind.FromSlice(s, mat.DenseCopyOf(m.Slice(0, n, 0, k)).RawMatrix().Data, []int64{int64(n), int64(k)}, torchbind.CPU)
}

// normalised divides the columns of x by their norms, the roots of squares.
func normalised(s *torchbind.Scope, x *torchbind.Tensor, squares []float64) (*torchbind.Tensor, []float64) {
	norms, inverse := make([]float64, len(squares)), make([]float64, len(squares))
	for i, square := range squares {
		if norms[i] = math.Sqrt(square); norms[i] > 0 {
			inverse[i] = 1 / norms[i]
		}
	}
	return torchbind.Mul(s, x, torchbind.FromSlice(s, inverse, []int64{int64(len(inverse))}, torchbind.CPU)), norms
}
