package autolora

import (
	"math"
	"math/rand/v2"
	"slices"

	"autolora/nn"
	"autolora/torchbind"
)

// AblationConfig says how the parts of trained LoRA layers are weighed by ablation.
type AblationConfig struct {
	// Rounds are how often the loss is expanded anew: each time half of the parameters
	// are left out, and in the last one all of the rest.
	Rounds int
	// Probes are random vectors a batch, by which the diagonal of H is estimated. 0 are
	// unit vectors, one a part: all of H, exactly, for so many products a batch.
	Probes int
	Seed   uint64 // of the probes
}

// Ablate returns what the rank-1 parts of trained LoRA layers are worth, a row for
// those of JoinedLoRAs, in held-out loss: by how much leaving a part out raises it
// beside those that are out already. It puts the layers into the basis of Trained
// first. each goes through held-out batches, the same ones whenever it is called.
//
// With gates c on the parts, ΔW = s·Σ_j c_j B[:,j] A[j,:], leaving out a set S is the
// step −1_S. To the second order it costs
//
//	L(c − 1_S) − L(c) ≈ −g·1_S + ½ 1_Sᵀ H 1_S,   g = ∂L/∂c,  H = ∂²L/∂c².
//
// Where a model is trained g is small, and what a part is worth stands in H (SubLoRA,
// arXiv:2507.01841; ALoRA, arXiv:2403.16187, ablates each part in turn). H v is a
// vector-Jacobian product ∂(g·v)/∂c through the graph of g, as the search's, and exact.
//
// Parts are left out one after the other, each time that which costs the least for its
// parameters. Of many parts some seem to do harm by chance, and would go first: so each
// costs the standard error of its g more, by which batches differ. Within a round cross
// terms come from H if that is known; from one round to the next they are in g and H at
// the gates that are left. The diagonal of H is estimated without bias by v∘Hv, for
// v_j = ±1/σ_j (Bekas et al. 2007): in units of the parts' sizes, so that large parts do
// not hide small ones. A batch costs its gradient and its products, about a LoRA step
// each.
func Ablate(model *nn.Model, cfg AblationConfig, each func(add func(s *torchbind.Scope, b *Batch)) error) (worth [][]float64, work Work, err error) {
	sizes, err := Trained(model)
	if err != nil {
		return nil, work, err
	}
	joined, costs := model.JoinedLoRAs(), PartCosts(model)
	var cost []float64 // parameters of every part
	for i, layers := range joined {
		cost = append(cost, slices.Repeat([]float64{float64(costs[i])}, int(layers[0].Rank))...)
	}
	l := newLeaving(cost)
	for round := range cfg.Rounds {
		x := newExpansion(model, l.out)
		x.probes, x.seed, x.sizes = cfg.Probes, cfg.Seed+uint64(round), slices.Concat(sizes...)
		err := each(x.add)
		work.Add(x.work)
		if err != nil {
			return nil, work, err
		}
		until := l.left / 2
		if round == cfg.Rounds-1 {
			until = 0
		}
		l.leave(x, until)
	}
	return l.rows(sizes), work, nil
}

// leaving is the order in which parts are left out.
type leaving struct {
	cost, worth []float64 // of every part: its parameters, what it is worth
	out         []bool
	left        float64 // parameters
	price       float64 // of one parameter of the part that went last
}

func newLeaving(cost []float64) *leaving {
	l := &leaving{cost: cost, worth: make([]float64, len(cost)), out: make([]bool, len(cost)), price: math.Inf(-1)}
	for _, c := range cost {
		l.left += c
	}
	return l
}

// leave leaves parts out until so many parameters are left.
func (l *leaving) leave(x *expansion, until float64) {
	marginal, doubt := x.marginal(), x.doubt()
	price := func(j int) float64 { return (marginal[j] + doubt[j]) / l.cost[j] }
	for l.left > until {
		next := -1
		for j := range l.out {
			if !l.out[j] && (next < 0 || price(j) < price(next)) {
				next = j
			}
		}
		// A part that costs less than one before it is worth for its parameters what that one was,
		// and a trifle more, also when that is multiplied and divided again: the worth orders the
		// parts as they went, and WithinBudget keeps those that were left when a budget was met.
		if now := price(next); now > l.price {
			l.price = now
		} else {
			l.price += math.Abs(l.price) * 1e-12
		}
		l.out[next], l.worth[next] = true, l.price*l.cost[next]
		l.left -= l.cost[next]
		for j := range marginal {
			marginal[j] += x.cross(next, j)
		}
	}
}

// rows returns the worth in rows as long as those of like.
func (l *leaving) rows(like [][]float64) (rows [][]float64) {
	rest := l.worth
	for _, row := range like {
		rows, rest = append(rows, rest[:len(row):len(row)]), rest[len(row):]
	}
	return rows
}

// expansion is the mean loss over batches as a function of gates, to the second order.
type expansion struct {
	model  *nn.Model
	open   []float64 // c, of every part
	gates  []int64   // the part that each column of each layer of LoRAs belongs to
	probes int       // 0: unit vectors
	seed   uint64
	sizes  []float64 // σ² of every part
	work   Work

	batches  float64
	weight   float64      // of all batches
	gradient []float64    // Σ weight · g
	squares  [3][]float64 // Σ weight² · g⁰, g and g²
	diagonal []float64    // Σ weight · H_jj
	hessian  [][]float64  // Σ weight · H; nil with probes
}

