package nn

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"

	"autolora/plainjson"
)

// Rope says by how much rotary embeddings turn with the position. The forms, and
// where they round to float32, are those of transformers' modeling_rope_utils.py, but
// for the base of dynamic, which is float32 there.
type Rope struct {
	Theta   float64 `json:"rope_theta"` // base of the frequencies
	Type    string  `json:"rope_type"`
	Partial float64 `json:"partial_rotary_factor"` // of a head, its first columns, is turned
	// Factor is how many times longer texts may be than in pre-training. In yarn and
	// longrope 0 stands for max_position_embeddings / OriginalMax.
	Factor      float64 `json:"factor"`
	OriginalMax float64 `json:"original_max_position_embeddings"` // of llama3, yarn and longrope
	// Of llama3: only where a turn takes long against the original context.
	LowFreqFactor  float64 `json:"low_freq_factor"`
	HighFreqFactor float64 `json:"high_freq_factor"`
	// Of yarn: turns per original context between which frequencies change over.
	BetaFast float64 `json:"beta_fast"`
	BetaSlow float64 `json:"beta_slow"`
	Truncate *bool   `json:"truncate"` // to whole columns; nil: true
	// Of yarn and longrope: what queries and keys are multiplied by; 0: by the type's
	// rule.
	AttentionFactor float64 `json:"attention_factor"`
	MScale          float64 `json:"mscale"`
	MScaleAllDim    float64 `json:"mscale_all_dim"`
	// Of longrope: how much slower each pair turns in texts of at most OriginalMax
	// tokens, and in longer ones.
	ShortFactor []float64 `json:"short_factor"`
	LongFactor  []float64 `json:"long_factor"`

	maxPositions float64 // max_position_embeddings
}

// The types of Rope.
const (
	defaultRope  = "default"
	linearRope   = "linear"   // positions count Factor times slower
	llama3Rope   = "llama3"   // Llama 3.1
	dynamicRope  = "dynamic"  // NTK, by the length of the text
	yarnRope     = "yarn"     // Peng et al. 2023
	longrope     = "longrope" // Ding et al. 2024
	knownRopes   = "default, linear, dynamic, yarn, longrope or llama3"
	defaultTheta = 10000
)

// readRope reads config.json's rope_theta, for which theta stands where there is
// none, and rope_scaling, or what transformers 5 writes in their place,
// rope_parameters.
func readRope(data []byte, cfg *Config, theta float64) (Rope, error) {
	keys := struct {
		Theta       float64         `json:"rope_theta"`
		Partial     float64         `json:"partial_rotary_factor"`
		OriginalMax float64         `json:"original_max_position_embeddings"`
		Scaling     json.RawMessage `json:"rope_scaling"`
		Parameters  json.RawMessage `json:"rope_parameters"`
	}{Theta: theta, Partial: 1}
	if err := plainjson.Unmarshal(data, &keys); err != nil {
		return Rope{}, err
	}
	r := Rope{Theta: keys.Theta, Type: defaultRope, Partial: keys.Partial, maxPositions: float64(cfg.MaxPositionEmbeddings)}
	err := r.read(keys.Scaling, keys.Parameters)
	r.OriginalMax = cmp.Or(keys.OriginalMax, r.OriginalMax, r.maxPositions)
	return r, err
}

// read reads objects of rope_scaling's kind over r.
func (r *Rope) read(parts ...json.RawMessage) error {
	for _, part := range parts {
		if part == nil || string(part) == "null" {
			continue
		}
		older := struct {
			Type string `json:"type"` // before transformers 4.45
		}{}
		if err := plainjson.Unmarshal(part, &older); err != nil {
			return fmt.Errorf("rope_scaling: %w", err)
		}
		r.Type = cmp.Or(older.Type, r.Type)
		if err := plainjson.Unmarshal(part, r); err != nil {
			return fmt.Errorf("rope_scaling: %w", err)
		}
		if r.Type == "su" || r.Type == yarnRope && r.LongFactor != nil { // of Phi-3's first folders
			r.Type = longrope
		}
	}
	return nil
}

