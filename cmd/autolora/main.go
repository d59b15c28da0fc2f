// Command autolora finds the rank of every LoRA layer by meta learning, trains
// the model at these ranks, and writes an adapter that PEFT loads.
//
// "autolora --help" lists the commands, "autolora COMMAND --help" their flags.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"sync/atomic"
	"syscall"
	"time"

	"autolora/atomicfile"
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
	crashBySignal()
	defer func() {
		if r := recover(); r != nil {
			fmt.Fprintf(os.Stderr, "autolora: this is a bug in autolora, please report it: %s\n", plain(oneLine(fmt.Sprint(r))))
			if os.Getenv(debugVariable) == "1" {
				os.Stderr.Write(debug.Stack())
			}
			code = exitFailed
		}
	}()
	ctx, stop := untilSignal(context.Background())
	defer stop()
	err := do(ctx, newConsole(), args)
	if err != nil {
		complain(os.Stderr, err)
	}
	return exitCode(err)
}

// crashBySignal has a crash of Go's runtime or of a library end the process by
// SIGABRT, as it does in C. Go's own way is exit code 2, which here is wrong usage.
func crashBySignal() {
	debug.SetTraceback("crash")
	aborts := make(chan os.Signal, 1)
	signal.Notify(aborts, syscall.SIGABRT)
	go func() {
		<-aborts // abort() does not come back from here: it raises the signal again, uncaught
		signal.Reset(syscall.SIGABRT)
		syscall.Kill(os.Getpid(), syscall.SIGABRT)
	}()
}

// complain writes the line that says why the program fails.
func complain(w io.Writer, err error) {
	fmt.Fprintf(w, "autolora: %s\n", plain(oneLine(err.Error())))
}

// endSignals are those that ask the program to end. nohup has SIGHUP ignored,
// which then stays so.
func endSignals() []os.Signal {
	if signal.Ignored(syscall.SIGHUP) {
		return []os.Signal{os.Interrupt, syscall.SIGTERM}
	}
	return []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP}
}

// grace is how long what is under way at a signal may take to end by itself.
const grace = 1500 * time.Millisecond

// endsItself says that the command knows when it has to end after a signal.
var endsItself atomic.Bool

// untilSignal returns a context that ends at the first of endSignals, after
// which a run stops within a step. Whatever else is under way, in Go, C or Rust,
// and does not end within grace, is left where it is: it has nothing to save. A
// second signal ends the process as if it had not been caught, but for one within
// a second: schedulers send a signal to every process, and launch sends what it
// gets to those that it started.
func untilSignal(parent context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(parent)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, endSignals()...)
	go func() {
		select {
		case <-signals:
		case <-ctx.Done():
			return
		}
		cancel()
		time.AfterFunc(time.Second, func() { signal.Stop(signals) })
		for {
			time.Sleep(grace)
			if !endsItself.Load() && !job.Stepping() {
				atomicfile.Abandon()
				complain(os.Stderr, errors.New("interrupted"))
				os.Exit(exitFailed)
			}
		}
	}()
	return ctx, cancel
}
