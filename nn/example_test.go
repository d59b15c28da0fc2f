package nn_test

import (
	"fmt"
	"log"

	"autolora/data"
	"autolora/nn"
	"autolora/torchbind"
)

// A model gets LoRA of other ranks in other layers, and labels two texts of
// four and three tokens, which stand in one packed batch.
func Example() {
	model, err := nn.Load("../testdata/nn/bert-tiny", nn.LoadConfig{
		Output: nn.SequenceClassification, Labels: 3, DType: torchbind.Float32, Device: torchbind.CPU,
	})
	if err != nil {
		log.Fatal(err)
	}
	defer model.Close()
	err = model.AddLoRA(nn.LoRAConfig{Alpha: 16, Ranks: map[string]int64{
		"bert.encoder.layer.0.attention.self.query": 3,
		"bert.encoder.layer.1.attention.self.value": 1,
		"bert.encoder.layer.1.attention.self.query": 0, // exactly the base layer
	}})
	if err != nil {
		log.Fatal(err)
	}
	for _, l := range model.LoRAs() {
		fmt.Println(l.Module, l.Rank)
	}
	err = torchbind.Run(func(s *torchbind.Scope) error {
		batch, err := model.NewBatch(s, &data.Batch{
			IDs: []int64{2, 11, 12, 3, 2, 13, 3}, Segments: make([]int64, 7), Lengths: []int{4, 3},
		})
		if err != nil {
			return err
		}
		torchbind.InferenceMode(func() { fmt.Println("logits", model.Logits(s, batch, nil).Shape()) })
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output:
	// bert.encoder.layer.0.attention.self.query 3
	// bert.encoder.layer.1.attention.self.value 1
	// logits [2 3]
}
