package autolora

import (
	"math"
	"testing"

	"autolora/data"
	"autolora/nn"
	"autolora/torchbind"
)

// A step on two batches is the step on both in one, though one has many more
// words than the other; with weights of the classes, too, and the loss is then the
// mean of the weighted losses of the words.
func TestAccumulatedTagging(t *testing.T) {
	corpus := data.NewCorpus(&data.Dataset{Kind: data.Tagging, Examples: []data.Example{
		{Sentence: &data.Sentence{Words: []string{"a"}, Tags: []int{1}}}, {Sentence: &data.Sentence{Words: []string{"b", "c"}, Tags: []int{0, 2}}},
		{Sentence: &data.Sentence{Words: []string{"d", "e", "f", "g", "h"}, Tags: []int{0, 0, 2, 1, 1}}}, {Sentence: &data.Sentence{Words: []string{"i", "j", "k"}, Tags: []int{1, 2, 0}}},
	}}, letters{})
	step := func(weights []float64, smoothing float64, batches ...[]int) TrainStep {
		var got TrainStep
		run(t, func(s *torchbind.Scope) {
			none := 0.0
			model, err := nn.Load(fixturePath("bert-tiny"), nn.LoadConfig{
				Labels: 3, Output: nn.TokenClassification, Head: nn.HeadFresh, Dropout: &none, Full: true, DType: torchbind.Float64, Device: torchbind.CPU,
				ClassWeights: weights, LabelSmoothing: smoothing,
			})
			if err != nil {
				t.Fatal(err)
			}
			defer model.Close()
			var made []*Batch
			for _, indices := range batches {
				packed, err := corpus.Batch(indices)
				if err != nil {
					t.Fatal(err)
				}
				b, err := NewBatch(s, model, packed)
				if err != nil {
					t.Fatal(err)
				}
				made = append(made, b)
			}
			got = NewTrainer(model, TrainConfig{Steps: 10, LR: 1e-3, AdamW: AdamW(0)}, nil, Execution{Seed: 1}).Step(s, made)
		})
		return got
	}
	const tolerance = 1e-12 // of sums of some hundred float64 numbers in another order, with room for cancellation
	same := func(what string, a, b TrainStep) {
		t.Helper()
		if math.Abs(a.Loss-b.Loss) > tolerance || math.Abs(a.GradNorm/b.GradNorm-1) > tolerance {
			t.Errorf("%s: loss %v and gradient norm %v, and %v and %v", what, a.Loss, a.GradNorm, b.Loss, b.GradNorm)
		}
	}
	all := []int{0, 1, 2, 3}
	for _, smoothing := range []float64{0, 0.1} {
		plain := step(nil, smoothing, all)
		same("parts", plain, step(nil, smoothing, []int{0, 1}, []int{2, 3}))
		same("weights of 1", plain, step([]float64{1, 1, 1}, smoothing, all))
		same("parts with weights", step([]float64{0.5, 2, 0.25}, smoothing, all), step([]float64{0.5, 2, 0.25}, smoothing, []int{0, 1}, []int{2, 3}))
		sum := 0.0
		for class, weight := range []float64{0.5, 2, 0.25} {
			alone := make([]float64, 3)
			alone[class] = 1
			sum += weight * step(alone, smoothing, all).Loss
		}
		if got := step([]float64{0.5, 2, 0.25}, smoothing, all).Loss; math.Abs(got-sum) > tolerance {
			t.Errorf("loss %v with weights, want %v", got, sum)
		}
	}
}

// letters makes two tokens of every word.
type letters struct{}

func (letters) Encode(ex data.Example) (data.Encoded, error) {
	e := data.Encoded{IDs: []int32{2}}
	for _, word := range ex.Words {
		e.First = append(e.First, int32(len(e.IDs)))
		e.IDs = append(e.IDs, int32(word[0]-'a'+10), int32(word[0]-'a'+40))
	}
	e.IDs = append(e.IDs, 3)
	return e, nil
}

// The gradients of a step's batches are added up as they come: no batch more keeps
// one of its own.
func TestAccumulatedGradients(t *testing.T) {
	for _, checkpointing := range []bool{false, true} {
		run(t, func(s *torchbind.Scope) {
			model := loadRecomputed(t, "bert-tiny", nn.SequenceClassification, 3, true)
			defer model.Close()
			trainer := NewTrainer(model, TrainConfig{Steps: 1, LR: 1e-3, AdamW: AdamW(0)}, nil, Execution{Seed: 1, GradientCheckpointing: checkpointing})
			kept := func(batches int) (tensors int64) {
				_ = s.Do(func(s *torchbind.Scope) error {
					var all []*Batch
					for i := range batches {
						all = append(all, madeUpBatch(t, s, model, uint64(i)))
					}
					before := torchbind.Live()
					trainer.gradient(s, all)
					tensors = torchbind.Live() - before
					return nil
				})
				return tensors
			}
			if two, six := kept(2), kept(6); two != six || two < int64(len(trainer.optim.Params)) {
				t.Errorf("gradient checkpointing %v: of two batches %d tensors are kept, of six %d", checkpointing, two, six)
			}
		})
	}
}
