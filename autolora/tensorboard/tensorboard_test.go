package tensorboard

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func at(seconds float64) time.Time { return time.UnixMilli(int64(1000 * seconds)) }

// TestBytes holds events and their framing to the file that TensorBoard's own
// RecordWriter and messages made (testdata/events.py).
func TestBytes(t *testing.T) {
	want, err := os.ReadFile("testdata/events.tfevents")
	if err != nil {
		t.Fatal(err)
	}
	var got []byte
	for _, event := range [][]byte{
		versionEvent(at(1700000000.25)),
		scalarEvent("search/loss", 10, at(1700000001.5), math.Ln2),
		scalarEvent("größe", 3_000_000_000, at(1700000002.5), -1e30),
		scalarEvent("inf", -1, at(1700000003.5), math.Inf(1)),
	} {
		got = append(got, record(event)...)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", hex.Dump(got), hex.Dump(want))
	}
}

// TestFile checks what is in the file after each call, without closing it.
func TestFile(t *testing.T) {
	dir := t.TempDir()
	w, err := Create(filepath.Join(dir, Name()))
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if name := filepath.Base(w.file.Name()); !strings.HasPrefix(name, "events.out.tfevents.") {
		t.Errorf("file %s", name)
	}
	info, err := os.Stat(w.file.Name())
	if err != nil {
		t.Fatal(err)
	}
	size := info.Size()
	for step := range int64(3) {
		if err := w.Scalar("loss", step, at(1.5), 0.25); err != nil {
			t.Fatal(err)
		}
		size += int64(len(record(scalarEvent("loss", step, at(1.5), 0.25))))
		if info, err := os.Stat(w.file.Name()); err != nil || info.Size() != size {
			t.Errorf("after step %d: %v, %v, want %d bytes", step, info.Size(), err, size)
		}
	}
	second, err := Create(filepath.Join(dir, Name()))
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	if second.file.Name() == w.file.Name() {
		t.Error("two writers have one file")
	}
}

func TestErrors(t *testing.T) {
	taken := filepath.Join(t.TempDir(), "taken")
	if err := os.WriteFile(taken, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Create(taken); err == nil || !strings.HasPrefix(err.Error(), "event file: ") || !strings.Contains(err.Error(), taken) {
		t.Errorf("error %v", err)
	}
	w, err := Create(filepath.Join(t.TempDir(), Name()))
	if err != nil {
		t.Fatal(err)
	}
	w.Close()
	if err := w.Scalar("loss", 1, time.Now(), 1); err == nil || !strings.Contains(err.Error(), w.file.Name()) {
		t.Errorf("error %v", err)
	}
}

// TestTensorBoardReads lets TensorBoard itself read a file; AUTOLORA_PYTHON is
// a Python that has it.
func TestTensorBoardReads(t *testing.T) {
	python := os.Getenv("AUTOLORA_PYTHON")
	if python == "" {
		t.Skip("AUTOLORA_PYTHON names no Python with tensorboard")
	}
	dir := t.TempDir()
	w, err := Create(filepath.Join(dir, Name()))
	if err != nil {
		t.Fatal(err)
	}
	for step := range int64(5) {
		if err := w.Scalar("train/loss", step, at(1700000000.5+float64(step)), 1/float64(int64(1)<<step)); err != nil {
			t.Fatal(err)
		}
		if err := w.Scalar("bad \xff tag", step, at(1700000000.5), 1); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.Command(python, "testdata/events.py", "read", dir).Output() // w is still open
	if err != nil {
		t.Fatal(err)
	}
	var got map[string][][3]float64
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	const want = "[[1.7000000005e+09 0 1] [1.7000000015e+09 1 0.5] [1.7000000025e+09 2 0.25] [1.7000000035e+09 3 0.125] [1.7000000045e+09 4 0.0625]]"
	if text := fmt.Sprint(got["train/loss"]); text != want || len(got["bad \uFFFD tag"]) != 5 {
		t.Errorf("got %v", got)
	}
}

func ExampleCreate() {
	dir, err := os.MkdirTemp("", "events")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	w, err := Create(filepath.Join(dir, Name()))
	if err != nil {
		panic(err)
	}
	defer w.Close()
	err = w.Scalar("train/loss", 10, time.Now(), 0.412)
	fmt.Println(err)
	// Output: <nil>
}
