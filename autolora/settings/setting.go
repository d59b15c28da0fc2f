package settings

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Setting is one entry of the table: a value of a Config, and all that is to be
// known of it.
type Setting struct {
	Name    string // of the flag, and of the entry in config.json
	Earlier string // the name that it had before; "": always this
	Usage   string // the placeholder in backquotes, then what it is
	Unset   string // what the default means where its value does not say it
	Group   string // title under which help lists it
	Readers        // commands that read it
	Effect         // what depends on it
	// PerProcess is set where processes that share a run may differ: paths of
	// their machine, and its threads.
	PerProcess bool
	// Kept is set for what says how a model takes its texts and gives its answers: a
	// run leaves it beside what it made, for eval and predict.
	Kept bool
	// Idle is set where it is kept, and says nothing of a model made with these settings.
	Idle bool
	// OneCall is set for what is said to one call of the program: a file with
	// settings does not say it again.
	OneCall bool
	// Whole is a list each value of which is a flag of its own: commas are part of it.
	Whole bool
	// Auto is set for a number in whose place AutoWord may stand: the run finds it out.
	Auto bool
	// Choices are the words that it takes, or the usual ones of them.
	Choices []string
	// Value points into the Config: *string, *[]string, *bool, *int, *int64,
	// *[]int64, *uint64, *float64, *[]float64 or *Amount.
	Value any

	fallback any          // default, of Value's type
	check    func() error // whether the value makes sense by itself; nil: always
}

// Readers is a set of commands.
type Readers uint

// The commands that read settings.
const (
	Run Readers = 1 << iota
	Search
	Train
	Compare
	Prune
	Eval
	Predict
	Export
	Score
	Bench
	Info
	Tune

	Jobs = Run | Search | Train | Compare | Tune // that write an output folder
)

// Auto is the value of a number that is to be found out, which nobody gives as one,
// and AutoWord what is written for it.
const (
	Auto     = -math.MaxFloat64
	AutoWord = "auto"
)

// What --class-weights takes.
const (
	EqualWeights    = "none"
	BalancedWeights = "balanced"
)

// What --keep takes.
const (
	KeepLast = "last"
	KeepBest = "best"
)

// Generation is the group of the settings that say how texts are generated.
const Generation = "Generation"

// Has reports whether all of the commands are among r.
func (r Readers) Has(commands Readers) bool { return r&commands == commands }

// Effect is what depends on a setting.
type Effect int

const (
	Result      Effect = iota // what a run comes to
	Measure                   // that, and what scores are of: runs that differ in it cannot be compared
	Identity                  // which run it is
	Machine                   // where it is computed; the result but for rounding
	Bookkeeping               // nothing of the result: a run may go on with another value
)

// reset sets the default.
func (s Setting) reset() { reflect.ValueOf(s.Value).Elem().Set(reflect.ValueOf(s.fallback)) }

// get returns the value.
func (s Setting) get() any { return reflect.ValueOf(s.Value).Elem().Interface() }

// IsDefault reports whether the value is the default.
func (s Setting) IsDefault() bool { return reflect.DeepEqual(s.get(), s.fallback) }

// JSON returns the value as config.json has it.
func (s Setting) JSON() json.RawMessage {
	if s.Auto && s.get() == float64(Auto) {
		return json.RawMessage(strconv.Quote(AutoWord))
	}
	text, err := json.Marshal(s.Value)
	if err != nil { // a number that is not finite, which no file has
		text, _ = json.Marshal(fmt.Sprint(s.get()))
	}
	return text
}

// Words returns the value for a message: with what it stands for, where that is
// something else.
func (s Setting) Words() string {
	if s.Unset != "" && s.IsDefault() {
		return fmt.Sprintf("%s (%s)", s.JSON(), s.Unset)
	}
	return string(s.JSON())
}

// String returns the value as a flag takes it.
func (s Setting) String() string {
	if s.Auto && s.get() == float64(Auto) {
		return AutoWord
	}
	return strings.Trim(fmt.Sprint(s.get()), "[]")
}

// set takes the value from JSON. A list is a new one: copies of the Config share
// the one before.
func (s Setting) set(value json.RawMessage) error {
	field := reflect.ValueOf(s.Value).Elem()
	if s.Auto && string(value) == strconv.Quote(AutoWord) {
		field.SetFloat(Auto)
		return nil
	}
	fresh := reflect.New(field.Type())
	if err := json.Unmarshal(value, fresh.Interface()); err != nil {
		return &Error{s.Name, fmt.Errorf("got %s, want %s", value, kinds[field.Type().String()])}
	}
	field.Set(fresh.Elem())
	return nil
}

var kinds = map[string]string{
	"string": "a text", "bool": "true or false", "int": "a whole number", "int64": "a whole number", "uint64": "a whole number of at least 0",
	"float64": "a number", "settings.Amount": "a whole number, as 50000, 50k or 1.5M", "[]string": "a list of texts", "[]int64": "a list of whole numbers", "[]float64": "a list of numbers",
}

// of makes settings those of a group, which the commands read.
func of(group string, readers Readers, settings ...Setting) []Setting {
	for i := range settings {
		settings[i].Group = group
		if settings[i].Readers&only == 0 {
			settings[i].Readers |= readers
		}
		settings[i].Readers &^= only
	}
	return settings
}

// only marks the readers of a setting that are not those of its group.
const only Readers = 1 << 31

