package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"autolora/autolora/job"
	"autolora/autolora/runs"
	"autolora/autolora/settings"
	"autolora/nn"
	"autolora/torchbind"

	"github.com/spf13/cobra"
)

// The exit codes.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

// exitCode returns the code with which an error ends the program: wrong usage is
// what is wrong about the command line or the value of a setting, wherever it is
// found out; what is wrong about files, data, the network or the machine is a
// failure.
func exitCode(err error) int {
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, new(usageError)), errors.As(err, new(*settings.Error)), errors.Is(err, nn.ErrTarget):
		return exitUsage
	}
	return exitFailed
}

// usageError says that the command line cannot be right.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// commandError is an error of a command as people read it.
type commandError struct {
	error
	command *cobra.Command
}

func (e commandError) Unwrap() error { return e.error }

func (e commandError) Error() string {
	text := describe(e.error, func(flag string) bool { return e.command.Flags().Lookup(flag) != nil })
	if exitCode(e.error) == exitUsage && e.command.HasParent() {
		return name(e.command) + ": " + text
	}
	return text
}

// describe returns err in one line for people, with what to do about it. The
// packages below say what is wrong; what it takes to change it is known here,
// where there are flags.
func describe(err error, has func(flag string) bool) string {
	text := oneLine(err.Error())
	if setting, ok := errors.AsType[*settings.Error](err); ok {
		text = strings.Replace(text, oneLine(setting.Error()), "--"+oneLine(setting.Error()), 1)
	}
	if errors.Is(err, context.Canceled) {
		text = strings.ReplaceAll(text, context.Canceled.Error(), "interrupted")
	}
	diverged, _ := errors.AsType[*job.DivergedError](err)
	switch {
	case errors.As(err, new(*job.ResumableError)) && has("resume"): // a comparison says itself how it goes on
		text += ", " + goesOn(has)
	case diverged != nil:
		text += ": " + afterDivergence(diverged, has)
	case errors.Is(err, runs.ErrNotEmpty) && has("resume"):
		text += ": choose another with --out, go on with a stopped run with --resume, or replace its results with --overwrite"
	case errors.Is(err, runs.ErrNotEmpty):
		text += ": choose another with --out"
	case errors.Is(err, job.ErrBegun) && has("overwrite"):
		text += ": begin anew with --overwrite, or choose another folder with --out"
	case errors.Is(err, job.ErrBegun):
		text += ": choose another folder with --out, or remove this one"
	case errors.Is(err, torchbind.ErrOutOfMemory):
		text += ": lower --batch-size or --max-length"
		if has("gradient-checkpointing") {
			text += ", or train with --gradient-checkpointing"
		}
	case errors.Is(err, nn.ErrPositions):
		text += ": lower --max-length or --max-new-tokens"
	case errors.Is(err, nn.ErrTarget):
		text += ": give --target some of them, or attention, feed-forward or all-linear"
	case errors.Is(err, nn.ErrHead):
		text += ": use --new-head"
	}
	return text
}

// goesOn says how a stopped run goes on.
func goesOn(has func(flag string) bool) string {
	if has("resume") {
		return "--resume goes on from there"
	}
	return "the same command goes on from there" // compare
}

// afterDivergence says which rate to lower. A run does not go on at another rate
// than its results say, and its last good weights are of a training that was
// already on its way out: it begins anew.
func afterDivergence(e *job.DivergedError, has func(flag string) bool) string {
	rate := "--lr"
	if e.Phase == "search" {
		rate = "--search-lr or --alpha-lr"
	}
	if !has("overwrite") {
		return "begin anew with a lower " + rate + " and another --out"
	}
	if e.Saved == "" {
		return "begin anew with a lower " + rate + " and --overwrite"
	}
	return fmt.Sprintf("begin anew with a lower %s and --overwrite; --config %s has the other settings", rate, filepath.Join(filepath.Dir(e.Saved), runs.ConfigFile))
}

// oneLine joins the lines of errors that were joined.
func oneLine(text string) string {
	lines := strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' })
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	return strings.Join(lines, "; ")
}
