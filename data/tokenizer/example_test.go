package tokenizer_test

import (
	"fmt"
	"log"

	"autolora/data/tokenizer"
)

func Example() {
	tok, err := tokenizer.Load("testdata/bert")
	if err != nil {
		log.Fatal(err)
	}
	defer tok.Close()
	pair := "He does not."
	enc, truncated, err := tok.Encode("The man plays.", &pair, 10)
	if err != nil {
		log.Fatal(err)
	}
	ids := make([]int64, len(enc.IDs)) // as a model has them
	for i, id := range enc.IDs {
		ids[i] = int64(id)
	}
	text, err := tok.Decode(ids, false)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(enc.IDs)
	fmt.Println(enc.Segments)
	fmt.Println(text, truncated)
	// Output:
	// [2 548 699 911 274 3 554 1044 576 3]
	// [0 0 0 0 0 0 1 1 1 1]
	// [CLS] the man plays [SEP] he does not [SEP] true
}
