package parallel

import (
	"fmt"
	"slices"
	"testing"
)

func TestRun(t *testing.T) {
	for _, n := range []int{0, 1, 5} {
		got := make([]int, n)
		Run(n, func(i int) { got[i]++ })
		if want := slices.Repeat([]int{1}, n); !slices.Equal(got, want) {
			t.Errorf("calls %v, want %v", got, want)
		}
	}
}

func TestRunPanics(t *testing.T) {
	done := make([]bool, 3)
	func() {
		defer func() {
			if r := fmt.Sprint(recover()); r != "broken" {
				t.Errorf("recovered %q, want the panic of the goroutine", r)
			}
		}()
		Run(len(done), func(i int) {
			if i == 1 {
				panic("broken")
			}
			done[i] = true
		})
	}()
	if !done[0] || !done[2] {
		t.Errorf("done %v, want all others to be", done)
	}
}
