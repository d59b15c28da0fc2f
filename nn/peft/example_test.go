package peft_test

import (
	"fmt"
	"log"
	"os"
	"path/filepath"

	"autolora/nn/peft"
	"autolora/nn/safetensors"
)

func Example() {
	parent, err := os.MkdirTemp("", "peft")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(parent)
	dir := filepath.Join(parent, "adapter")

	factors := func(rank int64) (a, b safetensors.Tensor) {
		return safetensors.FromFloat32s("", []int64{rank, 4}, make([]float32, 4*rank)),
			safetensors.FromFloat32s("", []int64{4, rank}, make([]float32, 4*rank))
	}
	adapter := &peft.Adapter{
		Config: peft.Config{TaskType: "SEQ_CLS", BaseModel: "bert-base-uncased", R: 8, LoraAlpha: 16},
		Saved:  []safetensors.Tensor{safetensors.FromFloat32s("classifier.bias", []int64{2}, []float32{0, 0})},
	}
	for i, rank := range []int{3, 0, 8} {
		l := peft.Layer{Name: fmt.Sprintf("bert.encoder.layer.%d.attention.self.query", i), Rank: rank, Alpha: 16}
		l.A, l.B = factors(int64(rank))
		adapter.Layers = append(adapter.Layers, l)
	}
	card := peft.ModelCard{Task: "sst2", Labels: []string{"negative", "positive"}}
	if err := peft.Write(dir, adapter, card); err != nil {
		log.Fatal(err)
	}

	read, err := peft.Read(dir)
	if err != nil {
		log.Fatal(err)
	}
	for _, l := range read.Layers {
		fmt.Printf("%s rank %d scale %.3f\n", l.Name, l.Rank, read.Config.Scale(l.Rank, l.Alpha))
	}
	// Output:
	// bert.encoder.layer.0.attention.self.query rank 3 scale 5.333
	// bert.encoder.layer.2.attention.self.query rank 8 scale 2.000
}

func ExampleAdapter_Fold() {
	adapter := &peft.Adapter{
		Config: peft.Config{R: 2, LoraAlpha: 6},
		Layers: []peft.Layer{{
			Name: "h.0.attn", Rank: 1, Alpha: 6,
			A: safetensors.FromFloat32s("", []int64{1, 2}, []float32{1, 2}),
			B: safetensors.FromFloat32s("", []int64{2, 1}, []float32{1, -1}),
		}},
	}
	folded, err := adapter.Fold()
	if err != nil {
		log.Fatal(err)
	}
	b, err := safetensors.Float32s(folded.Layers[0].B)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("r", folded.Config.R, "lora_alpha", folded.Config.LoraAlpha, "B", b)
	// Output: r 1 lora_alpha 1 B [6 -6]
}

func ExampleParseConfig() {
	_, err := peft.ParseConfig([]byte(`{"peft_type": "LORA", "use_dora": true}`))
	fmt.Println(err)
	// Output: use_dora is set, which is not supported: DoRA rescales the adapted weights
}
