package autolora_test

import (
	"fmt"
	"log"

	"autolora/autolora"
	"autolora/data"
	"autolora/nn"
	"autolora/torchbind"
)

// A search for the ranks of a tiny model: W moves by batch t, the selection
// variables a by batch v.
func ExampleSearch() {
	model, err := nn.Load("../testdata/nn/bert-tiny", nn.LoadConfig{
		Output: nn.SequenceClassification, Labels: 3, DType: torchbind.Float64, Device: torchbind.CPU,
	})
	if err != nil {
		log.Fatal(err)
	}
	defer model.Close()
	adamw := torchbind.AdamWConfig{Beta1: 0.9, Beta2: 0.999, Eps: 1e-8}
	search, err := autolora.NewSearch(model, nn.LoRAConfig{Targets: []string{"query", "value"}, Alpha: 8}, autolora.SearchConfig{
		K: 4, Form: autolora.Softmax, Scale: 1, Rule: autolora.AlphaRule,
		Mode: autolora.Exact, LookAhead: autolora.SGD, Eta: 1e-2,
		LRWeights: 1e-2, AdamW: adamw, LRAlpha: 1e-2, AdamWA: adamw,
	}, autolora.Execution{Seed: 1})
	if err != nil {
		log.Fatal(err)
	}
	for range 2 {
		err := torchbind.Run(func(s *torchbind.Scope) error {
			t, err := autolora.NewBatch(s, model, &data.Batch{
				IDs: []int64{2, 11, 12, 3, 2, 13, 3}, Segments: make([]int64, 7), Lengths: []int{4, 3}, Labels: []int64{0, 2},
			})
			if err != nil {
				return err
			}
			v, err := autolora.NewBatch(s, model, &data.Batch{
				IDs: []int64{2, 14, 3, 2, 11, 15, 3}, Segments: make([]int64, 7), Lengths: []int{3, 4}, Labels: []int64{1, 0},
			})
			if err != nil {
				return err
			}
			step := search.Iterate(s, t, v, true)
			fmt.Println(step.Work.Forward, "passes forward,", step.Work.Backward, "backward; finite:", step.Finite())
			return nil
		})
		if err != nil {
			log.Fatal(err)
		}
	}
	for i, l := range model.LoRAs() {
		fmt.Println(l.Module, search.Ranks()[i])
	}
	// Output:
	// 2 passes forward, 3 backward; finite: true
	// 2 passes forward, 3 backward; finite: true
	// bert.encoder.layer.0.attention.self.query 3
	// bert.encoder.layer.0.attention.self.value 2
	// bert.encoder.layer.1.attention.self.query 2
	// bert.encoder.layer.1.attention.self.value 2
}
