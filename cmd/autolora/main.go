// Command autolora finds the rank of every LoRA layer by meta learning, trains
// the model at these ranks, and writes an adapter that PEFT loads.
//
// "autolora --help" lists the commands, "autolora COMMAND --help" their flags.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"autolora/autolora/job"
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
	if err != nil {
		fmt.Fprintf(os.Stderr, "autolora: %s\n", oneLine(err.Error()))
	}
	return exitCode(err)
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
