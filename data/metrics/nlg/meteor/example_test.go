package meteor_test

import (
	"fmt"
	"log"

	"autolora/data/metrics/nlg/meteor"
)

func ExampleMeteor_Score() {
	m, err := meteor.Load("", "") // without a table of paraphrases
	if err != nil {
		log.Fatal(err)
	}
	scores, err := m.Score(
		[]string{"The Mill is a cheap pub."},
		[][]string{{"The Mill is a pub with low prices.", "A cheap pub is The Mill."}},
	)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s: %.4f\n", m.Label(), scores.Score)
	// Output: meteor (no paraphrase table): 0.4635
}
