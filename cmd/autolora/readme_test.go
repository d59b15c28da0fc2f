package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Every command line of the README, and the demo's in the Makefile, has
// commands and flags that exist.
func TestDocumentedCommands(t *testing.T) {
	lines := append(documented(t, "README.md", "bin/autolora "), "run "+makeVariable(t, "DEMO_FLAGS"))
	if len(lines) < 4 {
		t.Fatalf("only %d command lines found: %q", len(lines), lines)
	}
	for _, line := range lines {
		if err := parse(newTree(silent()), strings.Fields(line)); err != nil {
			t.Errorf("%s: %v", line, err)
		}
	}
}

// parse reads a command line, and the one in it where its command wraps another.
func parse(tree *tree, args []string) error {
	cmd, rest, err := tree.root.Find(args)
	if err != nil {
		return err
	}
	if err := cmd.ParseFlags(rest); err != nil {
		return err
	}
	operands := cmd.Flags().Args()
	if cmd.HasSubCommands() {
		return wantCommand(cmd, operands)
	}
	if err := cmd.ValidateArgs(operands); err != nil || cmd.Name() != "launch" {
		return err
	}
	return parse(tree, operands)
}

// documented returns what follows prefix on the lines of a file that begin
// with it, with continued lines joined.
func documented(t *testing.T, file, prefix string) []string {
	t.Helper()
	var found []string
	for line := range strings.Lines(readRoot(t, file)) {
		if rest, ok := strings.CutPrefix(line, prefix); ok {
			found = append(found, strings.TrimSpace(rest))
		}
	}
	return found
}

// makeVariable returns the value of a variable of the Makefile.
func makeVariable(t *testing.T, name string) string {
	t.Helper()
	_, value, ok := strings.Cut(readRoot(t, "Makefile"), "\n"+name+" ?= ")
	if !ok {
		t.Fatalf("the Makefile has no %s", name)
	}
	value, _, _ = strings.Cut(value, "\n")
	return value
}

func readRoot(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", file))
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(data), "\\\n", " ")
}
