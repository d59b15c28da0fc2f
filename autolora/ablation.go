package autolora

import (
	"math"
	"slices"

	"autolora/nn"
	"autolora/torchbind"
)

// AblationConfig says how the parts of trained LoRA layers are weighed by ablation.
type AblationConfig struct {
	// Rounds are how often the loss is expanded anew: each time half of the parameters
	// are left out, and in the last one all of the rest.
	Rounds int
	Seed   uint64 // of what is drawn of a loss of many labels
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
// arXiv:2507.01841; ALoRA, arXiv:2403.16187, ablates each part in turn). For H stands the
// Gauss–Newton matrix G = Σ J_iᵀ (∂²ℓ/∂x²) J_i, for the outputs x of text i and their
// J_i = ∂x/∂c: H without the second derivatives of x by c, which count as much as the
// errors are large. So one derivative of each text gives all of G, cross terms included
// (nn.Model.LossRoot): exactly for a regression and for two classes, else without bias.
//
// Parts are left out one after the other, each time that which costs the least for its
// parameters, with its cross terms with those that are out. Of many parts some seem to do
// harm by chance, and would go first: so each costs the standard error of its g more, by
// which batches differ. A batch costs two LoRA steps: its gradient, and those of its texts.
func Ablate(model *nn.Model, cfg AblationConfig, each func(add func(s *torchbind.Scope, b *Batch) error) error) (worth [][]float64, work Work, err error) {
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
		x := newExpansion(model, l.out, cfg.Seed+uint64(round))
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
	model *nn.Model
	open  []float64 // c, of every part
	gates []int64   // the part that each column of each layer of LoRAs belongs to
	seed  uint64
	work  Work

	batches   float64
	weight    float64      // of all batches
	gradient  []float64    // Σ weight · g
	squares   [3][]float64 // Σ weight² · g⁰, g and g²
	curvature []float64    // Σ weight · G, row by row; 0 of parts that are out
}

// newExpansion returns that around the model without the parts that are out, over no
// batch yet.
func newExpansion(model *nn.Model, out []bool, seed uint64) *expansion {
	x := &expansion{model: model, seed: seed}
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
	x.gradient, x.curvature = make([]float64, len(out)), make([]float64, len(out)*len(out))
	for i := range x.squares {
		x.squares[i] = make([]float64, len(out))
	}
	return x
}

// add takes a batch into the mean loss, without dropout.
func (x *expansion) add(s *torchbind.Scope, b *Batch) error {
	return s.Do(func(s *torchbind.Scope) error {
		like := x.model.LoRAs()[0].A.Value
		open := torchbind.FromSlice(s, x.open, []int64{int64(len(x.open))}, torchbind.CPU)
		c := torchbind.To(s, open, like.DType(), like.Device()).SetRequiresGrad(true)
		index := torchbind.FromSlice(s, x.gates, []int64{int64(len(x.gates))}, like.Device())
		o := objective{
			model: x.model, work: &x.work, a: c,
			alpha: func(s *torchbind.Scope) *torchbind.Tensor { return torchbind.IndexSelect(s, c, 0, index) },
		}
		_, grads := wholeGraph{objective: o}.gradient(s, b, only(c))
		g := grads[0].Float64s()
		rng := x.model.Dropout(x.seed + uint64(x.batches)<<32)
		x.batches++
		x.weight += b.Weight
		addTo(x.gradient, b.Weight, g)
		for j, v := range g {
			for power := range x.squares {
				x.squares[power][j] += b.Weight * b.Weight * math.Pow(v, float64(power))
			}
		}
		x.work.Forward++ // of all texts together
		x.work.Backward++
		x.work.Tokens += int64(b.Tokens)
		for i := range b.packed.Len() {
			if b.packed.Want != nil && b.packed.WantPer[i] == 0 { // a sentence without words
				continue
			}
			err := s.Do(func(s *torchbind.Scope) error {
				text, err := NewBatch(s, x.model, b.packed.Alone(i))
				if err != nil {
					return err
				}
				x.model.Select(s, o.alpha(s))
				defer x.model.Select(s, nil)
				scores := x.model.Logits(s, text.Batch, nil)
				root := x.model.LossRoot(s, scores, text.Labels, rng)
				u := torchbind.Grad(s, only(scores), only(c), only(root), false)[0].Float64s()
				x.outer(b.Weight*float64(text.Size)/float64(b.Size), u)
				return nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// outer adds weight·u uᵀ to G.
func (x *expansion) outer(weight float64, u []float64) {
	n := len(u)
	for j := range u {
		u[j] *= x.open[j]
	}
	for i, v := range u {
		if v != 0 {
			addTo(x.curvature[i*n:(i+1)*n], weight*v, u)
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
		each[j] = -x.gradient[j]/x.weight + x.cross(j, j)/2
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

// cross returns what leaving out part i adds to the cost of leaving out part j.
func (x *expansion) cross(i, j int) float64 { return x.curvature[i*len(x.open)+j] / x.weight }
