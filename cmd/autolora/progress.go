package main

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"

	"autolora/autolora"

	"github.com/schollz/progressbar/v3"
)

// reporter shows on stderr how a run goes: a bar where stderr is a terminal,
// else a line now and then. It is an autolora.Reporter.
type reporter interface {
	autolora.Reporter
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

// phase is how far one part of a run has come.
type phase struct {
	name        string
	bytes       bool
	done, total int64
	note        string
	began       time.Time
}

// text describes the phase at a time: "search  204/600  4.3 steps/s  loss 0.412".
func (p phase) text(now time.Time) string {
	parts := []string{p.amount(p.done) + "/" + p.amount(p.total), p.speed(now), p.note}
	return p.label() + joinWords(parts, "  ")
}

// summary describes the phase after its end.
func (p phase) summary(now time.Time) string {
	done := p.amount(p.done)
	if p.done < p.total {
		done += " of " + p.amount(p.total)
	}
	parts := []string{joinWords([]string{done, p.unit(), "in", spell(now.Sub(p.began))}, " "), p.speed(now), p.note}
	return p.label() + joinWords(parts, ", ")
}

// label is the name in a column of its own.
func (p phase) label() string { return fmt.Sprintf("%-8s", p.name) }

// left returns how long the rest will take at the speed so far, 0 if unknown.
func (p phase) left(now time.Time) time.Duration {
	if p.done == 0 {
		return 0
	}
	return time.Duration(float64(now.Sub(p.began)) * float64(p.total-p.done) / float64(p.done))
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
		return byteCount(n)
	}
	return fmt.Sprint(n)
}

// speed returns "4.3 steps/s", or "" before the first step.
func (p phase) speed(now time.Time) string {
	seconds := now.Sub(p.began).Seconds()
	if p.done == 0 || seconds <= 0 {
		return ""
	}
	rate := float64(p.done) / seconds
	if p.bytes {
		return byteCount(int64(rate)) + "/s"
	}
	return fmt.Sprintf("%s %s/s", significant(rate), p.unit())
}

// joinWords joins the parts that are not empty.
func joinWords(parts []string, between string) string {
	kept := parts[:0:0]
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

// significant returns v to three digits: 0.0412, 4.31, 43.1, 431.
func significant(v float64) string {
	digits := 2
	if v > 0 {
		v, _ = strconv.ParseFloat(strconv.FormatFloat(v, 'g', 3, 64), 64) // 999.6 has four digits when rounded
		digits = max(0, 2-int(math.Floor(math.Log10(v))))
	}
	return fmt.Sprintf("%.*f", min(digits, 6), v)
}

// spell returns a duration as "0.4 s", "42 s", "3 min 20 s" or "2 h 5 min".
func spell(d time.Duration) string {
	seconds := int64(d.Round(time.Second).Seconds())
	switch {
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case seconds < 60:
		return fmt.Sprintf("%d s", seconds)
	case seconds < 3600:
		return fmt.Sprintf("%d min %d s", seconds/60, seconds%60)
	}
	return fmt.Sprintf("%d h %d min", seconds/3600, seconds%3600/60)
}

// byteCount returns "87.3 MB"; a MB is a million bytes.
func byteCount(n int64) string {
	v, unit := float64(n), "B"
	for _, next := range []string{"kB", "MB", "GB", "TB"} {
		if v < 999.5 {
			break
		}
		v, unit = v/1000, next
	}
	if unit == "B" {
		return fmt.Sprintf("%d B", n)
	}
	return significant(v) + " " + unit
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

func (r *barReporter) Begin(name string, total int) {
	r.begin(phase{name: name, total: int64(total)})
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

func (r *lineReporter) Begin(name string, total int) {
	r.begin(phase{name: name, total: int64(total)})
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
