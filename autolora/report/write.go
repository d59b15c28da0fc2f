package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"sync"

	"autolora/atomicfile"
	"autolora/autolora/runs"
)

// The files that Write makes, beside the pictures.
const (
	PageFile     = runs.ReportFile
	MarkdownFile = "tables.md"
	JSONFile     = "report.json"
)

// Write makes the folder dir, if it is missing, and writes the report into it:
// the page, the tables, the numbers, and each picture as PNG and SVG, light
// and dark. Each file appears whole or not at all; those of an earlier report
// are replaced. It returns the names of the files.
func (r *Report) Write(dir string) ([]string, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	files := []file{
		{PageFile, func() ([]byte, error) { return printed(r.HTML) }},
		{MarkdownFile, func() ([]byte, error) { return printed(r.Markdown) }},
		{JSONFile, func() ([]byte, error) {
			text, err := json.MarshalIndent(r, "", "  ")
			return append(text, '\n'), err
		}},
	}
	for _, p := range r.pictures() {
		files = append(files,
			file{p.name + ".svg", func() ([]byte, error) { return p.svg(light) }}, file{p.name + ".png", func() ([]byte, error) { return p.png(light) }},
			file{p.name + "-dark.svg", func() ([]byte, error) { return p.svg(dark) }}, file{p.name + "-dark.png", func() ([]byte, error) { return p.png(dark) }},
		)
	}
	names, errs := make([]string, len(files)), make([]error, len(files))
	var group sync.WaitGroup
	running := make(chan struct{}, runtime.GOMAXPROCS(0)) // PNG files take a while to draw
	for i, f := range files {
		names[i] = f.name
		group.Go(func() {
			running <- struct{}{}
			defer func() { <-running }()
			data, err := f.content()
			if err == nil {
				err = atomicfile.WriteFile(filepath.Join(dir, f.name), data)
			}
			if err != nil {
				errs[i] = fmt.Errorf("report: %s: %w", f.name, err)
			}
		})
	}
	group.Wait()
	return names, errors.Join(append(errs, removeOthers(dir, names))...)
}

// pictureFile is the files of pictures, of whatever report.
var pictureFile = regexp.MustCompile(`^(scores|differences|ranks|ranks-by-seed|ranks-others|cost|curves-[0-9]+|alpha)(-dark)?\.(png|svg)$`)

// removeOthers removes the pictures of an earlier report that this one does
// not have.
func removeOthers(dir string, names []string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	for _, e := range entries {
		if pictureFile.MatchString(e.Name()) && !slices.Contains(names, e.Name()) {
			if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
				return fmt.Errorf("report: %w", err)
			}
		}
	}
	return nil
}

// file is one file of a report.
type file struct {
	name    string
	content func() ([]byte, error)
}

// printed returns what print writes.
func printed(print func(io.Writer) error) ([]byte, error) {
	var b bytes.Buffer
	err := print(&b)
	return b.Bytes(), err
}

// WriteRun writes the page about the run in the folder dir into it.
func WriteRun(dir string) error {
	run, err := readRun(dir)
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	var page bytes.Buffer
	if err := Summarise(&Runs{Runs: []*Run{run}}).HTML(&page); err != nil {
		return err
	}
	return atomicfile.WriteFile(filepath.Join(dir, PageFile), page.Bytes())
}
