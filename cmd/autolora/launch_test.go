package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spf13/cobra"
)

// actVariable says what launched processes do: an act for each, by its rank.
const actVariable = "AUTOLORA_TEST_ACTS"

// launchedOr returns the program do, which in a launched process acts as the
// test says.
func launchedOr(do func(context.Context, *console, []string) error) func(context.Context, *console, []string) error {
	rank, err := strconv.Atoi(os.Getenv("RANK"))
	if err != nil {
		return do
	}
	return func(ctx context.Context, c *console, args []string) error {
		say := func(text string) { fmt.Fprintln(c.err, text, os.Getpid()) }
		switch act := strings.Fields(os.Getenv(actVariable))[rank]; act {
		case "tell":
			fmt.Fprintln(c.out, "stdout of", rank, args)
			for _, name := range []string{"RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "OMP_NUM_THREADS"} {
				fmt.Fprintf(c.err, "%s=%s\n", name, os.Getenv(name))
			}
			return nil
		case "fail":
			return errors.New("the connection is lost")
		case "misuse":
			return usagef("no such flag")
		case "wait": // until it is told to end
			say("waits")
			<-ctx.Done()
			fmt.Fprintln(c.err, "told")
			return commandError{ctx.Err(), &cobra.Command{}}
		case "stubborn":
			signal.Ignore(os.Interrupt, syscall.SIGTERM)
			say("waits")
			select {}
		default:
			return fmt.Errorf("unknown act %q", act)
		}
	}
}

// launched returns a command that launches a process for each act.
func launched(t *testing.T, acts string, args ...string) *exec.Cmd {
	t.Helper()
	n := strconv.Itoa(len(strings.Fields(acts)))
	cmd := program(t, append([]string{"launch", "--processes", n, "--grace", "300ms"}, args...)...)
	cmd.Env = append(cmd.Env, childVariable+"=launch", actVariable+"="+acts)
	return cmd
}

func TestLaunchTellsTheProcesses(t *testing.T) {
	cores := strconv.Itoa(runtime.NumCPU())
	all := "OMP_NUM_THREADS=" + cores // as if it were not set
	for _, tc := range []struct {
		name    string
		env     string
		args    []string
		threads string
	}{
		{"cores", all, []string{"--port", "29511", "run", "--k", "4"}, strconv.Itoa(max(1, runtime.GOMAXPROCS(0)/3))},
		{"user's own", all + "1", []string{"--port", "29511", "--", "run", "--k", "4"}, cores + "1"},
		{"flag", all, []string{"--port", "29511", "run", "--threads", "2"}, cores},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			cmd := launched(t, "tell tell tell", tc.args...)
			cmd.Env = append(cmd.Env, tc.env)
			got := run(t, cmd)
			inner := tc.args[slices.Index(tc.args, "run"):]
			if want := fmt.Sprintln("stdout of 0", inner); got.code != exitDone || got.stdout != want {
				t.Errorf("exit code %d, stdout %q, want %q", got.code, got.stdout, want)
			}
			for rank := range 3 {
				prefix := fmt.Sprintf("[process %d] ", rank)
				if rank == 0 {
					prefix = ""
				}
				for _, want := range []string{
					fmt.Sprintf("RANK=%d", rank), fmt.Sprintf("LOCAL_RANK=%d", rank), "WORLD_SIZE=3", "LOCAL_WORLD_SIZE=3",
					"MASTER_ADDR=127.0.0.1", "MASTER_PORT=29511", "OMP_NUM_THREADS=" + tc.threads,
				} {
					if !slices.Contains(strings.Split(got.stderr, "\n"), prefix+want) {
						t.Errorf("no line %q in\n%s", prefix+want, got.stderr)
					}
				}
			}
		})
	}
}

