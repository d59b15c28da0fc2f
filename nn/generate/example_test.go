package generate_test

import (
	"context"
	"fmt"
	"log"

	"autolora/nn"
	"autolora/nn/generate"
	"autolora/torchbind"
)

// A beam search for two prompts, by LoRA's rules.
func ExampleGenerate() {
	model, err := nn.Load("../../testdata/nn/gpt2-generate", nn.LoadConfig{Output: nn.CausalLM, DType: torchbind.Float32, Device: torchbind.CPU})
	if err != nil {
		log.Fatal(err)
	}
	defer model.Close()
	prompts := [][]int64{{1, 2, 3}, {7, 5}}
	cfg := generate.Config{Beams: 4, MaxNewTokens: 6, Rules: generate.LoRA, LengthPenalty: 0.8, NoRepeatNGram: 2}
	texts, _, err := generate.Generate(context.Background(), model, prompts, 8, cfg, nil)
	if err != nil {
		log.Fatal(err)
	}
	for i, best := range texts {
		fmt.Println(prompts[i], "→", best[0].IDs)
	}
	// Output:
	// [1 2 3] → [22 24 57 22 20 20]
	// [7 5] → [25 22 24 57 3 54]
}
