package settings

import (
	"encoding/json"
	"strconv"

	"autolora/human"
)

// Amount is a whole number of at least 0 that may be given as 50k or 1.5M, too; in
// files it is a number.
type Amount int64

// String returns the number.
func (a *Amount) String() string { return strconv.FormatInt(int64(*a), 10) }

// Set takes a number, with or without a unit.
func (a *Amount) Set(text string) error {
	n, err := human.ParseThousands(text)
	if err == nil {
		*a = Amount(n)
	}
	return err
}

// Type says what a flag takes.
func (a *Amount) Type() string { return "amount" }

// UnmarshalJSON takes a number, or a text as Set does.
func (a *Amount) UnmarshalJSON(text []byte) error {
	var words string
	if json.Unmarshal(text, &words) != nil {
		words = string(text)
	}
	return a.Set(words)
}
