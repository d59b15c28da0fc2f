package job

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"autolora/autolora/settings"
	"autolora/data"
	"autolora/data/tokenizer"
	"autolora/human"
	"autolora/nn"
)

// Lengths says how long examples are in tokens, special ones included.
type Lengths struct {
	Examples int `json:"examples"` // that were looked at
	Median   int `json:"median"`
	Most95   int `json:"percentile_95"` // 95 % are not longer
	Longest  int `json:"longest"`
	Limit    int `json:"max_length"`
	Cut      int `json:"longer"` // than the limit

	drawn bool // of more
}

func (l Lengths) String() string {
	of := human.Thousands(l.Examples)
	if l.drawn {
		of = "the " + of + " drawn"
	}
	return fmt.Sprintf("median %d, 95 %% up to %d, longest %d; %s of %s longer than max-length %d", l.Median, l.Most95, l.Longest, human.Thousands(l.Cut), of, l.Limit)
}

// ReadFile reads the user's own training file alone, with what is guessed of its
// columns.
func ReadFile(cfg settings.Config) (*data.Splits, settings.Config, error) {
	cfg, _, err := completeFiles(cfg)
	if err != nil {
		return nil, cfg, err
	}
	splits, err := ownFiles(cfg).Load()
	return splits, cfg, err
}

// TokenLengths counts the tokens of the examples of d, or of so many drawn of them
// if most is not 0.
func TokenLengths(ctx context.Context, cfg settings.Config, d *data.Dataset, most int) (*Lengths, error) {
	dir, err := modelFolder(ctx, cfg.Model)
	if err != nil {
		return nil, err
	}
	arch, err := nn.ReadConfig(dir)
	if err != nil {
		return nil, err
	}
	fitLength(&cfg, arch)
	tok, err := tokenizer.Load(dir)
	if err != nil {
		return nil, err
	}
	defer tok.Close()
	return tokenLengths(ctx, tok, cfg, d, most)
}

// fitLength lowers a max-length that nobody chose to what the model has positions
// for, in generation beside what is written, and returns a note about it. One
// that was chosen is an error where it does not fit.
func fitLength(cfg *settings.Config, arch nn.Config) (note string) {
	room := int(arch.MaxTokens())
	if arch.Generates() {
		room -= cfg.Decoding.MaxNewTokens
	}
	length, _ := cfg.Find("max-length")
	if !length.IsDefault() || room >= cfg.MaxLength || room < 3 { // the least that a text takes: the error about it comes later
		return ""
	}
	cfg.MaxLength = room
	note = fmt.Sprintf("max-length is %d: the model has positions for %d tokens", room, arch.MaxTokens())
	if arch.Generates() {
		note += fmt.Sprintf(", %d of them for what it writes (max-new-tokens)", cfg.Decoding.MaxNewTokens)
	}
	return note
}

func tokenLengths(ctx context.Context, tok *tokenizer.Tokenizer, cfg settings.Config, d *data.Dataset, most int) (*Lengths, error) {
	l := &Lengths{Limit: cfg.MaxLength}
	var lengths []int
	for _, i := range data.Subset(d.Len(), cmp.Or(most, d.Len()), cfg.Seed) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		ex := d.Examples[i]
		e, _, err := tok.EncodeExample(ex, 0)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", ex.Where(), err)
		}
		lengths = append(lengths, len(e.IDs))
		if len(e.IDs) > cfg.MaxLength {
			l.Cut++
		}
	}
	slices.Sort(lengths)
	if n := len(lengths); n > 0 {
		l.Examples, l.Median, l.Most95, l.Longest, l.drawn = n, lengths[n/2], lengths[n*95/100], lengths[n-1], n < d.Len()
	}
	return l, nil
}
