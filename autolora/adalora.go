package autolora

import (
	"fmt"
	"math"
	"slices"

	"autolora/nn"
	"autolora/torchbind"
)

// AdaLoRAConfig holds the settings of AdaLoRA (Zhang et al. 2023), which starts
// every layer at one rank and, while it trains, masks the triplets (A[j,:], E_j,
// B[:,j]) that matter least. Steps are counted from 1.
type AdaLoRAConfig struct {
	InitRank   int64   // of every layer at the start
	TargetRank int64   // the mean over the layers in the end
	TInit      int     // steps before the budget begins to fall
	TFinal     int     // steps at the end, with the ranks fixed
	Total      int     // all steps
	DeltaT     int     // between, the steps from one allocation to the next
	Beta1      float64 // of the running average of the sensitivity
	Beta2      float64 // and of its uncertainty
	// OrthWeight is the weight of the orthogonality term. The authors' scripts
	// have 0.1 for most tasks; PEFT's default is 0.5.
	OrthWeight float64
}

// LastAllocation is the step whose allocation is final.
func (c AdaLoRAConfig) LastAllocation() int { return c.Total - c.TFinal }

// budget returns how many triplets so many layers may have together at a step,
// and whether that step allocates them: the cubic schedule of the paper's
// section 3.3, rounded as PEFT rounds it.
func (c AdaLoRAConfig) budget(step, layers int) (triplets int, allocates bool) {
	start, target, last := int(c.InitRank)*layers, int(c.TargetRank)*layers, c.LastAllocation()
	switch {
	case step <= c.TInit:
		return start, false
	case step > last:
		return target, false
	}
	left := 1 - float64(step-c.TInit)/float64(last-c.TInit)
	// The conversion keeps compilers from fusing the sum, which would round otherwise.
	triplets = int(float64(float64(start-target)*cube(left)) + float64(target))
	return triplets, step%c.DeltaT == 0 || step == last
}

// cube returns x³ rounded once, as C's pow does. One rounding more shows where
// the budget is truncated: 250·0.6³ is a little less than 54.
func cube(x float64) float64 {
	square := x * x
	rest := math.FMA(x, x, -square)
	product := square * x
	return product + math.FMA(rest, x, math.FMA(square, x, -product))
}

// RankAllocator gives AdaLoRA's budget of triplets to the layers of a model, as
// PEFT's class of that name does. What it knows, for a checkpoint, is Step,
// Sensitivity, Uncertainty and Keep.
type RankAllocator struct {
	AdaLoRAConfig
	Step   int         // steps taken
	Params []*nn.Param // A, B and E of every layer
	// Sensitivity and Uncertainty are running averages for every weight w of
	// Params: Ī of its importance I = |w·∂L/∂w|, and Ū of |I − Ī| (the paper's
	// section 3.2).
	Sensitivity, Uncertainty []*torchbind.Tensor

	layers []*nn.LoRA
	gradAt []int // the place of each of Params in TrainableParams
	keep   [][]bool
	mask   *torchbind.Tensor   // keep as numbers [layers, R]
	masks  []*torchbind.Tensor // its rows
	eye    *torchbind.Tensor   // [R, R]
}

// NewRankAllocator gives model fresh layers of the SVD form, with rank InitRank
// on the targets of lora, and returns their allocator.
func NewRankAllocator(model *nn.Model, lora nn.LoRAConfig, cfg AdaLoRAConfig) (*RankAllocator, error) {
	if cfg.TInit+cfg.TFinal >= cfg.Total {
		return nil, fmt.Errorf("%d steps before ranks fall and %d after, of %d in all, leave none in which they do: train longer, or shorten these", cfg.TInit, cfg.TFinal, cfg.Total)
	}
	lora.SVD, lora.Rank, lora.Ranks = true, cfg.InitRank, nil
	if err := model.AddLoRA(lora); err != nil {
		return nil, err
	}
	a := &RankAllocator{AdaLoRAConfig: cfg, Params: model.AdapterParams(), layers: model.LoRAs()}
	scope, trained := model.Scope(), model.TrainableParams()
	for _, p := range a.Params {
		a.gradAt = append(a.gradAt, slices.Index(trained, p))
		a.Sensitivity = append(a.Sensitivity, torchbind.ZerosLike(scope, p.Value))
		a.Uncertainty = append(a.Uncertainty, torchbind.ZerosLike(scope, p.Value))
	}
	r, like := cfg.InitRank, a.Params[0].Value
	a.mask = torchbind.Full(scope, []int64{int64(len(a.layers)), r}, 1, like.DType(), like.Device())
	for i := range a.layers {
		a.masks = append(a.masks, torchbind.Reshape(scope, torchbind.Narrow(scope, a.mask, 0, int64(i), 1), r))
		a.keep = append(a.keep, slices.Repeat([]bool{true}, int(r)))
	}
	identity := make([]float32, r*r)
	for i := range r {
		identity[i*(r+1)] = 1
	}
	a.eye = scope.Tidy(func(s *torchbind.Scope) *torchbind.Tensor {
		return torchbind.To(s, torchbind.FromSlice(s, identity, []int64{r, r}, like.Device()), like.DType(), like.Device())
	})
	return a, nil
}

