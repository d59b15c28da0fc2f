package main

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"autolora/human"

	"github.com/schollz/progressbar/v3"
)

// reporter shows on stderr how a run goes: a bar where stderr is a terminal,
// else a line now and then. It is a job.Reporter.
type reporter struct {
	w     io.Writer
	now   func() time.Time
	width func() int // of the terminal, which may change; nil if there is none

	phase phase
	bar   *progressbar.ProgressBar // of the phase that is running, on a terminal
	told  time.Time                // when the bar was drawn, or the latest line printed
	tenth int64                    // that line's
}

func newReporter(c *console) *reporter {
	r := &reporter{w: c.err, now: time.Now}
	if c.live {
		r.width = func() int { return cmp.Or(terminalWidth(os.Stderr), defaultWidth) }
	}
	return r
}

const (
	// redraw is the time between two drawings of the bar.
	redraw = 100 * time.Millisecond
	// barWidth is the columns of a bar that has enough of them.
	barWidth = 24
	// besideText is the columns that percentage, elapsed and remaining time, and
	// the shortest bar take.
	besideText = 32
	// Lines for a log come at the start, at every tenth unless they fly by, at
	// least every few minutes, and at the end.
	soonest = time.Second
	latest  = 5 * time.Minute
)

// Begin begins a phase of which done steps of total were done earlier.
func (r *reporter) Begin(name string, done, total int) {
	r.begin(phase{name: name, from: int64(done), done: int64(done), total: int64(total)})
}

// Bytes is Begin for a download, whose progress is counted in bytes.
func (r *reporter) Bytes(name string, total int64) {
	r.begin(phase{name: name, total: total, bytes: true})
}

func (r *reporter) begin(p phase) {
	p.began = r.now()
	r.phase, r.tenth, r.told = p, 0, p.began
	if r.width == nil {
		r.line(p.label() + joinWords(" ", p.amount(p.total), p.unit()))
		return
	}
	r.bar = progressbar.NewOptions64(max(1, p.total),
		progressbar.OptionSetWriter(r.w),
		progressbar.OptionSetWidth(barWidth),
		progressbar.OptionShowDescriptionAtLineEnd(),
		progressbar.OptionUseANSICodes(true),
		progressbar.OptionClearOnFinish(),
		progressbar.OptionSetTheme(progressbar.Theme{Saucer: "━", SaucerHead: "╸", SaucerPadding: " "}),
	)
	r.draw()
}

// Resize changes the total of the phase that is running.
func (r *reporter) Resize(total int64) {
	r.phase.total = total
	if r.bar != nil {
		r.bar.ChangeMax64(max(1, total))
	}
}

// Advance says how far the phase has come.
func (r *reporter) Advance(done int, note string) {
	r.phase.done, r.phase.note = int64(done), note
	now := r.now()
	waited := now.Sub(r.told)
	if r.bar != nil {
		if waited >= redraw {
			r.draw()
		}
		return
	}
	tenth := 10 * r.phase.done / max(1, r.phase.total)
	if r.phase.done >= r.phase.total || waited < soonest || tenth == r.tenth && waited < latest {
		return
	}
	r.tenth, r.told = tenth, now
	r.line(r.phase.text(now) + "  " + human.Duration(r.phase.left(now)) + " left")
}

// draw draws the bar as it should be now.
func (r *reporter) draw() {
	r.told = r.now()
	r.bar.Describe(fit(plain(r.phase.text(r.told)), r.width()-besideText))
	r.bar.Set64(r.phase.done)
}

// End ends the phase.
func (r *reporter) End() {
	text := r.phase.summary(r.now())
	if r.bar != nil {
		r.bar.Clear()
		r.bar, text = nil, fit(text, r.width())
	}
	r.line(text)
}

// Note prints a line.
func (r *reporter) Note(line string) {
	if r.bar == nil {
		r.line(line)
		return
	}
	r.bar.Clear()
	r.line(line)
	r.draw()
}

func (r *reporter) line(text string) { fmt.Fprintln(r.w, plain(text)) }

// phase is how far one part of a run has come.
type phase struct {
	name        string
	bytes       bool
	from        int64 // done before this session
	done, total int64
	note        string
	began       time.Time
}

// text describes the phase at a time: "search  204/600  4.3 steps/s  loss 0.412".
func (p phase) text(now time.Time) string {
	return p.label() + joinWords("  ", p.amount(p.done)+"/"+p.amount(p.total), p.speed(now), p.note)
}

// summary describes the phase after its end.
func (p phase) summary(now time.Time) string {
	done := p.amount(p.done)
	if p.done < p.total {
		done += " of " + p.amount(p.total)
	}
	return p.label() + joinWords(", ", joinWords(" ", done, p.unit(), "in", human.Duration(now.Sub(p.began))), p.speed(now), p.note)
}

// label is the name in a column of its own.
func (p phase) label() string { return fmt.Sprintf("%-7s ", p.name) }

// left returns how long the rest will take at the speed so far, 0 if unknown.
func (p phase) left(now time.Time) time.Duration {
	if p.done == p.from {
		return 0
	}
	return time.Duration(float64(now.Sub(p.began)) * float64(p.total-p.done) / float64(p.done-p.from))
}

// unit names what is counted.
func (p phase) unit() string {
	switch {
	case p.bytes:
		return ""
	case p.name == "eval" || p.name == "predict":
		return "examples"
	}
	return "steps"
}

func (p phase) amount(n int64) string {
	if p.bytes {
		return human.Bytes(n)
	}
	return fmt.Sprint(n)
}

// speed returns "4.3 steps/s", or "" before the first step.
func (p phase) speed(now time.Time) string {
	seconds := now.Sub(p.began).Seconds()
	if p.done == p.from || seconds <= 0 {
		return ""
	}
	rate := float64(p.done-p.from) / seconds
	if p.bytes {
		return human.Bytes(int64(rate)) + "/s"
	}
	return fmt.Sprintf("%s %s/s", human.Significant(rate), p.unit())
}

// joinWords joins the parts that are not empty.
func joinWords(between string, parts ...string) string {
	var kept []string
	for _, part := range parts {
		if part = strings.TrimSpace(part); part != "" {
			kept = append(kept, part)
		}
	}
	return strings.Join(kept, between)
}

// fit leaves out the last parts of a text, which two spaces separate, until the
// rest fits into width columns.
func fit(text string, width int) string {
	for len(text) > width {
		at := strings.LastIndex(text, "  ")
		if at <= 0 {
			return ""
		}
		text = strings.TrimRight(text[:at], " ")
	}
	return text
}
