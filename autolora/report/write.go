package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"

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
var pictureFile = regexp.MustCompile(`^(scores|differences|ranks|ranks-by-seed|ranks-others|cost|curves-[0-9]+|alpha|tuning|pruning)(-dark)?\.(png|svg)$`)

// Write makes the folder dir, if it is missing, and writes the report into it:
// the page, the tables, the numbers, and each picture as PNG and SVG. Each file
// appears whole or not at all; those of an earlier report are replaced, and a
// file that no report wrote is an error before anything is written. It returns
// the names of the files.
func (r *Report) Write(dir string) (names []string, err error) {
	out, err := runs.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	var prints []func(io.Writer) error
	add := func(name string, print func(io.Writer) error) {
		names, prints = append(names, name), append(prints, print)
	}
	add(PageFile, r.HTML)
	add(MarkdownFile, r.Markdown)
	add(JSONFile, func(w io.Writer) error {
		numbers := json.NewEncoder(w)
		numbers.SetIndent("", "  ")
		return numbers.Encode(r)
	})
	for _, p := range r.pictures() {
		for _, ending := range []string{".svg", ".png"} {
			add(p.name+ending, func(w io.Writer) error { return p.write(w, ending) })
		}
	}
	if err := out.Replaceable(names...); err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	var errs []error
	for i, name := range names {
		if err := write(out, name, prints[i]); err != nil {
			errs = append(errs, fmt.Errorf("report: %s: %w", name, err))
		}
	}
	entries, err := os.ReadDir(dir)
	errs = append(errs, err)
	for _, e := range entries {
		if pictureFile.MatchString(e.Name()) && !slices.Contains(names, e.Name()) { // of an earlier report
			errs = append(errs, out.Remove(e.Name()))
		}
	}
	return names, errors.Join(errs...)
}

// write makes a file of what print prints.
func write(out *runs.Folder, name string, print func(io.Writer) error) error {
	var b bytes.Buffer
	if err := print(&b); err != nil {
		return err
	}
	return out.Write(name, b.Bytes())
}

// WriteRun writes the page about the run in the folder dir into it.
func WriteRun(dir string) error {
	run, err := readRun(dir)
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	out, err := runs.Open(dir)
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return errors.Join(write(out, PageFile, Summarise(&Runs{Runs: []*Run{run}}).HTML), out.Close())
}