// readRopes reads the rotary embeddings of blocks with a window and of those without,
// over the bases sliding and full of their frequencies. both tells that rope_scaling
// is for either.
func readRopes(data []byte, cfg *Config, fullTheta, slidingTheta float64, both bool) error {
	var keys struct {
		Scaling    json.RawMessage `json:"rope_scaling"`
		Parameters *struct {
			Full    json.RawMessage `json:"full_attention"`
			Sliding json.RawMessage `json:"sliding_attention"`
		} `json:"rope_parameters"` // transformers 5
	}
	if err := plainjson.Unmarshal(data, &keys); err != nil {
		return err
	}
	full := Rope{Theta: fullTheta, Type: defaultRope, Partial: 1, maxPositions: float64(cfg.MaxPositionEmbeddings)}
	full.OriginalMax = full.maxPositions
	sliding := full
	sliding.Theta = slidingTheta
	err := full.read(keys.Scaling)
	if both {
		err = cmp.Or(err, sliding.read(keys.Scaling))
	}
	if p := keys.Parameters; p != nil {
		if p.Full == nil && p.Sliding == nil {
			return errors.New("rope_parameters: want full_attention and sliding_attention in it")
		}
		err = cmp.Or(err, full.read(p.Full), sliding.read(p.Sliding))
	}
	if err = cmp.Or(err, cfg.turn(&full)); err != nil {
		return err
	}
	if partial := min(full.Partial, sliding.Partial); partial != 1 {
		return fmt.Errorf("partial_rotary_factor: got %v, want 1", partial)
	}
	for i := range cfg.LayerTypes {
		if l := &cfg.LayerTypes[i]; l.Window > 0 {
			l.Rope = &sliding
		}
	}
	return sliding.check(cfg.HeadDim)
}

// turn checks r and gives it to all blocks.
func (c *Config) turn(r *Rope) error {
	for i := range c.LayerTypes {
		c.LayerTypes[i].Rope = r
	}
	return r.check(c.HeadDim)
}

// check checks r for heads of size d.
func (r *Rope) check(d int64) error {
	finite := func(values ...float64) bool {
		for _, v := range values {
			if !(v > 0) || math.IsInf(v, 0) {
				return false
			}
		}
		return true
	}
	switch {
	case !(r.Theta >= 1) || math.IsInf(r.Theta, 0):
		return fmt.Errorf("rope_theta: got %v, want a number of at least 1", r.Theta)
	case !(r.Partial > 0 && r.Partial <= 1) || d > 0 && r.turned(d) < 2 || r.turned(d)%2 != 0:
		return fmt.Errorf("partial_rotary_factor: got %v, want an even part of head_dim %d", r.Partial, d)
	}
	pairs := int(r.turned(d) / 2)
	switch r.Type {
	case defaultRope:
		return nil
	case linearRope, dynamicRope:
		if !finite(r.Factor) {
			return fmt.Errorf("rope_scaling: got factor %v, want more than 0", r.Factor)
		}
		if r.Type == dynamicRope && pairs < 2 {
			return fmt.Errorf("rope_scaling: dynamic turns %d columns of a head, want more than 2", 2*pairs)
		}
	case llama3Rope:
		if !finite(r.Factor) {
			return fmt.Errorf("rope_scaling: got factor %v, want more than 0", r.Factor)
		}
		if !(finite(r.LowFreqFactor, r.OriginalMax) && r.HighFreqFactor > r.LowFreqFactor) {
			return fmt.Errorf("rope_scaling: got low_freq_factor %v, high_freq_factor %v and original_max_position_embeddings %v, want rising factors and a length",
				r.LowFreqFactor, r.HighFreqFactor, r.OriginalMax)
		}
	case yarnRope:
		if !(finite(r.factor(), r.OriginalMax) && r.Theta > 1 && r.BetaFast >= 0 && r.BetaSlow >= 0 && r.AttentionFactor >= 0) {
			return fmt.Errorf("rope_scaling: got factor %v, original_max_position_embeddings %v, rope_theta %v, beta_fast %v, beta_slow %v and attention_factor %v, want positive numbers",
				r.factor(), r.OriginalMax, r.Theta, r.BetaFast, r.BetaSlow, r.AttentionFactor)
		}
	case longrope:
		if len(r.ShortFactor) != pairs || len(r.LongFactor) != pairs || !finite(r.ShortFactor...) || !finite(r.LongFactor...) {
			return fmt.Errorf("rope_scaling: got %d numbers in short_factor and %d in long_factor, want %d positive ones", len(r.ShortFactor), len(r.LongFactor), pairs)
		}
		if !(finite(r.factor()) && r.OriginalMax > 1 && r.AttentionFactor >= 0) {
			return fmt.Errorf("rope_scaling: got factor %v, original_max_position_embeddings %v and attention_factor %v, want positive numbers and a length",
				r.factor(), r.OriginalMax, r.AttentionFactor)
		}
	default:
		return fmt.Errorf("rope_scaling: got type %q, want %s", r.Type, knownRopes)
	}
	return nil
}