// Penalty returns OrthWeight times the orthogonality term, a scalar to add to
// the loss that is differentiated: the mean of the Frobenius norms of A Aᵀ − I
// and BᵀB − I over all layers. (The paper sums the squares of the norms; its
// authors' code and PEFT do as here.)
func (a *RankAllocator) Penalty(s *torchbind.Scope) *torchbind.Tensor {
	return s.Tidy(func(s *torchbind.Scope) *torchbind.Tensor {
		var norms []*torchbind.Tensor
		for _, l := range a.layers {
			A, B := l.A.Value, l.B.Value
			norms = append(norms,
				a.distance(s, torchbind.MatMul(s, A, torchbind.Transpose(s, A, 0, 1))),
				a.distance(s, torchbind.MatMul(s, torchbind.Transpose(s, B, 0, 1), B)))
		}
		return torchbind.MulScalar(s, torchbind.Mean(s, torchbind.Cat(s, norms, 0)), a.OrthWeight)
	})
}

// distance returns the Frobenius norm [1] of gram [R, R] − I.
func (a *RankAllocator) distance(s *torchbind.Scope, gram *torchbind.Tensor) *torchbind.Tensor {
	d := torchbind.Sub(s, gram, a.eye)
	// The root has no derivative at 0, which a layer of rank 1 can reach; elsewhere 1e-30 is lost in rounding.
	square := torchbind.AddScalar(s, torchbind.Sum(s, torchbind.Mul(s, d, d)), 1e-30)
	return torchbind.Reshape(s, torchbind.Sqrt(s, square), 1)
}

// Allocate follows a step of the optimiser with grads, the gradients of the loss
// with the penalty by the model's TrainableParams. It averages the importance of
// every weight, and where the schedule says so it sets E_j of all triplets but
// the most important ones to zero. They may grow again until the next
// allocation; from the last one on they stay zero. It returns the budget and, of a
// step that allocates it, the score of every triplet, layer after layer.
func (a *RankAllocator) Allocate(s *torchbind.Scope, grads []*torchbind.Tensor) (budget int, scores []float64) {
	a.Step++
	budget, allocates := a.budget(a.Step, len(a.layers))
	torchbind.NoGrad(func() {
		if a.Step < a.LastAllocation() { // which has the averages of the step before, as in PEFT
			a.observe(s, grads)
		}
		if allocates {
			scores = a.scores(s)
			// PEFT masks whatever is at or below the threshold score, so that with ties it
			// can keep fewer than the budget; and it cannot keep all.
			stays := largest(scores, slices.Repeat([]int64{1}, len(scores)), int64(budget))
			a.setKeep(slices.Collect(slices.Chunk(stays, int(a.InitRank))))
		}
		if allocates || a.Step > a.LastAllocation() {
			var e []*torchbind.Tensor
			for _, l := range a.layers {
				e = append(e, l.E.Value)
			}
			torchbind.ForeachCopyInPlace(e, torchbind.ForeachMul(s, e, a.masks))
		}
	})
	return budget, scores
}

