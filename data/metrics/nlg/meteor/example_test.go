package meteor_test

import (
	"fmt"
	"log"

	"autolora/data/metrics/nlg/meteor"
)

func ExampleMeteor_Score() {
	dir, err := meteor.DefaultDir() // made by scripts/fetch_meteor.sh
	if err != nil {
		log.Fatal(err)
	}
	m, err := meteor.Load(dir, "") // or METEOR's paraphrase-en.gz
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
}
