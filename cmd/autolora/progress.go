package main

import (
	"fmt"
	"io"
	"time"

	"autolora/autolora/job"

	"github.com/schollz/progressbar/v3"
)

// reporter shows on stderr how a run goes: a bar where stderr is a terminal,
// else a line now and then. It is an job.Reporter.
type reporter interface {
	job.Reporter
	// Bytes is Begin for a download, whose progress is counted in bytes.
	Bytes(phase string, total int64)
	// Resize changes the total of the phase that is running.
	Resize(total int64)
}

// newReporter returns the reporter that suits the console.
func newReporter(c *console) reporter {
	if c.live {
		return &barReporter{w: c.err, width: c.liveWidth, now: time.Now}
	}
	return &lineReporter{w: c.err, now: time.Now}
}

// barReporter draws a bar on a terminal.
type barReporter struct {
	w     io.Writer
	width func() int // of the terminal, which may change
	now   func() time.Time

	phase phase
	bar   *progressbar.ProgressBar
	drawn time.Time
}

const (
	// redraw is the time between two drawings of the bar.
	redraw = 100 * time.Millisecond
	// barWidth is the columns of a bar that has enough of them.
	barWidth = 24
	// besideText is the columns that percentage, elapsed and remaining time, and
	// the shortest bar take.
	besideText = 32
)

func (r *barReporter) Begin(name string, done, total int) {
	r.begin(phase{name: name, from: int64(done), done: int64(done), total: int64(total)})
}

func (r *barReporter) Bytes(name string, total int64) {
	r.begin(phase{name: name, total: total, bytes: true})
}

func (r *barReporter) Resize(total int64) {
	r.phase.total = total
	r.bar.ChangeMax64(max(1, total))
}

func (r *barReporter) begin(p phase) {
	p.began = r.now()
	r.phase = p
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

func (r *barReporter) Advance(done int, note string) {
	r.phase.done, r.phase.note = int64(done), note
	if r.now().Sub(r.drawn) >= redraw {
		r.draw()
	}
}

// draw draws the bar as it should be now.
func (r *barReporter) draw() {
	r.drawn = r.now()
	r.bar.Describe(fit(r.phase.text(r.drawn), r.width()-besideText))
	r.bar.Set64(r.phase.done)
}

func (r *barReporter) End() {
	r.bar.Clear()
	fmt.Fprintln(r.w, fit(r.phase.summary(r.now()), r.width()))
	r.bar = nil
}

func (r *barReporter) Note(line string) {
	if r.bar == nil {
		fmt.Fprintln(r.w, line)
		return
	}
	r.bar.Clear()
	fmt.Fprintln(r.w, line)
	r.draw()
}

// lineReporter prints lines for a log: at the start, at every tenth unless they
// fly by, at least every few minutes, and at the end.
type lineReporter struct {
	w     io.Writer
	now   func() time.Time
	phase phase
	tenth int64     // of the latest line
	told  time.Time // when it was printed
}

// The times between two lines of a lineReporter.
const (
	soonest = time.Second
	latest  = 5 * time.Minute
)

func (r *lineReporter) Begin(name string, done, total int) {
	r.begin(phase{name: name, from: int64(done), done: int64(done), total: int64(total)})
}

func (r *lineReporter) Bytes(name string, total int64) {
	r.begin(phase{name: name, total: total, bytes: true})
}

func (r *lineReporter) Resize(total int64) { r.phase.total = total }

func (r *lineReporter) begin(p phase) {
	p.began = r.now()
	r.phase, r.tenth, r.told = p, 0, p.began
	fmt.Fprintln(r.w, p.label()+joinWords([]string{p.amount(p.total), p.unit()}, " "))
}

func (r *lineReporter) Advance(done int, note string) {
	r.phase.done, r.phase.note = int64(done), note
	tenth, now := 10*r.phase.done/max(1, r.phase.total), r.now()
	waited := now.Sub(r.told)
	if r.phase.done >= r.phase.total || waited < soonest || tenth == r.tenth && waited < latest {
		return
	}
	r.tenth, r.told = tenth, now
	fmt.Fprintf(r.w, "%s  %s left\n", r.phase.text(now), spell(r.phase.left(now)))
}

func (r *lineReporter) End() { fmt.Fprintln(r.w, r.phase.summary(r.now())) }

func (r *lineReporter) Note(line string) { fmt.Fprintln(r.w, line) }
