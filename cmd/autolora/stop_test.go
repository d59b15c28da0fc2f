package main

import (
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestNothingOutlastsASignal stops commands that wait where no context is looked at.
func TestNothingOutlastsASignal(t *testing.T) {
	model, table := tinyModel(t), tinyTable(t, 60)
	for _, tc := range []struct {
		name string
		args func(fifo string) []string
	}{
		{"data of train", func(fifo string) []string {
			return append([]string{"train", "--method", "lora", "--out", filepath.Join(t.TempDir(), "out")}, ownFiles(model, fifo)...)
		}},
		{"hypotheses of score", func(fifo string) []string {
			return []string{"score", "classification", "--hypotheses", fifo, "--references", table}
		}},
		{"settings", func(fifo string) []string { return []string{"run", "--config", fifo} }},
	} {
		for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
			t.Run(tc.name+"/"+s.String(), func(t *testing.T) {
				if signal.Ignored(s) {
					t.Skip("the tests were started so that it is ignored")
				}
				t.Parallel()
				fifo := filepath.Join(t.TempDir(), "fifo.jsonl")
				if err := syscall.Mkfifo(fifo, 0o600); err != nil {
					t.Fatal(err)
				}
				cmd := program(t, tc.args(fifo)...)
				var stderr strings.Builder
				cmd.Stderr = &stderr
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				waitForReader(t, cmd.Process.Pid, fifo)
				cmd.Process.Signal(s)
				hangs := time.AfterFunc(time.Minute, func() { cmd.Process.Kill() })
				cmd.Wait()
				hangs.Stop()
				if cmd.ProcessState.ExitCode() != exitFailed || !strings.HasSuffix(stderr.String(), "interrupted\n") {
					t.Errorf("ended with %v: %q", cmd.ProcessState, &stderr)
				}
			})
		}
	}
}

// waitForReader waits until a process waits for what comes through fifo.
func waitForReader(t *testing.T, pid int, fifo string) {
	t.Helper()
	w, err := os.OpenFile(fifo, os.O_RDWR, 0) // as a reader too, without which it waits to be opened
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	for range 600 {
		open, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
		if err != nil {
			t.Fatal(err)
		}
		for _, fd := range open {
			if target, err := os.Readlink(fd); err == nil && target == fifo {
				return
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("process %d does not read %s", pid, fifo)
}

// TestCrashIsNoWrongUsage checks how the process ends where Go or C crash.
func TestCrashIsNoWrongUsage(t *testing.T) {
	cmd := program(t)
	cmd.Env = append(cmd.Env, childVariable+"=crash")
	got := run(t, cmd)
	if status := cmd.ProcessState.Sys().(syscall.WaitStatus); !status.Signaled() || status.Signal() != syscall.SIGABRT {
		t.Errorf("ended with %v, want by SIGABRT; stderr %.200q", cmd.ProcessState, got.stderr)
	}
}
