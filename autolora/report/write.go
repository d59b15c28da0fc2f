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
	"slices"

	"autolora/atomicfile"
	"autolora/autolora/runs"
)

// The files that Write makes, beside the pictures.
const (
	PageFile     = runs.ReportFile
	MarkdownFile = "tables.md"
	JSONFile     = "report.json"
)

// pictureFile is the files of pictures, of whatever report; earlier versions
// wrote dark ones too.
var pictureFile = regexp.MustCompile(`^(scores|differences|ranks|ranks-by-seed|ranks-others|cost|curves-[0-9]+|alpha)(-dark)?\.(png|svg)$`)

// Write makes the folder dir, if it is missing, and writes the report into it:
// the page, the tables, the numbers, and each picture as PNG and SVG. Each file
// appears whole or not at all; those of an earlier report are replaced. It
// returns the names of the files.
func (r *Report) Write(dir string) ([]string, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	var names []string
	var errs []error
	write := func(name string, content []byte, err error) {
		names = append(names, name)
		if err == nil {
			err = atomicfile.WriteFile(filepath.Join(dir, name), content)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("report: %s: %w", name, err))
		}
	}
	content, err := written(r.HTML)
	write(PageFile, content, err)
	content, err = written(r.Markdown)
	write(MarkdownFile, content, err)
	content, err = json.MarshalIndent(r, "", "  ")
	write(JSONFile, append(content, '\n'), err)
	for _, p := range r.pictures() {
		for _, ending := range []string{".svg", ".png"} {
			content, err = p.file(ending)
			write(p.name+ending, content, err)
		}
	}
	entries, err := os.ReadDir(dir)
	errs = append(errs, err)
	for _, e := range entries {
		if pictureFile.MatchString(e.Name()) && !slices.Contains(names, e.Name()) { // of an earlier report
			errs = append(errs, os.Remove(filepath.Join(dir, e.Name())))
		}
	}
	return names, errors.Join(errs...)
}

// written returns what print writes.
func written(print func(io.Writer) error) ([]byte, error) {
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
	page, err := written(Summarise(&Runs{Runs: []*Run{run}}).HTML)
	if err != nil {
		return err
	}
	return atomicfile.WriteFile(filepath.Join(dir, PageFile), page)
}