func TestLaunchErrors(t *testing.T) {
	for _, tc := range []struct {
		name string
		args []string
		want string
	}{
		{"no number", []string{"run"}, "launch: --processes N is missing"},
		{"none", []string{"--processes", "0", "run"}, "--processes: got 0, want 1 to 1024"},
		{"too many", []string{"--processes", "100000", "run"}, "--processes: got 100000, want 1 to 1024"},
		{"negative", []string{"--processes", "-1", "run"}, "--processes: got -1"},
		{"not a number", []string{"--processes", "x", "run"}, `--processes: got "x", want a whole number`},
		{"port", []string{"--processes", "2", "--port", "70000", "run"}, "--port: got 70000, want 1 to 65535"},
		{"grace", []string{"--processes", "2", "--grace", "30", "run"}, `--grace: got "30", want a time with its unit`},
		{"no command", []string{"--processes", "2"}, "COMMAND… is missing"},
		{"unknown command", []string{"--processes", "2", "rnu"}, `unknown command "rnu"`},
		{"for one process", []string{"--processes", "2", "report", "out"}, "report is done by one process"},
		{"itself", []string{"--processes", "1", "launch"}, "launch cannot start itself"},
		{"flag of the command", []string{"--processes", "2", "run", "--stepz", "3"}, "run: unknown flag --stepz, did you mean --steps?"},
		{"setting of the command", []string{"--processes", "2", "--", "run", "--split", "7"}, "run: --split: got 7"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := here(t, append([]string{"launch"}, tc.args...)...)
			if got.code != exitUsage || got.stdout != "" || strings.Count(got.stderr, "\n") != 1 || !strings.Contains(got.stderr, tc.want) {
				t.Errorf("exit code %d, stderr %q, want one line with %q", got.code, got.stderr, tc.want)
			}
		})
	}
	t.Run("help of the command", func(t *testing.T) {
		if got := here(t, "launch", "--processes", "2", "run", "--help"); got.code != exitDone || !strings.Contains(got.stdout, "Usage: autolora run") {
			t.Errorf("exit code %d, stdout %q", got.code, got.stdout)
		}
	})
	t.Run("one GPU for all", func(t *testing.T) {
		err := (&launch{n: 2}).prepare(t.Context(), silent(), []string{"run", "--device", "cuda:3"})
		if err == nil || !strings.Contains(err.Error(), "want --device cuda") {
			t.Errorf("error %v", err)
		}
	})
	t.Run("from a launched process", func(t *testing.T) {
		t.Setenv("WORLD_SIZE", "2")
		t.Setenv("RANK", "0")
		if got := here(t, "launch", "--processes", "2", "run"); got.code != exitUsage || !strings.Contains(got.stderr, "launch is done by one process") {
			t.Errorf("exit code %d, stderr %q", got.code, got.stderr)
		}
	})
}

// What is wrong in one process ends all, and is said in one line at the end.
func TestLaunchFailures(t *testing.T) {
	for _, tc := range []struct {
		name, acts string
		code       int
		want       []string // lines on stderr, by their beginnings
	}{
		{"one fails", "wait fail wait", exitFailed, []string{
			"[process 1] autolora: the connection is lost", "told", "[process 2] told",
			"autolora: launch: process 1 of 3 (0 to 2) ended with exit code 1: the others were stopped; nothing is lost but the work since the last checkpoint, --resume goes on",
		}},
		{"the first fails", "fail wait", exitFailed, []string{"autolora: the connection is lost", "[process 1] told", "autolora: launch: process 0 of 2 (0 to 1) ended with exit code 1"}},
		{"stubborn", "fail stubborn", exitFailed, []string{"autolora: launch: process 0 of 2 (0 to 1) ended with exit code 1"}},
		{"wrong usage", "misuse misuse misuse", exitUsage, []string{"autolora: no such flag", "autolora: launch: run was called wrongly"}},
		{"wrong usage of one", "wait misuse", exitUsage, []string{"[process 1] autolora: no such flag", "autolora: launch: run was called wrongly"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got := run(t, launched(t, tc.acts, "run"))
			if got.code != tc.code {
				t.Errorf("exit code %d, want %d", got.code, tc.code)
			}
			lines := strings.Split(strings.TrimSpace(got.stderr), "\n")
			for _, want := range tc.want {
				if !slices.ContainsFunc(lines, func(line string) bool { return strings.HasPrefix(line, want) }) {
					t.Errorf("no line %q… in\n%s", want, got.stderr)
				}
			}
			if last := lines[len(lines)-1]; !strings.HasPrefix(last, tc.want[len(tc.want)-1]) {
				t.Errorf("the last line is %q", last)
			}
			if n := strings.Count(got.stderr, "no such flag"); tc.code == exitUsage && n != 1 {
				t.Errorf("the wrong usage is said %d times:\n%s", n, got.stderr)
			}
		})
	}
}

// running is a launch of processes that wait.
type running struct {
	*exec.Cmd
	lines *bufio.Scanner // stderr
	pids  []int          // of the processes, in whatever order
}

