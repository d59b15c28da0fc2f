package generate

import (
	"math"
	"math/rand/v2"
)

// sampler returns the choice of a token by chance: probabilities at the
// temperature, of the TopP likeliest only. The followers are the TopK likeliest.
// Each prompt has random numbers of its own, whatever the batch.
func (c Config) sampler(prompt int) func(followers []next) int64 {
	rng := rand.New(rand.NewPCG(c.Seed, uint64(prompt)))
	temperature := c.Temperature
	if temperature == 0 {
		temperature = 1
	}
	return func(followers []next) int64 {
		weights := make([]float64, len(followers))
		var total float64
		for i, f := range followers {
			weights[i] = math.Exp(float64(f.logp-followers[0].logp) / temperature)
			total += weights[i]
		}
		kept := len(weights)
		if c.TopP > 0 && c.TopP < 1 {
			var sum float64
			for i, w := range weights {
				if sum += w; sum >= c.TopP*total { // the one that reaches it is in
					kept, total = i+1, sum
					break
				}
			}
		}
		at := rng.Float64() * total
		for i, w := range weights[:kept] {
			if at -= w; at < 0 {
				return followers[i].token
			}
		}
		return followers[kept-1].token
	}
}
