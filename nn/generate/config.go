package generate

import (
	"fmt"
	"math"
	"slices"
)

// Rules says whose beam search it is.
type Rules string

const (
	// Transformers is the search of transformers' generate: finished texts are set
	// aside, and others go on in their place.
	Transformers Rules = "transformers"
	// LoRA is the search of LoRA's gpt2_beam.py: finished texts take their place in
	// the beam for that step, n-grams count from the end of the prompt, and what
	// is not finished at the end competes too.
	LoRA Rules = "lora"
)

// EarlyStopping says when a search by Transformers rules ends.
type EarlyStopping string

const (
	WhenUnlikely EarlyStopping = "false" // when no text in the beam would become better at its length of now
	WhenFull     EarlyStopping = "true"  // as soon as there are as many finished texts as beams
	Never        EarlyStopping = "never" // when no text in the beam could become better at any length
)

// Config says how to generate. The zero value of a field that is not named here
// is its plainest meaning.
type Config struct {
	Beams         int     // 1: greedy, or sampling
	MaxNewTokens  int     // at least 1
	End           []int64 // tokens that end a text
	Rules         Rules   // of a search with several beams; "": Transformers
	LengthPenalty float64 // a text's score is its log probability over its length to this power
	NoRepeatNGram int     // no n-gram of this size occurs twice; 0: any may
	EarlyStopping EarlyStopping

	// Of sampling, with one beam.
	Sample      bool
	Temperature float64 // 0: 1
	TopK        int     // only the so many likeliest tokens; 0: all
	TopP        float64 // only the likeliest tokens that together have this probability; 0: all
	Seed        uint64
}

// Check returns an error that names the first setting that makes no sense.
func (c Config) Check() error {
	switch {
	case c.Beams < 1:
		return fmt.Errorf("beams: got %d, want at least 1", c.Beams)
	case c.MaxNewTokens < 1:
		return fmt.Errorf("max-new-tokens: got %d, want at least 1", c.MaxNewTokens)
	case c.NoRepeatNGram < 0:
		return fmt.Errorf("no-repeat-ngram: got %d, want at least 0", c.NoRepeatNGram)
	case math.IsNaN(c.LengthPenalty) || math.IsInf(c.LengthPenalty, 0):
		return fmt.Errorf("length-penalty: got %v, want a number", c.LengthPenalty)
	case c.Rules != "" && c.Rules != Transformers && c.Rules != LoRA:
		return fmt.Errorf("beam-rules: got %q, want %s or %s", c.Rules, Transformers, LoRA)
	case c.Sample && c.Beams > 1:
		return fmt.Errorf("sampling with %d beams: want one", c.Beams)
	case !(c.Temperature >= 0) || math.IsInf(c.Temperature, 0):
		return fmt.Errorf("temperature: got %v, want more than 0", c.Temperature)
	case c.TopK < 0:
		return fmt.Errorf("top-k: got %d, want at least 0", c.TopK)
	case !(c.TopP >= 0 && c.TopP <= 1):
		return fmt.Errorf("top-p: got %v, want 0 to 1", c.TopP)
	case !slices.Contains([]EarlyStopping{"", WhenUnlikely, WhenFull, Never}, c.EarlyStopping):
		return fmt.Errorf("early-stopping: got %q, want %s, %s or %s", c.EarlyStopping, WhenUnlikely, WhenFull, Never)
	}
	return nil
}

// ends reports whether token ends a text.
func (c Config) ends(token int64) bool { return slices.Contains(c.End, token) }

// score is what texts compete by: the sum of the log probabilities of length
// tokens, over the length penalty.
func (c Config) score(sum float32, length int) float32 {
	return sum / float32(math.Pow(float64(length), c.LengthPenalty))
}
