package nlg_test

import (
	"fmt"

	"autolora/data/metrics/nlg"
)

func Example() {
	segments := []nlg.Segment{
		{"The Mill is a cheap pub.", []string{"The Mill is a cheap pub by the river.", "A cheap pub by the river is The Mill."}},
		{"It serves Chinese food.", []string{"Chinese food is served there.", "It serves Chinese food."}},
	}
	bleu, nist := nlg.MTEval(segments)
	words := nlg.PTB(segments)
	rougeL, each := nlg.ROUGEL(words)
	cider, _ := nlg.CIDEr(words)
	fmt.Printf("BLEU %.4f, NIST %.4f, ROUGE-L %.4f %.4f, CIDEr %.4f\n", bleu, nist, rougeL, each, cider)
	// Output: BLEU 0.7010, NIST 3.4373, ROUGE-L 0.8861 [0.7722 1.0000], CIDEr 5.5310
}
