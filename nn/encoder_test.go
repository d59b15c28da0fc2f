package nn

import (
	"testing"

	"autolora/torchbind"
)

// todaysEncoders are those of testdata/nn/make_encoders.py.
var todaysEncoders = []struct {
	name       string
	labels     int64
	regression bool
}{
	{"distilbert-tiny", 3, false},
	{"distilbert-tiny-tokens", 5, false},
	{"electra-tiny", 3, false},
	{"electra-tiny-tokens", 5, false},
	{"modernbert-tiny", 3, false},
	{"modernbert-mean", 1, true},
	{"modernbert-tiny-tokens", 5, false},
	{"deberta-tiny", 3, false},
	{"deberta-tiny-tokens", 5, false},
	{"deberta-c2p", 1, true},
}

func loadEncoder(t *testing.T, name string, labels int64, regression bool, cfg LoadConfig) *Model {
	t.Helper()
	cfg.Labels, cfg.Output, cfg.Head, cfg.Device = labels, outputOf(name, regression), HeadStored, torchbind.CPU
	m, err := Load(testdata(name), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// Every weight trained against transformers, then LoRA on every linear layer of the
// body against PEFT.
func TestEncodersAgainstTransformers(t *testing.T) {
	for _, c := range todaysEncoders {
		for _, dtype := range bothTypes {
			t.Run(c.name+"/"+dtype.String(), func(t *testing.T) {
				run(t, func(s *torchbind.Scope) {
					m := loadEncoder(t, c.name, c.labels, c.regression, LoadConfig{Full: true, DType: dtype})
					defer m.Close()
					checkTraining(t, s, m, openFixture(t, "expected-"+c.name), openFixture(t, "expected-"+c.name+"-adamw"), "")

					adapted := loadEncoder(t, c.name, c.labels, c.regression, LoadConfig{DType: dtype, Pack: true})
					defer adapted.Close()
					if err := adapted.LoadAdapter(testdata(c.name + "-lora")); err != nil {
						t.Fatal(err)
					}
					values := openFixture(t, "expected-"+c.name+"-lora")
					checkTraining(t, s, adapted, values, values, peftPrefix)
				})
			})
		}
	}
}

// In an encoder a window is to both sides: bothSides lays out what a mask would show.
func TestBothSides(t *testing.T) {
	offsets := []int64{0, 1, 4, 9, 29}
	for _, side := range []int64{1, 2, 3, 6} {
		queries, keys, places, visible := bothSides(offsets, side)
		if len(visible) != 29 || queries[len(queries)-1] != 29 || keys[len(keys)-1] != int64(len(places)) {
			t.Fatalf("side %d: queries to %d, keys to %d of %d", side, queries[len(queries)-1], keys[len(keys)-1], len(places))
		}
		seen := make(map[[2]int64]bool)
		for i, from := range queries[:len(queries)-1] {
			of := places[keys[i]:keys[i+1]]
			for row := from; row < queries[i+1]; row++ {
				for _, key := range of[max(0, visible[row]-(2*side+1)):visible[row]] {
					seen[[2]int64{row, key}] = true
				}
			}
		}
		for i, from := range offsets[:len(offsets)-1] {
			for row := from; row < offsets[i+1]; row++ {
				for key := from; key < offsets[i+1]; key++ {
					if at := [2]int64{row, key}; seen[at] != (max(row-key, key-row) <= side) {
						t.Errorf("side %d: row %d sees %d: %v", side, row, key, seen[at])
					}
					delete(seen, [2]int64{row, key})
				}
			}
		}
		if len(seen) > 0 {
			t.Errorf("side %d: rows see other sequences: %v", side, seen)
		}
	}
}