// newExpansion returns that around the model without the parts that are out, over no
// batch yet.
func newExpansion(model *nn.Model, out []bool) *expansion {
	x := &expansion{model: model}
	first := int64(0)
	for _, joined := range model.JoinedLoRAs() {
		for range joined {
			for j := range joined[0].Rank {
				x.gates = append(x.gates, first+j)
			}
		}
		first += joined[0].Rank
	}
	for _, is := range out {
		x.open = append(x.open, 1)
		if is {
			x.open[len(x.open)-1] = 0
		}
	}
	x.gradient, x.diagonal = make([]float64, len(out)), make([]float64, len(out))
	for i := range x.squares {
		x.squares[i] = make([]float64, len(out))
	}
	return x
}

// add takes a batch into the mean loss, without dropout.
func (x *expansion) add(s *torchbind.Scope, b *Batch) {
	_ = s.Do(func(s *torchbind.Scope) error {
		like := x.model.LoRAs()[0].A.Value
		vector := func(s *torchbind.Scope, v []float64) *torchbind.Tensor {
			return torchbind.To(s, torchbind.FromSlice(s, v, []int64{int64(len(v))}, torchbind.CPU), like.DType(), like.Device())
		}
		c := vector(s, x.open).SetRequiresGrad(true)
		index := torchbind.FromSlice(s, x.gates, []int64{int64(len(x.gates))}, like.Device())
		twice := wholeGraph{objective: objective{
			model: x.model, weights: []*nn.Param{{Value: c}}, work: &x.work, a: c,
			alpha: func(s *torchbind.Scope) *torchbind.Tensor { return torchbind.IndexSelect(s, c, 0, index) },
		}}.gradientTwice(s, b)
		product := func(v []float64) (hv []float64) {
			_ = s.Do(func(s *torchbind.Scope) error {
				x.work.Backward++
				hv = torchbind.Grad(s, twice.g, only(c), only(vector(s, v)), true)[0].Float64s() // the graph stays
				return nil
			})
			return hv
		}
		x.weight += b.Weight
		g := twice.g[0].Float64s()
		addTo(x.gradient, b.Weight, g)
		for j, v := range g {
			for power := range x.squares {
				x.squares[power][j] += b.Weight * b.Weight * math.Pow(v, float64(power))
			}
		}
		x.batches++
		if x.probes == 0 {
			x.columns(b.Weight, product)
		} else {
			x.probe(b.Weight, product)
		}
		return nil
	})
}

// columns adds all of H.
func (x *expansion) columns(weight float64, product func(v []float64) []float64) {
	if x.hessian == nil {
		x.hessian = make([][]float64, len(x.open))
		for j := range x.hessian {
			x.hessian[j] = make([]float64, len(x.open))
		}
	}
	for j, column := range x.hessian {
		if x.open[j] == 0 {
			continue
		}
		unit := make([]float64, len(x.open))
		unit[j] = 1
		addTo(column, weight, product(unit))
		x.diagonal[j] = column[j]
	}
}

// probe adds an estimate of H's diagonal.
func (x *expansion) probe(weight float64, product func(v []float64) []float64) {
	rng := rand.New(rand.NewPCG(x.seed, probeStream+uint64(x.batches)))
	for range x.probes {
		v := make([]float64, len(x.open))
		for j, size := range x.sizes {
			sign := float64(1 - 2*int(rng.Uint64()&1))
			if x.open[j] > 0 && size > 0 {
				v[j] = sign / math.Sqrt(size)
			}
		}
		for j, hv := range product(v) {
			if v[j] != 0 {
				x.diagonal[j] += weight * hv / v[j] / float64(x.probes)
			}
		}
	}
}

// addTo adds weight·v to sum.
func addTo(sum []float64, weight float64, v []float64) {
	for i, value := range v {
		sum[i] += weight * value
	}
}

// marginal returns what it costs to leave out each part alone.
func (x *expansion) marginal() []float64 {
	each := make([]float64, len(x.open))
	for j := range each {
		each[j] = (-x.gradient[j] + x.diagonal[j]/2) / x.weight
	}
	return each
}

// doubt returns the standard error of the mean gradient by each gate, over batches; 0
// of one batch.
func (x *expansion) doubt() []float64 {
	each := make([]float64, len(x.open))
	if x.batches < 2 {
		return each
	}
	for j := range each {
		mean := x.gradient[j] / x.weight
		off := x.squares[2][j] - 2*mean*x.squares[1][j] + mean*mean*x.squares[0][j]
		each[j] = math.Sqrt(max(off, 0)*x.batches/(x.batches-1)) / x.weight
	}
	return each
}

// cross returns what leaving out part i adds to the cost of leaving out part j; 0 where
// that is not known.
func (x *expansion) cross(i, j int) float64 {
	if x.hessian == nil {
		return 0
	}
	return x.hessian[i][j] / x.weight
}
