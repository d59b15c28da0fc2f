package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"unicode"

	"golang.org/x/term"
)

// console is where the program reads and writes.
type console struct {
	in  io.Reader
	out io.Writer
	err io.Writer

	width    int  // columns of out
	terminal bool // out is one
	color    bool // out shows colours
	live     bool // err is a terminal: a line on it can be drawn anew
}

// defaultWidth is for text that goes into a file or a pipe.
const defaultWidth = 80

// newConsole returns the process's own console.
func newConsole() *console {
	c := &console{in: os.Stdin, out: os.Stdout, err: os.Stderr, width: defaultWidth}
	dumb := os.Getenv("TERM") == "dumb"
	if width := terminalWidth(os.Stdout); width > 0 {
		c.width, c.terminal, c.color = width, true, !dumb && os.Getenv("NO_COLOR") == ""
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

// writer collects text for the console.
type writer struct {
	strings.Builder
	width int
	color bool
}

func (w *writer) printf(format string, args ...any) { fmt.Fprintf(w, format, args...) }

// print writes what fn prints to stdout, as plain text but for this program's own
// styles. A full disk behind it is an error.
func (c *console) print(fn func(w *writer)) error {
	w := &writer{width: c.width, color: c.color}
	fn(w)
	text := w.String()
	if !c.color {
		return c.write(plain(text))
	}
	var b strings.Builder
	from := 0
	for _, at := range ownStyle.FindAllStringIndex(text, -1) {
		b.WriteString(plain(text[from:at[0]]) + text[at[0]:at[1]])
		from = at[1]
	}
	return c.write(b.String() + plain(text[from:]))
}

// printData writes what fill writes to stdout: as it is, but on a terminal, line by
// line, as plain text.
func (c *console) printData(fill func(w io.Writer) error) error {
	if c.terminal {
		return fill(dataWriter{c})
	}
	w := bufio.NewWriter(dataWriter{c})
	err := fill(w)
	return cmp.Or(err, w.Flush()) // whole lines, also before an error
}

// dataWriter is the console as a writer of data.
type dataWriter struct{ *console }

func (w dataWriter) Write(data []byte) (int, error) {
	text := string(data)
	if w.terminal {
		text = plain(text)
	}
	return len(data), w.write(text)
}

func (c *console) write(text string) error {
	if _, err := io.WriteString(c.out, text); err != nil {
		return fmt.Errorf("write to stdout: %w", err)
	}
	return nil
}

// note writes a line to stderr, as plain text.
func (c *console) note(format string, args ...any) {
	fmt.Fprintln(c.err, plain(fmt.Sprintf(format, args...)))
}

// ownStyle finds what [writer.bold] and the heat map of ranks write.
var ownStyle = regexp.MustCompile(`\x1b\[(?:[01]|[34]8;5;\d{1,3})m`)

// plain returns text that a terminal only shows: characters that it would obey, and
// those that turn the direction of writing, appear as JSON has them, \u001b. Names,
// labels and texts of files may have them.
func plain(text string) string {
	obeyed := func(r rune) bool {
		return unicode.IsControl(r) && r != '\n' && r != '\t' || r >= '\u2028' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069'
	}
	text = strings.ToValidUTF8(text, "\uFFFD") // a byte alone may be a control character too
	if !strings.ContainsFunc(text, obeyed) {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		if obeyed(r) {
			fmt.Fprintf(&b, `\u%04x`, r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// printJSON writes v as one JSON object to stdout.
func (c *console) printJSON(v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("write to stdout: %w", err)
	}
	return c.write(plain(string(text)) + "\n")
}
