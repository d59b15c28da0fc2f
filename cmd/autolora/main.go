// Command autolora finds the rank of every LoRA layer by meta learning, trains
// the model at these ranks, and writes an adapter that PEFT loads.
//
// "autolora --help" lists the commands, "autolora COMMAND --help" their flags.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"autolora/autolora/job"
	"autolora/autolora/runs"
	"autolora/autolora/settings"
	"autolora/nn"
	"autolora/torchbind"
)

// The exit codes.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

// debugVariable is the environment variable that asks for stack traces.
const debugVariable = "AUTOLORA_DEBUG"

// version is set by the build.
var version string

func main() { os.Exit(mainCode(os.Args[1:], dispatch)) }

// mainCode runs the program, which is do, and returns its exit code.
func mainCode(args []string, do func(context.Context, *console, []string) error) (code int) {
	if version != "" {
		job.Version = version
	}
	wantTrace := os.Getenv(debugVariable) == "1"
	if !wantTrace {
		debug.SetTraceback("none") // of panics in other goroutines, which nobody recovers
	}
	defer func() {
		if r := recover(); r != nil {
			fmt.Fprintf(os.Stderr, "autolora: this is a bug in autolora, please report it: %s\n", oneLine(fmt.Sprint(r)))
			if wantTrace {
				os.Stderr.Write(debug.Stack())
			}
			code = exitFailed
		}
	}()
	ctx, stop := untilSignal(context.Background())
	defer stop()
	err := do(ctx, newConsole(), args)
	if err == nil {
		return exitDone
	}
	fmt.Fprintf(os.Stderr, "autolora: %s\n", describe(err))
	if errors.As(err, new(usageError)) {
		return exitUsage
	}
	return exitFailed
}

// untilSignal returns a context that ends at the first SIGINT or SIGTERM, after
// which a run stops within a step. A second one ends the process as if it had
// not been caught, but for one within a second: schedulers send a signal to every
// process, and launch sends what it gets to those that it started.
func untilSignal(parent context.Context) (context.Context, context.CancelFunc) {
	ctx, stop := signal.NotifyContext(parent, os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, func() { time.AfterFunc(time.Second, stop) })
	return ctx, stop
}

// describe returns err in one line for people, with what to do about it. The
// packages below say what is wrong; what it takes to change it is known here.
func describe(err error) string {
	text := oneLine(err.Error())
	var setting *settings.Error
	if errors.As(err, &setting) {
		text = strings.Replace(text, oneLine(setting.Error()), "--"+oneLine(setting.Error()), 1)
	}
	if errors.Is(err, context.Canceled) {
		text = strings.ReplaceAll(text, context.Canceled.Error(), "interrupted")
	}
	switch {
	case errors.As(err, new(*job.ResumableError)):
		text += ", --resume goes on from there"
	case errors.Is(err, runs.ErrNotEmpty):
		text += ": choose another with --out, go on with a stopped run with --resume, or replace its results with --overwrite"
	case errors.Is(err, torchbind.ErrOutOfMemory):
		text += ": lower --batch-size or --max-length, or train with --gradient-checkpointing"
	case errors.Is(err, nn.ErrPositions):
		text += ": lower --max-length or --max-new-tokens"
	case errors.Is(err, nn.ErrHead):
		text += ": use --new-head"
	}
	return text
}

// oneLine joins the lines of errors that were joined.
func oneLine(text string) string {
	lines := strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' })
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	return strings.Join(lines, "; ")
}

// usageError says that the command line cannot be right. It ends the program
// with exit code 2.
type usageError struct{ err error }

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }
