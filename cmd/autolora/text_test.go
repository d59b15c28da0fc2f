package main

import (
	"testing"
	"time"
)

func TestFit(t *testing.T) {
	const whole = "search  204/600  4.31 steps/s  loss 0.412  implicit/direct 1.2e-04"
	for _, tc := range []struct {
		name  string
		width int
		want  string
	}{
		{"all", 80, whole},
		{"exactly", len(whole), whole},
		{"all but the last part", len(whole) - 1, "search  204/600  4.31 steps/s  loss 0.412"},
		{"the first part", 10, "search"},
		{"nothing", 5, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := fit(whole, tc.width); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func TestSpell(t *testing.T) {
	for _, tc := range []struct{ name, got, want string }{
		{"no time", spell(0), "0.0 s"},
		{"seconds", spell(42300 * time.Millisecond), "42 s"},
		{"minutes", spell(200 * time.Second), "3 min 20 s"},
		{"almost an hour", spell(time.Hour - time.Millisecond), "1 h 0 min"},
		{"hours", spell(7500 * time.Second), "2 h 5 min"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.got != tc.want {
				t.Errorf("got %q, want %q", tc.got, tc.want)
			}
		})
	}
}