// turned returns how many columns of a head of size d are turned.
func (r *Rope) turned(d int64) int64 { return int64(float64(d) * r.Partial) }

func (r *Rope) factor() float64 { return cmp.Or(r.Factor, r.maxPositions/r.OriginalMax) }

// reach returns for how many positions r is meant.
func (r *Rope) reach() int64 {
	most := r.maxPositions
	switch r.Type {
	case dynamicRope:
		most *= r.Factor
	case yarnRope:
		most = max(most, r.factor()*r.OriginalMax)
	}
	return int64(min(most, math.MaxInt32))
}

// scale returns what queries and keys are multiplied by.
func (r *Rope) scale() float64 {
	mscale := func(m float64) float64 {
		if r.factor() <= 1 {
			return 1
		}
		return 0.1*m*math.Log(r.factor()) + 1
	}
	switch {
	case r.AttentionFactor != 0 && (r.Type == yarnRope || r.Type == longrope):
		return r.AttentionFactor
	case r.Type == yarnRope && r.MScale != 0 && r.MScaleAllDim != 0:
		return mscale(r.MScale) / mscale(r.MScaleAllDim)
	case r.Type == yarnRope:
		return mscale(1)
	case r.Type == longrope && r.factor() > 1:
		return math.Sqrt(1 + math.Log(r.factor())/math.Log(r.OriginalMax))
	}
	return 1
}

// varies reports whether the frequencies depend on the length of the text: of each
// its own, while transformers takes that of the longest in a batch.
func (r *Rope) varies() bool { return r.Type == dynamicRope || r.Type == longrope }

// jumps reports whether the frequencies of a text are others from so many tokens on
// than one token before, for what was read before too.
func (r *Rope) jumps(length int64) bool {
	return r.Type == longrope && float64(length)-1 == r.OriginalMax
}

// frequencies returns by how much each pair of d turned columns turns from one
// position to the next, in a text of so many tokens: [d/2].
func (r *Rope) frequencies(d, length int64) []float32 {
	theta := r.Theta
	if r.Type == dynamicRope && float64(length) > r.maxPositions {
		theta *= math.Pow(r.Factor*float64(length)/r.maxPositions-(r.Factor-1), float64(d)/float64(d-2))
	}
	factors := r.ShortFactor
	if float64(length) > r.OriginalMax {
		factors = r.LongFactor
	}
	out := make([]float32, d/2)
	for i := range out {
		power := float32(math.Pow(theta, float64(float32(2*i)/float32(d))))
		f := 1 / power
		switch r.Type {
		case linearRope:
			f /= float32(r.Factor)
		case llama3Rope:
			f = r.llama3(f)
		case yarnRope:
			keep := 1 - r.ramp(d, i)
			f = 1/(float32(r.factor())*power)*(1-keep) + f*keep
		case longrope:
			f = 1 / (float32(factors[i]) * power)
		}
		out[i] = f
	}
	return out
}

// llama3 slows frequency f down by Factor where its turn is longer than the
// original context over LowFreqFactor, leaves it where it is shorter than that
// over HighFreqFactor, and mixes both between (_compute_llama3_parameters).
func (r *Rope) llama3(f float32) float32 {
	turn := float32(2*math.Pi) / f
	slow := f / float32(r.Factor)
	switch {
	case turn < float32(r.OriginalMax/r.HighFreqFactor):
		return f
	case turn > float32(r.OriginalMax/r.LowFreqFactor):
		return slow
	}
	share := (float32(r.OriginalMax)/turn - float32(r.LowFreqFactor)) / float32(r.HighFreqFactor-r.LowFreqFactor)
	return (1-share)*slow + share*f
}

// ramp rises from 0 to 1 over the pairs of d columns that make between BetaFast and
// BetaSlow turns in the original context (_compute_yarn_parameters).
func (r *Rope) ramp(d int64, pair int) float32 {
	columns := func(turns float64) float64 {
		return float64(d) * math.Log(r.OriginalMax/(turns*2*math.Pi)) / (2 * math.Log(r.Theta))
	}
	low, high := columns(cmp.Or(r.BetaFast, 32)), columns(cmp.Or(r.BetaSlow, 1))
	if r.Truncate == nil || *r.Truncate {
		low, high = math.Floor(low), math.Ceil(high)
	}
	low, high = max(low, 0), min(high, float64(d-1))
	if low == high {
		high += 0.001
	}
	return min(max((float32(pair)-float32(low))/float32(high-low), 0), 1)
}
