package nn

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"

	"autolora/plainjson"
	"autolora/torchbind"
)

// Rope says how rotary embeddings turn with the position.
type Rope struct {
	Theta float64 `json:"rope_theta"` // base of the frequencies
	Type  string  `json:"rope_type"`  // default, linear or llama3
	// Of linear and llama3: positions count Factor times slower.
	Factor float64 `json:"factor"`
	// Of llama3: only where a turn takes long against the original context.
	LowFreqFactor  float64 `json:"low_freq_factor"`
	HighFreqFactor float64 `json:"high_freq_factor"`
	OriginalMax    float64 `json:"original_max_position_embeddings"`
}

// readRope reads config.json's rope_theta and rope_scaling, or what
// transformers 5 writes in their place, rope_parameters.
func readRope(data []byte) (Rope, error) {
	var keys struct {
		Theta      *float64        `json:"rope_theta"`
		Scaling    json.RawMessage `json:"rope_scaling"`
		Parameters json.RawMessage `json:"rope_parameters"`
	}
	if err := plainjson.Unmarshal(data, &keys); err != nil {
		return Rope{}, err
	}
	r := Rope{Theta: 10000, Type: "default"}
	if keys.Theta != nil {
		r.Theta = *keys.Theta
	}
	return r, r.read(keys.Scaling, keys.Parameters)
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
		if older.Type != "" {
			r.Type = older.Type
		}
		if err := plainjson.Unmarshal(part, r); err != nil {
			return fmt.Errorf("rope_scaling: %w", err)
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
	full, sliding := Rope{Theta: fullTheta, Type: "default"}, Rope{Theta: slidingTheta, Type: "default"}
	err := full.read(keys.Scaling)
	if both {
		err = errors.Join(err, sliding.read(keys.Scaling))
	}
	if p := keys.Parameters; p != nil {
		if p.Full == nil && p.Sliding == nil {
			return errors.New("rope_parameters: want full_attention and sliding_attention in it")
		}
		err = errors.Join(err, full.read(p.Full), sliding.read(p.Sliding))
	}
	if err != nil {
		return err
	}
	for i := range cfg.LayerTypes {
		if l := &cfg.LayerTypes[i]; l.Window > 0 {
			l.Rope = &sliding
		} else {
			l.Rope = &full
		}
	}
	return errors.Join(full.check(), sliding.check())
}

func (r Rope) check() error {
	finite := func(v float64) bool { return v > 0 && !math.IsInf(v, 0) }
	switch {
	case !(r.Theta >= 1) || math.IsInf(r.Theta, 0):
		return fmt.Errorf("rope_theta: got %v, want a number of at least 1", r.Theta)
	case r.Type == "default":
		return nil
	case r.Type != "linear" && r.Type != "llama3":
		return fmt.Errorf("rope_scaling: got type %q, want default, linear or llama3", r.Type)
	case !finite(r.Factor):
		return fmt.Errorf("rope_scaling: got factor %v, want more than 0", r.Factor)
	case r.Type == "llama3" && !(finite(r.LowFreqFactor) && finite(r.OriginalMax) && r.HighFreqFactor > r.LowFreqFactor):
		return fmt.Errorf("rope_scaling: got low_freq_factor %v, high_freq_factor %v and original_max_position_embeddings %v, want rising factors and a length",
			r.LowFreqFactor, r.HighFreqFactor, r.OriginalMax)
	}
	return nil
}

// frequencies returns by how much each pair of a head of size d turns from one
// position to the next: [d/2]. They are rounded to float32 where transformers
// does (modeling_rope_utils.py).
func (r Rope) frequencies(d int64) []float32 {
	out := make([]float32, d/2)
	for i := range out {
		f := 1 / float32(math.Pow(r.Theta, float64(float32(2*i)/float32(d))))
		switch r.Type {
		case "linear":
			f /= float32(r.Factor)
		case "llama3":
			f = r.llama3(f)
		}
		out[i] = f
	}
	return out
}

// rotary is a Rope on the model's device.
type rotary struct {
	frequencies *torchbind.Tensor // [D/2] float32
}

// rotary returns that of r for heads of size d, the same for the same r; nil for
// nil.
func (ld *loader) rotary(r *Rope, d int64) *rotary {
	if r == nil {
		return nil
	}
	if ld.rotaries[r] == nil {
		ld.rotaries[r] = &rotary{torchbind.FromSlice(ld.scope, r.frequencies(d), []int64{d / 2}, ld.device)}
	}
	return ld.rotaries[r]
}

// llama3 slows frequency f down by Factor where its turn is longer than the
// original context over LowFreqFactor, leaves it where it is shorter than that
// over HighFreqFactor, and mixes both between (_compute_llama3_parameters).
func (r Rope) llama3(f float32) float32 {
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

// rotation holds the angles of rows for rotary embeddings; nil turns nothing.
type rotation struct{ cos, sin *torchbind.Tensor } // [N, D/2] float32

// rotations are those of rows at positions [N], made once for all blocks with the
// same rotary.
type rotations struct {
	scope     *torchbind.Scope
	positions *torchbind.Tensor
	made      map[*rotary]*rotation
}

// of returns the rotation by a rotary; nil for nil.
func (r *rotations) of(by *rotary) *rotation {
	if by == nil {
		return nil
	}
	turned, ok := r.made[by]
	if !ok {
		at := torchbind.Reshape(r.scope, torchbind.To(r.scope, r.positions, torchbind.Float32, r.positions.Device()), r.positions.Size(0), 1)
		angles := torchbind.Mul(r.scope, at, by.frequencies) // [N, D/2]
		turned = &rotation{torchbind.Cos(r.scope, angles), torchbind.Sin(r.scope, angles)}
		r.made[by] = turned
	}
	return turned
}

// at returns the angles of some of the rows.
func (r *rotation) at(s *torchbind.Scope, rows *torchbind.Tensor) *rotation {
	if r == nil {
		return nil
	}
	return &rotation{torchbind.IndexSelect(s, r.cos, 0, rows), torchbind.IndexSelect(s, r.sin, 0, rows)}
}

// apply turns the first heads of x [N, …].
func (r *rotation) apply(s *torchbind.Scope, x *torchbind.Tensor, heads int64) *torchbind.Tensor {
	if r == nil {
		return x
	}
	return torchbind.Rotary(s, x, r.cos, r.sin, heads)
}