// observe takes one step's gradients into the averages.
func (a *RankAllocator) observe(s *torchbind.Scope, grads []*torchbind.Tensor) {
	own := make([]*torchbind.Tensor, len(a.Params))
	for i, at := range a.gradAt {
		own[i] = grads[at]
	}
	importance := abs(s, torchbind.ForeachMul(s, nn.Values(a.Params), own))
	average(a.Sensitivity, importance, a.Beta1)
	average(a.Uncertainty, abs(s, torchbind.ForeachAdd(s, importance, a.Sensitivity, -1)), a.Beta2)
}

// average makes mean[i] β·mean[i] + (1−β)·x[i].
func average(mean, x []*torchbind.Tensor, beta float64) {
	torchbind.ForeachMulScalarInPlace(mean, beta)
	torchbind.ForeachAddInPlace(mean, x, 1-beta)
}

// abs returns |x|, as √x². Squares underflow only where scores, which are
// products of two such numbers, do too.
func abs(s *torchbind.Scope, x []*torchbind.Tensor) []*torchbind.Tensor {
	squares := torchbind.ForeachMul(s, x, x)
	for i, square := range squares {
		squares[i] = torchbind.Sqrt(s, square)
	}
	return squares
}

// scores returns the importance of every triplet, layer after layer:
// S(E_j) + mean S(A[j,:]) + mean S(B[:,j]) with S = Ī·Ū. It is the only thing
// that is read back from the device.
func (a *RankAllocator) scores(s *torchbind.Scope) []float64 {
	of := make(map[*nn.Param]*torchbind.Tensor, len(a.Params))
	for i, score := range torchbind.ForeachMul(s, a.Sensitivity, a.Uncertainty) {
		of[a.Params[i]] = score
	}
	var all []*torchbind.Tensor
	for _, l := range a.layers {
		rows, columns := rowMeans(s, of[l.A]), rowMeans(s, torchbind.Transpose(s, of[l.B], 0, 1))
		all = append(all, torchbind.Add(s, of[l.E], torchbind.Add(s, rows, columns)))
	}
	return torchbind.Cat(s, all, 0).Float64s()
}

// rowMeans returns the mean of each row of x [R, n].
func rowMeans(s *torchbind.Scope, x *torchbind.Tensor) *torchbind.Tensor {
	n := x.Size(1)
	ones := torchbind.Full(s, []int64{n}, 1, x.DType(), x.Device())
	return torchbind.MulScalar(s, torchbind.MatMul(s, x, ones), 1/float64(n))
}

// Keep returns which triplets the latest allocation kept, a row per layer: all
// of them before the first.
func (a *RankAllocator) Keep() [][]bool { return a.keep }

// Layers returns the module paths of the layers, in the order of Ranks.
func (a *RankAllocator) Layers() []string { return layerNames(a.layers) }

// Ranks returns the number of triplets that each layer keeps.
func (a *RankAllocator) Ranks() []int {
	ranks := make([]int, len(a.keep))
	for i, row := range a.keep {
		for _, stays := range row {
			if stays {
				ranks[i]++
			}
		}
	}
	return ranks
}

// Restore sets Step and Keep to those of an earlier run. The averages are to be
// copied into Sensitivity and Uncertainty.
func (a *RankAllocator) Restore(step int, keep [][]bool) error {
	if step < 0 || step > a.Total {
		return fmt.Errorf("step of the rank allocator: got %d, want 0 to %d", step, a.Total)
	}
	if len(keep) != len(a.layers) {
		return fmt.Errorf("masks of the rank allocator: got those of %d layers, want %d", len(keep), len(a.layers))
	}
	for i, row := range keep {
		if int64(len(row)) != a.InitRank {
			return fmt.Errorf("mask of layer %q: got %d triplets, want %d", a.layers[i].Module, len(row), a.InitRank)
		}
	}
	a.Step = step
	a.setKeep(keep)
	return nil
}

// setKeep sets keep, and the mask on the device.
func (a *RankAllocator) setKeep(keep [][]bool) {
	a.keep = keep
	var numbers []float32
	for _, row := range keep {
		for _, stays := range row {
			var n float32
			if stays {
				n = 1
			}
			numbers = append(numbers, n)
		}
	}
	s := torchbind.NewScope()
	defer s.Close()
	a.mask.CopyInPlace(torchbind.FromSlice(s, numbers, a.mask.Shape(), torchbind.CPU))
}
