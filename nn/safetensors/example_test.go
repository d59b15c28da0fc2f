package safetensors_test

import (
	"fmt"
	"log"
	"os"
	"path/filepath"

	"autolora/nn/safetensors"
)

func Example() {
	dir, err := os.MkdirTemp("", "safetensors")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "model.safetensors")

	weight := safetensors.FromFloat32s("linear.weight", []int64{2, 3}, []float32{1, 2, 3, 4, 5, 6})
	if err := safetensors.Write(path, map[string]string{"format": "pt"}, []safetensors.Tensor{weight}); err != nil {
		log.Fatal(err)
	}

	f, err := safetensors.Open(path)
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close()
	for _, name := range f.Names() {
		t, _ := f.Tensor(name)
		values, err := safetensors.Float32s(t)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(t.Name, t.DType, t.Shape, values)
	}
	// Output: linear.weight F32 [2 3] [1 2 3 4 5 6]
}

func ExampleParse() {
	// A header that promises four bytes of data, and three bytes.
	file := "\x3d\x00\x00\x00\x00\x00\x00\x00" +
		`{"bias":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}    ` + "\x00\x00\x00"
	_, err := safetensors.Parse("model.safetensors", []byte(file))
	fmt.Println(err)
	// Output: read model.safetensors: file is truncated: 1 of its 4 data bytes are missing
}

func ExampleOpenCheckpoint() {
	dir, err := os.MkdirTemp("", "safetensors")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	tensors := []safetensors.Tensor{
		safetensors.FromFloat32s("embed.weight", []int64{2}, []float32{1, 2}),
		safetensors.FromFloat32s("head.weight", []int64{2}, []float32{3, 4}),
	}
	if err := safetensors.WriteSharded(dir, 8, nil, tensors); err != nil {
		log.Fatal(err)
	}
	c, err := safetensors.OpenCheckpoint(dir)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	fmt.Println(len(c.Files()), "files:", c.Names())
	// Output: 2 files: [embed.weight head.weight]
}
