package autolora

import (
	"math"
	"testing"

	"autolora/data"
	"autolora/nn"
	"autolora/torchbind"
)

// A step on two batches is the step on both in one, though one has many more
// words than the other.
func TestAccumulatedTagging(t *testing.T) {
	corpus := data.NewCorpus(&data.Dataset{Kind: data.Tagging, Examples: []data.Example{
		{Sentence: &data.Sentence{Words: []string{"a"}, Tags: []int{1}}}, {Sentence: &data.Sentence{Words: []string{"b", "c"}, Tags: []int{0, 2}}},
		{Sentence: &data.Sentence{Words: []string{"d", "e", "f", "g", "h"}, Tags: []int{0, 0, 2, 1, 1}}}, {Sentence: &data.Sentence{Words: []string{"i", "j", "k"}, Tags: []int{1, 2, 0}}},
	}}, letters{})
	step := func(batches ...[]int) TrainStep {
		var got TrainStep
		run(t, func(s *torchbind.Scope) {
			none := 0.0
			model, err := nn.Load(fixturePath("bert-tiny"), nn.LoadConfig{
				Labels: 3, Output: nn.TokenClassification, Head: nn.HeadFresh, Dropout: &none, Full: true, DType: torchbind.Float64, Device: torchbind.CPU,
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
	whole, parts := step([]int{0, 1, 2, 3}), step([]int{0, 1}, []int{2, 3})
	const tolerance = 1e-12 // of sums of some hundred float64 numbers in another order, with room for cancellation
	if math.Abs(whole.Loss-parts.Loss) > tolerance || math.Abs(whole.GradNorm/parts.GradNorm-1) > tolerance {
		t.Errorf("loss %v and gradient norm %v, in two batches %v and %v", whole.Loss, whole.GradNorm, parts.Loss, parts.GradNorm)
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
