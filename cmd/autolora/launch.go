package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

func launchCommand() *command {
	cmd := newCommand(&cobra.Command{
		Use:        "launch COMMAND…",
		SuggestFor: strings.Fields("torchrun accelerate distributed"),
		Short:      "a command in several processes of this machine, one for each GPU",
		Long: `Starts run, tune, search, train or compare in several processes of this machine
that share every batch, each with a GPU of its own (--device cuda) or its part
of the cores. They are told of each other as torchrun does it: by RANK,
LOCAL_RANK, WORLD_SIZE, LOCAL_WORLD_SIZE, MASTER_ADDR and MASTER_PORT.

What process 0 prints is printed as it is; of the others, only what they print
on stderr, each line behind the process's number. If one ends with an error, all
end; a first interrupt stops all within a step, a second one kills them.`,
		Example: `  autolora launch --processes 4 run --model roberta-base --task sst2 --data glue/SST-2 --device cuda --out out/sst2
  autolora launch --processes 2 -- train --method lora --model roberta-base --task rte --data glue/RTE --out out/rte`,
	})
	l := &launch{}
	s := cmd.section("Flags")
	s.IntVar(&l.n, "processes", 0, "`N` processes to start; it goes before COMMAND")
	s.IntVar(&l.port, "port", 0, "`PORT` where the processes find each other on this machine")
	s.DurationVar(&l.grace, "grace", 30*time.Second, "`TIME` how long processes may take to end when one has failed, before they are killed")
	s.Lookup("processes").DefValue, s.Lookup("port").DefValue = "", "a free one"
	cmd.Flags().SetInterspersed(false) // what follows COMMAND is the command's
	cmd.run = func(ctx context.Context, c *console, args []string) error {
		switch {
		case !cmd.Flags().Changed("processes"):
			return usagef("--processes N is missing: how many to start; it goes before COMMAND")
		case l.n < 1 || l.n > maxProcesses:
			return usagef("--processes: got %d, want 1 to %d", l.n, maxProcesses)
		case l.port < 0 || l.port > 1<<16-1:
			return usagef("--port: got %d, want 1 to 65535", l.port)
		case l.grace <= 0:
			return usagef("--grace: got %v, want more than 0s", l.grace)
		}
		if err := l.prepare(ctx, c, args); err != nil || l.inner == nil {
			return err
		}
		return l.do(ctx, c)
	}
	return cmd
}

// maxProcesses is more than any machine has cores or GPUs for.
const maxProcesses = 1024

// launch is a command in several processes.
type launch struct {
	n, port int
	grace   time.Duration

	inner *command
	args  []string // of the program: the command's name and flags
	env   []string // that all processes have

	processes []*exec.Cmd
}

// ended is how a process ended.
type ended struct {
	rank  int
	state *os.ProcessState
	last  string // its error, which is not printed yet
}

// settle is how long processes may take to report an error of their own when
// another has failed: they notice the lost connection.
const settle = 2 * time.Second

// prepare checks the command line of what is started, so that what is wrong
// about it is said once. A command that prints its help leaves l.inner nil.
func (l *launch) prepare(ctx context.Context, c *console, args []string) error {
	t := newTree(c)
	found, _, err := t.root.Find(args)
	if err != nil {
		return err
	}
	inner := t.commands[found]
	if inner == nil { // there is no such command, or it only prints something
		return t.do(ctx, args)
	}
	if inner.Name() == "launch" {
		return usagef("launch cannot start itself")
	}
	if l.n > 1 && inner.Flags().Lookup("process-timeout") == nil {
		return usagef("%s is done by one process: run, tune, search, train and compare can be launched", name(found))
	}
	inner.run = func(context.Context, *console, []string) error {
		l.inner = inner
		return nil
	}
	err = t.do(ctx, args)
	if device := inner.cfg.Device; strings.HasPrefix(device, "cuda:") && l.n > 1 { // whether there is that one or not
		return usagef("--device %s: every process takes a GPU of its own, want --device cuda", device)
	}
	l.args = args
	return err
}

// do starts the processes and waits for all of them.
func (l *launch) do(ctx context.Context, c *console) error {
	endsItself.Store(true) // when its processes have
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, endSignals()...)
	defer signal.Stop(signals)
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := l.environment(); err != nil {
		return err
	}
	// The processes are killed when the thread that started them ends.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	ends := make(chan ended, l.n)
	for rank := range l.n {
		if err := l.start(c, rank, ends); err != nil {
			l.signal(syscall.SIGKILL)
			for range l.processes {
				<-ends
			}
			return fmt.Errorf("start process %d of %d: %w", rank, l.n, err)
		}
	}
	return l.wait(c, signals, ends)
}

// environment chooses what all processes are told.
func (l *launch) environment() error {
	if l.port == 0 {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err == nil {
			l.port = listener.Addr().(*net.TCPAddr).Port
			err = listener.Close()
		}
		if err != nil {
			return fmt.Errorf("find a free port: %w", err)
		}
	}
	n := strconv.Itoa(l.n)
	// All are on this machine: neither Gloo nor NCCL has to listen on a network, whatever other programs are told.
	l.env = append(os.Environ(), "GLOO_SOCKET_IFNAME=lo", "NCCL_SOCKET_IFNAME=lo", "WORLD_SIZE="+n, "LOCAL_WORLD_SIZE="+n, "MASTER_ADDR=127.0.0.1", "MASTER_PORT="+strconv.Itoa(l.port))
	// torchbind sets it to all cores where the user does not set it.
	if os.Getenv("OMP_NUM_THREADS") == strconv.Itoa(runtime.NumCPU()) && l.inner.cfg.Threads == 0 {
		l.env = append(l.env, "OMP_NUM_THREADS="+strconv.Itoa(max(1, runtime.GOMAXPROCS(0)/l.n)))
	}
	return nil
}

