package runs

import (
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestLosses(t *testing.T) {
	for _, c := range []struct {
		name       string
		sums       []float64
		rows       []int
		mean, se   float64
		rowsStored bool
	}{
		{"an example each", []float64{1, 2, 6}, []int{1, 1, 1}, 3, math.Sqrt(14.0 / 2 / 3), false},
		// Sums less rows·mean: 2−4, 0, 6−2, 2−4.
		{"words", []float64{2, 0, 6, 2}, []int{2, 0, 1, 2}, 2, math.Sqrt((4.0+16+4)*3/2) / 5, true},
		{"one example", []float64{2}, []int{1}, 2, math.NaN(), false},
		{"none", nil, nil, math.NaN(), math.NaN(), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var l Losses
			for i, sum := range c.sums {
				l.Add(sum, c.rows[i])
			}
			for _, got := range [][2]float64{{l.Mean(), c.mean}, {l.StandardError(), c.se}} {
				if !(math.Abs(got[0]-got[1]) < 1e-12) && !(math.IsNaN(got[0]) && math.IsNaN(got[1])) {
					t.Errorf("got %v, want %v", got[0], got[1])
				}
			}
			if (l.Rows != nil) != c.rowsStored {
				t.Errorf("rows %v", l.Rows)
			}
		})
	}
}

func TestLossesFile(t *testing.T) {
	dir := t.TempDir()
	f, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	l := Losses{Part: "dev", Data: "ab"}
	for _, loss := range []float64{0.1, 1e300, 3} {
		l.Add(loss, 1)
	}
	l.Add(1, 3)
	if err := l.Write(f); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, LossesFile))
	if want := `{"part":"dev","data":"ab","loss":[0.1,3.4028235e+38,3,0.33333334],"rows":[1,1,1,3]}` + "\n"; err != nil || string(text) != want {
		t.Errorf("%v: got %s\nwant %s", err, text, want)
	}
	got, err := ReadLosses(dir)
	want := Losses{"dev", "ab", []float64{float64(float32(0.1)), math.MaxFloat32, 3, float64(float32(1.0 / 3))}, []int{1, 1, 1, 3}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v: got %v, want %v", err, got, want)
	}
	if _, err := ReadLosses(t.TempDir()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of no file: %v", err)
	}
	for text, want := range map[string]string{
		`{"loss": [1]}`:                                   `"data" or "loss" is missing`,
		`{"data": "a", "loss": []}`:                       `"data" or "loss" is missing`,
		`{"data": "a", "loss": [1, 2], "rows": [1]}`:      "rows of 1 examples, and losses of 2",
		`{"data": "a", "loss": [1, 2], "rows": [1, -1]}`:  "example 1 has -1 rows, want 0 to 1073741824",
		`{"data": "a", "loss": [1, 2], "rows": [0, 0]}`:   "no example has rows",
		`{"data": "a", "loss": [1e40]}`:                   "not what a run writes",
		`[]`:                                              "not what a run writes",
		`{"data": "a", "loss": [1], "rows": [2000000000]`: "not what a run writes",
	} {
		if err := os.WriteFile(filepath.Join(dir, LossesFile), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadLosses(dir); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: got %v, want %s", text, err, want)
		}
	}
}
