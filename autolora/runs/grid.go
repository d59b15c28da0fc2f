package runs

// Grid is what grid.json holds: the configurations of a grid search, in the
// order in which they were trained.
type Grid struct {
	Metric         string          `json:"metric"` // by which they are ranked, on the validation half
	Configurations []Configuration `json:"configurations"`
	Best           int             `json:"best"` // place of the best among them
}

// Configuration is one point of a grid.
type Configuration struct {
	Ranks   map[string]int64 `json:"ranks"` // by target
	Score   float64          `json:"score"`
	Adapter int64            `json:"adapter"` // parameters
	Steps   int              `json:"steps"`
}

// Rank sets Best: the highest score; of equal ones that with fewer parameters,
// then the earlier.
func (g *Grid) Rank() {
	g.Best = 0
	for i, c := range g.Configurations {
		best := g.Configurations[g.Best]
		if c.Score > best.Score || c.Score == best.Score && c.Adapter < best.Adapter {
			g.Best = i
		}
	}
}