// start starts one process, whose end it sends to ends.
func (l *launch) start(c *console, rank int, ends chan<- ended) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	p := exec.Command(self, l.args...)
	p.Env = append(l.env[:len(l.env):len(l.env)], "RANK="+strconv.Itoa(rank), "LOCAL_RANK="+strconv.Itoa(rank))
	// A terminal's Ctrl-C, which this process passes on, is not for them too; and they
	// end with the thread that starts them, even if this process is killed.
	p.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	var stderr io.Reader = strings.NewReader("")
	if rank == 0 {
		p.Stdout, p.Stderr = c.out, c.err
	} else if stderr, err = p.StderrPipe(); err != nil {
		return err
	}
	if err := p.Start(); err != nil {
		return err
	}
	l.processes = append(l.processes, p)
	go func() {
		last := relay(c.err, fmt.Sprintf("[process %d] ", rank), stderr)
		p.Wait() // how it ended is in its state
		ends <- ended{rank, p.ProcessState, last}
	}()
	return nil
}

// signal sends a signal to every process that has not ended.
func (l *launch) signal(s os.Signal) {
	for _, p := range l.processes {
		p.Process.Signal(s) // an error: it has ended
	}
}

// wait waits for all processes, passes signals on, and makes all end when one
// fails.
func (l *launch) wait(c *console, signals <-chan os.Signal, ends <-chan ended) error {
	var (
		first       *ended // that failed
		interrupted os.Signal
		told        bool // to end
		terminate   <-chan time.Time
		kill        <-chan time.Time
	)
	for left := l.n; left > 0; {
		select {
		case e := <-ends:
			left--
			if e.state.ExitCode() != exitUsage { // which all may end with
				io.WriteString(c.err, e.last)
			}
			if e.state.Success() {
				continue
			}
			switch {
			case first == nil:
				first = &e
				if told {
					kill = time.After(l.grace)
				} else {
					terminate = time.After(settle)
				}
			case !told && !signaled(first.state) && signaled(e.state):
				first = &e // the others noticed before this one was found dead
			}
		case <-terminate:
			told = true
			l.signal(syscall.SIGTERM)
			kill = time.After(l.grace)
		case <-kill:
			l.signal(syscall.SIGKILL)
		case s := <-signals:
			if told {
				l.signal(syscall.SIGKILL)
				continue
			}
			told, interrupted, terminate = true, s, nil
			l.signal(s)
			if first != nil {
				kill = time.After(l.grace)
			}
		}
	}
	return l.outcome(c, first, interrupted)
}

// outcome says how it went; nil if all processes did what they should.
func (l *launch) outcome(c *console, first *ended, interrupted os.Signal) error {
	switch {
	case first == nil:
		return nil
	case first.state.ExitCode() == exitUsage:
		if l.processes[0].ProcessState.ExitCode() != exitUsage { // which would have said it
			io.WriteString(c.err, first.last)
		}
		return usagef("%s was called wrongly, as said above", l.inner.Name())
	case interrupted != nil && (first.state.ExitCode() == exitFailed || signaled(first.state)):
		return fmt.Errorf("launch: the %d processes were stopped by the signal %q", l.n, interrupted)
	}
	text := fmt.Sprintf("launch: process %d of %d (0 to %d) %s", first.rank, l.n, l.n-1, howEnded(first.state))
	if l.n > 1 {
		text += ": the others were stopped"
	}
	if l.inner.has("save-every") {
		text += "; nothing is lost but the work since the last checkpoint, " + goesOn(l.inner.has)
	}
	return errors.New(text)
}

// howEnded says how a process failed.
func howEnded(state *os.ProcessState) string {
	switch status := state.Sys().(syscall.WaitStatus); {
	case !status.Signaled():
		return fmt.Sprintf("ended with exit code %d", state.ExitCode())
	case status.Signal() == syscall.SIGKILL:
		return fmt.Sprintf("was killed by signal %d (out of memory?)", int(syscall.SIGKILL))
	default:
		return fmt.Sprintf("was ended by signal %d (%v)", int(status.Signal()), status.Signal())
	}
}

func signaled(state *os.ProcessState) bool { return state.Sys().(syscall.WaitStatus).Signaled() }

// relay writes the lines of a process, each behind a prefix. The last one, if it is
// the program's error, it returns: all processes may end with the same.
func relay(out io.Writer, prefix string, in io.Reader) (last string) {
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadString('\n')
		if line != "" {
			io.WriteString(out, last)
			last = prefix + strings.TrimSuffix(line, "\n") + "\n"
			if !strings.HasPrefix(line, "autolora: ") {
				io.WriteString(out, last)
				last = ""
			}
		}
		if err != nil {
			return last
		}
	}
}
