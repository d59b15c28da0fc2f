package main

import (
	"strings"
	"testing"
	"time"
)

// clock is a time that tests move.
type clock struct{ now time.Time }

func (c *clock) tick(d time.Duration) { c.now = c.now.Add(d) }

func TestLineReporter(t *testing.T) {
	for _, tc := range []struct {
		name string
		use  func(r *reporter, c *clock)
		want string
	}{
		{"a phase of 40 steps", func(r *reporter, c *clock) {
			r.Begin("search", 0, 40)
			for i := range 40 {
				c.tick(500 * time.Millisecond)
				r.Advance(i+1, "loss 0.500")
			}
			r.End()
		}, `
search  40 steps
search  4/40  2.00 steps/s  loss 0.500  18 s left
search  8/40  2.00 steps/s  loss 0.500  16 s left
search  12/40  2.00 steps/s  loss 0.500  14 s left
search  16/40  2.00 steps/s  loss 0.500  12 s left
search  20/40  2.00 steps/s  loss 0.500  10 s left
search  24/40  2.00 steps/s  loss 0.500  8.0 s left
search  28/40  2.00 steps/s  loss 0.500  6.0 s left
search  32/40  2.00 steps/s  loss 0.500  4.0 s left
search  36/40  2.00 steps/s  loss 0.500  2.0 s left
search  40 steps in 20 s, 2.00 steps/s, loss 0.500
`},
		{"fast", func(r *reporter, c *clock) {
			r.Begin("train", 0, 1000)
			for i := range 1000 {
				c.tick(time.Millisecond)
				r.Advance(i+1, "")
			}
			r.End()
		}, `
train   1000 steps
train   1000 steps in 1.0 s, 1000 steps/s
`},
		{"slow", func(r *reporter, c *clock) {
			r.Begin("train", 0, 100)
			for i := range 5 {
				c.tick(2 * time.Minute)
				r.Advance(i+1, "")
			}
			r.End()
		}, `
train   100 steps
train   3/100  0.00833 steps/s  3 h 14 min left
train   5 of 100 steps in 10 min 0 s, 0.00833 steps/s
`},
		{"a name of eight letters", func(r *reporter, c *clock) {
			r.Begin("ablation", 0, 32)
			r.End()
		}, `
ablation 32 steps
ablation 0 of 32 steps in 0.0 s
`},
		{"stopped in the middle, with a note", func(r *reporter, c *clock) {
			r.Note("3 texts were cut")
			r.Begin("eval", 0, 1000)
			c.tick(2 * time.Second)
			r.Advance(16, "")
			r.End()
		}, `
3 texts were cut
eval    1000 examples
eval    16 of 1000 examples in 2.0 s, 8.00 examples/s
`},
		{"a download whose size grows", func(r *reporter, c *clock) {
			r.Bytes("fetch", 1000)
			c.tick(time.Second)
			r.Advance(1000, "index.json")
			r.Resize(90_001_000)
			c.tick(time.Second)
			r.Advance(30_001_000, "model.safetensors")
			c.tick(time.Second)
			r.Advance(90_001_000, "model.safetensors")
			r.End()
		}, `
fetch   1.00 kB
fetch   30.0 MB/90.0 MB  15.0 MB/s  model.safetensors  4.0 s left
fetch   90.0 MB in 3.0 s, 30.0 MB/s, model.safetensors
`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var b strings.Builder
			c := &clock{time.Unix(0, 0)}
			tc.use(&reporter{w: &b, now: func() time.Time { return c.now }}, c)
			if got, want := b.String(), strings.TrimPrefix(tc.want, "\n"); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// TestBarReporter checks what stays on the terminal when the bar is gone: the
// text after the last erased line.
func TestBarReporter(t *testing.T) {
	var b strings.Builder
	c := &clock{time.Unix(0, 0)}
	r := &reporter{w: &b, width: func() int { return 80 }, now: func() time.Time { return c.now }}
	r.Begin("train", 0, 20)
	for i := range 20 {
		c.tick(time.Second)
		r.Advance(i+1, "loss 0.250")
		if i == 9 {
			r.Note("slow here")
		}
	}
	r.End()
	shown := b.String()
	for _, want := range []string{"train   5/20  1.00 steps/s  loss 0.250", "━", "slow here\n"} {
		if !strings.Contains(shown, want) {
			t.Errorf("%q lacks %q", shown, want)
		}
	}
	if last := shown[strings.LastIndexAny(shown, "\rK")+1:]; last != "train   20 steps in 20 s, 1.00 steps/s, loss 0.250\n" {
		t.Errorf("left on the terminal: %q", last)
	}
}

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