func (s Setting) alsoFor(commands Readers) Setting { s.Readers |= commands; return s }
func (s Setting) onlyFor(commands Readers) Setting { s.Readers = commands | only; return s }
func (s Setting) is(e Effect) Setting              { s.Effect = e; return s }
func (s Setting) unset(means string) Setting       { s.Unset = means; return s }
func (s Setting) before(name string) Setting       { s.Earlier = name; return s }
func (s Setting) perProcess() Setting              { s.PerProcess = true; return s }
func (s Setting) kept() Setting                    { s.Kept = true; return s }
func (s Setting) keptIf(says bool) Setting         { s.Kept, s.Idle = true, !says; return s }
func (s Setting) ofOneCall() Setting               { s.OneCall = true; return s }
func (s Setting) holds(check func() error) Setting { s.check = check; return s }
func (s Setting) takenWhole() Setting              { s.Whole = true; return s }
func (s Setting) orAuto() Setting                  { s.Auto = true; s.Choices = []string{AutoWord}; return s }
func (s Setting) words(usual ...string) Setting    { s.Choices = usual; return s }

func text(name string, value *string, fallback, usage string) Setting {
	return Setting{Name: name, Value: value, fallback: fallback, Usage: usage}
}

func flag(name string, value *bool, fallback bool, usage string) Setting {
	return Setting{Name: name, Value: value, fallback: fallback, Usage: usage}
}

func amount(name string, value *Amount, usage string) Setting {
	return Setting{Name: name, Value: value, fallback: Amount(0), Usage: usage}
}

func list(name string, value *[]string, fallback []string, usage string) Setting {
	return Setting{Name: name, Value: value, fallback: fallback, Usage: usage}
}

func numbers(name string, value *[]int64, fallback []int64, usage string) Setting {
	return Setting{Name: name, Value: value, fallback: fallback, Usage: usage}
}

func rates(name string, value *[]float64, usage string) Setting {
	check := func() error {
		for _, v := range *value {
			if !(v > 0) || math.IsInf(v, 0) {
				return fmt.Errorf("got %v, want more than 0", v)
			}
		}
		return nil
	}
	return Setting{Name: name, Value: value, fallback: []float64(nil), Usage: usage, check: check}
}

// choice is one of some words.
func choice[T ~string](name string, value *string, fallback T, allowed []T, usage string) Setting {
	words := make([]string, len(allowed))
	for i, w := range allowed {
		words[i] = string(w)
	}
	check := func() error {
		if slices.Contains(words, *value) {
			return nil
		}
		return fmt.Errorf("got %q, want one of %s", *value, strings.Join(words, ", "))
	}
	return Setting{Name: name, Value: value, fallback: string(fallback), Usage: usage, Choices: words, check: check}
}

// number is one in a range.
func number[T int | int64 | uint64 | float64](name string, value *T, fallback T, want limits, usage string) Setting {
	check := func() error {
		switch v := float64(*value); {
		case !want.hold(v) || math.IsInf(v, 0) || math.IsNaN(v):
			return fmt.Errorf("got %v, want %s", *value, want.words)
		case want.most > 0 && v > want.most:
			return fmt.Errorf("got %v, want at most %.0f", *value, want.most)
		}
		return nil
	}
	return Setting{Name: name, Value: value, fallback: fallback, Usage: usage, check: check}
}

// limits are the numbers that make sense.
type limits struct {
	hold  func(v float64) bool
	words string
	most  float64 // beyond which a number is a mistake; 0: none is
}

// enough is more than any number of steps, tokens or examples that a run has,
// and little enough to be multiplied.
const enough = 1e9

// upTo bounds what would be allocated, or counted up to, before a run could say
// that it is too much.
func (l limits) upTo(most float64) limits { l.most = most; return l }

var (
	anyNumber = limits{hold: func(float64) bool { return true }, words: "a number"}
	share     = limits{hold: func(v float64) bool { return v >= 0 && v < 1 }, words: "at least 0 and less than 1"}
)

func atLeast(least float64) limits {
	return limits{func(v float64) bool { return v >= least }, fmt.Sprintf("at least %v", least), enough}
}

func above(bound float64) limits {
	return limits{func(v float64) bool { return v > bound }, fmt.Sprintf("more than %v", bound), enough}
}

func between(low, high float64) limits {
	return limits{hold: func(v float64) bool { return v > low && v < high }, words: fmt.Sprintf("between %v and %v", low, high)}
}

func within(low, high float64) limits {
	return limits{hold: func(v float64) bool { return v >= low && v <= high }, words: fmt.Sprintf("%v to %v", low, high)}
}

// rate is a learning rate; 0 stands for another setting's or a method's.
var rate = limits{hold: func(v float64) bool { return v >= 0 }, words: "more than 0"}

// rateOrAuto is one that may be found out, too.
var rateOrAuto = limits{hold: func(v float64) bool { return v >= 0 || v == Auto }, words: "more than 0, or " + AutoWord}

// probabilityOrAuto is a probability that may be found out, too.
var probabilityOrAuto = limits{hold: func(v float64) bool { return v >= 0 && v < 1 || v == Auto }, words: "at least 0 and less than 1, or " + AutoWord}

// orUnset allows negative numbers too, which stand for another setting's.
func orUnset(want limits) limits {
	return limits{func(v float64) bool { return v < 0 || want.hold(v) }, want.words, want.most}
}
