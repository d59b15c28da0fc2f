package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"golang.org/x/term"
)

// console is where the program reads and writes.
type console struct {
	in  io.Reader
	out io.Writer
	err io.Writer

	width int  // columns of out
	color bool // out shows colours
	live  bool // err is a terminal: a line on it can be drawn anew
}

// defaultWidth is for text that goes into a file or a pipe.
const defaultWidth = 80

// newConsole returns the process's own console.
func newConsole() *console {
	c := &console{in: os.Stdin, out: os.Stdout, err: os.Stderr, width: defaultWidth}
	dumb := os.Getenv("TERM") == "dumb"
	if width := terminalWidth(os.Stdout); width > 0 {
		c.width, c.color = width, !dumb && os.Getenv("NO_COLOR") == ""
	}
	c.live = !dumb && terminalWidth(os.Stderr) > 0
	return c
}

// terminalWidth returns the columns that a terminal has now, 0 of what is none.
func terminalWidth(f *os.File) int {
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0
	}
	return cmp.Or(width, defaultWidth)
}

// writer collects text for the console; the first error of writing stays.
type writer struct {
	*bufio.Writer
	width int
	color bool
}

func (w *writer) printf(format string, args ...any) { fmt.Fprintf(w, format, args...) }

// print writes what fn prints to stdout. A full disk behind it is an error.
func (c *console) print(fn func(w *writer)) error {
	w := &writer{bufio.NewWriter(c.out), c.width, c.color}
	fn(w)
	if err := w.Flush(); err != nil {
		return fmt.Errorf("write to stdout: %w", err)
	}
	return nil
}

// printJSON writes v as one JSON object to stdout.
func (c *console) printJSON(v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("write to stdout: %w", err)
	}
	return c.print(func(w *writer) { w.printf("%s\n", text) })
}
