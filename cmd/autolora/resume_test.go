package main

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"autolora/autolora/runs"
)

// TestKilled kills runs with SIGKILL, at random times and while a checkpoint is
// being written, and goes on with them until they are complete: they learn the
// same bytes as a run that was left alone.
func TestKilled(t *testing.T) {
	model, table, dir := tinyModel(t), tinyTable(t, 60), t.TempDir()
	args := func(out string) []string {
		return append([]string{"run", "--out", out, "--k", "4", "--search-steps", "40", "--steps", "60", "--save-every", "1", "--lr", "0.01", "--search-lr", "0.01"},
			ownFiles(model, table)...)
	}
	alone, killed := filepath.Join(dir, "alone"), filepath.Join(dir, "killed")
	began := time.Now()
	succeed(t, args(alone)...)
	whole := time.Since(began)

	rng := rand.New(rand.NewPCG(1, 7))
	inWriting := 0
	const kills = 12
	for i := range kills {
		cmd := program(t, append(args(killed), "--resume")...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		limit := time.After(time.Duration((0.2 + rng.Float64()) * float64(whole)))
		written := make(<-chan time.Time) // never, unless this kill is to hit a write
		if i%2 == 0 {
			written = temporaryIn(filepath.Join(killed, runs.Own, "tmp"))
		}
		select {
		case err := <-ended:
			if err != nil {
				t.Fatalf("kill %d: the run failed: %v", i, err)
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
		t.Error("no kill came while a checkpoint was being written")
	}
	succeed(t, append(args(killed), "--resume")...)
	for _, name := range []string{runs.RanksFile, "adapter/adapter_model.safetensors", "adapter/adapter_config.json", "adapter/README.md"} {
		got, err := os.ReadFile(filepath.Join(killed, name))
		if err != nil {
			t.Fatal(err)
		}
		want, err := os.ReadFile(filepath.Join(alone, name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s differs from that of the run that was left alone", name)
		}
	}
	entries, err := os.ReadDir(killed)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if _, err := os.Stat(filepath.Join(alone, e.Name())); err != nil {
			t.Errorf("%s is left behind", e.Name())
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
