package main

import (
	"fmt"
	"time"

	"autolora/autolora/human"
)

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
