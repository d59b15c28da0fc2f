package main

import (
	"bufio"
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

// liveWidth returns the columns that the terminal behind err has now.
func (c *console) liveWidth() int {
	if f, ok := c.err.(*os.File); ok {
		if width, ok := terminalWidth(f); ok {
			return width
		}
	}
	return defaultWidth
}

// newConsole returns the process's own console.
func newConsole() *console {
	c := &console{in: os.Stdin, out: os.Stdout, err: os.Stderr, width: defaultWidth}
	dumb := os.Getenv("TERM") == "dumb"
	if width, ok := terminalWidth(os.Stdout); ok {
		c.width, c.color = width, !dumb && os.Getenv("NO_COLOR") == ""
	}
	c.live = !dumb && term.IsTerminal(int(os.Stderr.Fd()))
	return c
}

// terminalWidth returns the columns of f, and whether it is a terminal.
func terminalWidth(f *os.File) (int, bool) {
	fd := int(f.Fd())
	if !term.IsTerminal(fd) {
		return 0, false
	}
	width, _, err := term.GetSize(fd)
	if err != nil || width < 1 {
		return defaultWidth, true
	}
	return width, true
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