// startLaunch launches acts that say "waits".
func startLaunch(t *testing.T, acts string) *running {
	t.Helper()
	r := &running{Cmd: launched(t, acts, "run")}
	stderr, err := r.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Start(); err != nil {
		t.Fatal(err)
	}
	stuck := time.AfterFunc(60*time.Second, func() { r.Process.Kill() })
	t.Cleanup(func() { stuck.Stop() })
	r.lines = bufio.NewScanner(stderr)
	for range strings.Fields(acts) {
		if !r.lines.Scan() {
			t.Fatal("stderr ends early")
		}
		pid, err := strconv.Atoi(r.lines.Text()[strings.LastIndex(r.lines.Text(), " ")+1:])
		if err != nil {
			t.Fatalf("line %q: %v", r.lines.Text(), err)
		}
		r.pids = append(r.pids, pid)
	}
	return r
}

// finish returns the lines that are left and the exit code.
func (r *running) finish(t *testing.T) (lines []string, code int) {
	t.Helper()
	for r.lines.Scan() {
		lines = append(lines, r.lines.Text())
	}
	r.Wait()
	r.gone(t)
	return lines, r.ProcessState.ExitCode()
}

// gone checks that no process is left.
func (r *running) gone(t *testing.T) {
	t.Helper()
	for _, pid := range r.pids {
		deadline := time.Now().Add(20 * time.Second)
		for alive(pid) {
			if time.Now().After(deadline) {
				t.Fatalf("process %d is left", pid)
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
}

// alive reports whether a process is there, and is more than an entry that
// nobody has waited for.
func alive(pid int) bool {
	if runtime.GOOS != "linux" {
		return syscall.Kill(pid, 0) == nil
	}
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	_, state, _ := strings.Cut(string(stat), ") ")
	return err == nil && !strings.HasPrefix(state, "Z") && !strings.HasPrefix(state, "X")
}

func TestLaunchedProcessIsKilled(t *testing.T) {
	t.Parallel()
	r := startLaunch(t, "wait wait wait")
	if err := syscall.Kill(r.pids[1], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	lines, code := r.finish(t)
	last := lines[len(lines)-1]
	if code != exitFailed || !strings.Contains(last, " of 3 (0 to 2) was killed by signal 9 (out of memory?): the others were stopped; nothing is lost") {
		t.Errorf("exit code %d, last line %q", code, last)
	}
}

// A signal goes to every process once; a second one kills.
func TestLaunchIsSignaled(t *testing.T) {
	for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		t.Run(s.String(), func(t *testing.T) {
			if signal.Ignored(s) {
				t.Skip("the tests were started so that it is ignored")
			}
			t.Parallel()
			r := startLaunch(t, "wait wait")
			if err := r.Process.Signal(s); err != nil {
				t.Fatal(err)
			}
			lines, code := r.finish(t)
			for _, want := range []string{"told", "[process 1] told", "autolora: interrupted", "[process 1] autolora: interrupted"} {
				if !slices.Contains(lines, want) {
					t.Errorf("no line %q in %q", want, lines)
				}
			}
			if want := fmt.Sprintf("autolora: launch: the 2 processes were stopped by the signal %q", s); code != exitFailed || lines[len(lines)-1] != want {
				t.Errorf("exit code %d, lines %q", code, lines)
			}
		})
	}
	t.Run("twice", func(t *testing.T) {
		t.Parallel()
		r := startLaunch(t, "stubborn stubborn")
		for range 2 {
			if err := r.Process.Signal(os.Interrupt); err != nil {
				t.Fatal(err)
			}
			time.Sleep(200 * time.Millisecond) // two that come at once count as one
		}
		if lines, code := r.finish(t); code != exitFailed {
			t.Errorf("exit code %d, lines %q", code, lines)
		}
	})
	t.Run("one does not listen", func(t *testing.T) {
		t.Parallel()
		r := startLaunch(t, "wait stubborn")
		if err := r.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if lines, code := r.finish(t); code != exitFailed {
			t.Errorf("exit code %d, lines %q", code, lines)
		}
	})
}

// Nothing is left of a launch that is killed.
func TestLaunchIsKilled(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("processes end with their parent on Linux only")
	}
	t.Parallel()
	r := startLaunch(t, "stubborn wait")
	r.Process.Kill()
	r.Wait()
	r.gone(t)
}

// Lines of two writes, and a last line without its end, come whole.
func TestRelay(t *testing.T) {
	var out strings.Builder
	in, process := io.Pipe()
	go func() {
		for _, text := range []string{"a\nb", "c\n", "autolora: x\n", "d\n", "autolora: bad"} {
			fmt.Fprint(process, text)
		}
		process.Close()
	}()
	last := relay(&out, "[process 1] ", in)
	if want := "[process 1] a\n[process 1] bc\n[process 1] autolora: x\n[process 1] d\n"; out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
	if want := "[process 1] autolora: bad\n"; last != want {
		t.Errorf("the last line is %q, want %q", last, want)
	}
}
