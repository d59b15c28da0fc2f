package main

import (
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Every command line of the README and of docs, and the demo's in the Makefile,
// has commands and flags that exist.
func TestDocumentedCommands(t *testing.T) {
	lines := []string{"run " + makeVariable(t, "DEMO_FLAGS")}
	for _, file := range []string{"README.md", "docs/machines.md", "docs/method.md", "docs/performance.md", "docs/text.md"} {
		lines = append(lines, documented(t, file, "bin/autolora ")...)
	}
	if len(lines) < 10 {
		t.Fatalf("only %d command lines found: %q", len(lines), lines)
	}
	for _, line := range lines {
		if err := parse(newTree(silent()), strings.Fields(line)); err != nil {
			t.Errorf("%s: %v", line, err)
		}
	}
}

// NOTICE lists every Go module that is linked into the program, by the end of its path.
func TestNotice(t *testing.T) {
	modules, err := exec.Command("go", "list", "-deps", "-f", "{{with .Module}}{{if not .Main}}{{.Path}}{{end}}{{end}}", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	_, list, _ := strings.Cut(readRoot(t, "NOTICE"), "\nGo modules: ")
	list, _, _ = strings.Cut(list, "\n\n")
	var listed []string
	for _, word := range regexp.MustCompile(`[\w./-]+`).FindAllString(list, -1) {
		listed = append(listed, path.Base(word))
	}
	version := regexp.MustCompile(`/v\d+$`)
	for _, module := range strings.Fields(string(modules)) {
		if name := path.Base(version.ReplaceAllString(module, "")); !slices.Contains(listed, name) {
			t.Errorf("NOTICE does not list %s", module)
			listed = append(listed, name)
		}
	}
}

// Every relative link of a page leads to a file, and its anchor to a heading;
// and so does what the code cites of docs, as in: docs/method.md, "Data".
func TestLinks(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#:\s]*)(?:#([^)\s]*))?\)`)
	citation := regexp.MustCompile(`(docs/\w+\.md), "([^"]+)"`)
	found := 0
	check := func(from, page, anchor string) {
		text, err := os.ReadFile(filepath.Join("..", "..", page))
		if err != nil {
			t.Errorf("%s: %v", from, err)
		} else if anchor != "" && !slices.Contains(anchors(string(text)), anchor) {
			t.Errorf("%s: %s has no heading #%s", from, page, anchor)
		}
		found++
	}
	root := os.DirFS(filepath.Join("..", ".."))
	err := fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
		if slices.Contains([]string{".git", "third_party", "bin", "out"}, name) {
			return fs.SkipDir
		}
		switch path.Ext(name) {
		case ".md":
			for _, m := range link.FindAllStringSubmatch(readRoot(t, name), -1) {
				page := name
				if m[1] != "" {
					page = path.Join(path.Dir(name), m[1])
				}
				check(name, page, m[2])
			}
		case ".go", ".cc", ".h", ".py", ".sh":
			for _, m := range citation.FindAllStringSubmatch(readRoot(t, name), -1) {
				check(name, m[1], anchorOf(m[2]))
			}
		}
		return err
	})
	if err != nil || found < 20 {
		t.Errorf("%d links and citations found, error %v", found, err)
	}
}

// anchors returns those of a page's headings.
func anchors(page string) []string {
	var all []string
	for line := range strings.Lines(page) {
		if heading := strings.TrimLeft(line, "#"); heading != line {
			all = append(all, anchorOf(heading))
		}
	}
	return all
}

// anchorOf is what links call a heading.
func anchorOf(heading string) string {
	kept := regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(strings.ToLower(strings.TrimSpace(heading)), "")
	return strings.ReplaceAll(kept, " ", "-")
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
		if rest, ok := strings.CutPrefix(strings.TrimSpace(line), prefix); ok {
			line, _, _ := strings.Cut(rest, " # ")
			found = append(found, strings.TrimSpace(line))
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
