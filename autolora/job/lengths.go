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
func ReadFile(ctx context.Context, cfg settings.Config) (*data.Splits, settings.Config, error) {
	dir, err := "", error(nil)
	if cfg.Model != "" {
		if dir, err = modelFolder(ctx, cfg.Model); err != nil {
			return nil, cfg, err
		}
	}
	cfg, _, err = completeFiles(cfg, dir)
	if err != nil {
		return nil, cfg, err
	}
	splits, err := ownFiles(cfg).Load()
	return splits, cfg, err
}

// Reading is an example as a model reads it.
type Reading struct {
	Where string           `json:"where"`
	Parts []tokenizer.Part `json:"parts"`
}

// Read counts the tokens of the examples of d as the model reads them, and returns
// the first few.
func Read(ctx context.Context, cfg settings.Config, d *data.Dataset) (*Lengths, []Reading, error) {
	const first = 3
	dir, err := modelFolder(ctx, cfg.Model)
	if err != nil {
		return nil, nil, err
	}
	arch, err := nn.ReadConfig(dir)
	if err != nil {
		return nil, nil, err
	}
	fitLength(&cfg, arch)
	tok, err := tokenizer.Load(dir)
	if err != nil {
		return nil, nil, err
	}
	defer tok.Close()
	enc, err := newEncoder(tok, cfg.MaxLength, arch)
	if err != nil {
		return nil, nil, err
	}
	lengths, err := tokenLengths(ctx, tok, enc, cfg, d, 0)
	if err != nil || d.Kind == data.Tagging {
		return lengths, nil, err
	}
	if d, err = asRead(d.Range(0, min(first, d.Len())), enc); err != nil {
		return nil, nil, err
	}
	var readings []Reading
	for _, ex := range d.Examples[:min(first, d.Len())] {
		parts, err := tok.Parts(ex, cfg.MaxLength)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", ex.Where(), err)
		}
		readings = append(readings, Reading{ex.Where(), parts})
	}
	return lengths, readings, nil
}

// fitLength lowers a max-length that nobody chose to what the model has positions
// for, in generation beside what is written, and returns a note about it. One
// that was chosen is an error where it does not fit.
func fitLength(cfg *settings.Config, arch nn.Config) (note string) {
	room, writes := int(arch.MaxTokens()), arch.Generates() && writes(*cfg, arch)
	if writes {
		room -= cfg.Decoding.MaxNewTokens
	}
	length, _ := cfg.Find("max-length")
	if !length.IsDefault() || room >= cfg.MaxLength || room < 3 { // the least that a text takes: the error about it comes later
		return ""
	}
	cfg.MaxLength = room
	note = fmt.Sprintf("max-length is %d: the model has positions for %d tokens", room, arch.MaxTokens())
	if writes {
		note += fmt.Sprintf(", %d of them for what it writes (max-new-tokens)", cfg.Decoding.MaxNewTokens)
	}
	return note
}

// writes reports whether texts are what a model that can write them is asked for: by
// the task or the kind, or where none is given by the model.
func writes(cfg settings.Config, arch nn.Config) bool {
	if task, err := data.NamedTask(cfg.Task); err == nil {
		return task.Kind.Writes()
	}
	if cfg.Kind != "" {
		return cfg.Kind.Writes()
	}
	return !arch.HasHead()
}

// asRead returns the texts that are read of conversations; other examples as they are.
func asRead(d *data.Dataset, enc *tokenizer.Encoder) (*data.Dataset, error) {
	if d.Kind != data.Chat {
		return d, nil
	}
	d, _, err := data.Pieces(d, enc)
	return d, err
}

func tokenLengths(ctx context.Context, tok *tokenizer.Tokenizer, enc *tokenizer.Encoder, cfg settings.Config, d *data.Dataset, most int) (*Lengths, error) {
	some, err := asRead(d.Select(data.Subset(d.Len(), cmp.Or(most, d.Len()), cfg.Seed)), enc)
	if err != nil {
		return nil, err
	}
	l := &Lengths{Limit: cfg.MaxLength, drawn: most > 0 && most < d.Len()}
	var lengths []int
	for _, ex := range some.Examples {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
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
		l.Examples, l.Median, l.Most95, l.Longest = n, lengths[n/2], lengths[n*95/100], lengths[n-1]
	}
	return l, nil
}
