package main

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"autolora/autolora/runs"
)

// TestKilled kills runs with SIGKILL, at random times and while a checkpoint is
// being written, and goes on with them until they are complete: they learn the
// same bytes as a run that was left alone.
func TestKilled(t *testing.T) {
	model, table, dir := tinyModel(t), tinyTable(t, 60), t.TempDir()
	own := append([]string{"--save-every", "1"}, ownFiles(model, table)...)
	trained := filepath.Join(dir, "run alone")
	for _, tc := range []struct {
		command string
		args    []string
		kills   int
	}{
		{"run", append([]string{"--k", "4", "--search-steps", "40", "--steps", "60", "--lr", "0.01", "--search-lr", "0.01"}, own...), 5},
		{"tune", append([]string{"--tune-target", "query+value,all-linear", "--tune-rank", "1,2", "--tune-lr", "0.001,0.01", "--steps", "30"}, own...), 3},
		{"prune", append([]string{"--adapter", trained, "--by", "ablation", "--steps", "30", "--lr", "0.01"}, own...), 3}, // of what run made
	} {
		alone, killed := filepath.Join(dir, tc.command+" alone"), filepath.Join(dir, tc.command)
		began := time.Now()
		if got := run(t, program(t, append([]string{tc.command, "--out", alone}, tc.args...)...)); got.code != exitDone {
			t.Fatalf("%s: exit code %d: %s", tc.command, got.code, got.stderr)
		}
		again := append([]string{tc.command, "--resume", "--out", killed}, tc.args...)
		kill(t, again, killed, tc.kills, time.Since(began))
		succeed(t, again...)
		sameResults(t, killed, alone)
	}
}

// kill starts a command in a folder again and again, and kills it: at every second
// time when a file is being written there, else at a random moment of whole, which is
// about how long it takes.
func kill(t *testing.T, args []string, folder string, times int, whole time.Duration) {
	t.Helper()
	rng := rand.New(rand.NewPCG(1, 7))
	inWriting := 0
	for i := range times {
		cmd := program(t, args...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		limit := time.After(time.Duration((0.2 + rng.Float64()) * float64(whole)))
		written := make(<-chan time.Time) // never, unless this kill is to hit a write
		if i%2 == 0 {
			written = temporaryIn(filepath.Join(folder, runs.Own, "tmp"))
		}
		select {
		case err := <-ended:
			if err != nil {
				t.Fatalf("%s, kill %d: it failed: %v", args[0], i, err)
			}
		case <-written:
			inWriting++
			cmd.Process.Kill()
			<-ended
		case <-limit:
			cmd.Process.Kill()
			<-ended
		}
	}
	if inWriting == 0 {
		t.Errorf("%s: no kill came while a file was being written", args[0])
	}
}

// times are what two runs of the same do not have in common.
var times = regexp.MustCompile(`(?m)^ *"seconds": .*\n`)

// sameResults checks that a run that was killed left what another one left.
func sameResults(t *testing.T, killed, alone string) {
	t.Helper()
	names := []string{runs.RanksFile, runs.TuneFile, runs.PruneFile, "adapter/adapter_model.safetensors", "adapter/adapter_config.json", "adapter/README.md"}
	for _, name := range names {
		got, err := os.ReadFile(filepath.Join(killed, name))
		want, wantErr := os.ReadFile(filepath.Join(alone, name))
		if (err == nil) != (wantErr == nil) || !bytes.Equal(times.ReplaceAll(got, nil), times.ReplaceAll(want, nil)) {
			t.Errorf("%s: %s differs from that of the one left alone", killed, name)
		}
	}
	entries, err := os.ReadDir(killed)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if _, err := os.Stat(filepath.Join(alone, e.Name())); err != nil {
			t.Errorf("%s: %s is left behind", killed, e.Name())
		}
	}
}

// temporaryIn tells when a file in the writing is seen in a folder.
func temporaryIn(dir string) <-chan time.Time {
	seen := make(chan time.Time, 1)
	go func() {
		for range 20_000 {
			if found, _ := filepath.Glob(filepath.Join(dir, "*")); len(found) > 0 {
				seen <- time.Now()
				return
			}
			time.Sleep(100 * time.Microsecond)
		}
	}()
	return seen
}
