package chattemplate

import (
	"errors"
	"regexp"
	"strings"
	"sync"
	"unsafe"
)

// #cgo LDFLAGS: -L${SRCDIR}/../../third_party/static -lchattemplate -lm
// #include "chattemplate.h"
import "C"

// Template is a compiled template. All methods may be called from several goroutines at once.
type Template struct {
	marks bool // it says itself what the assistant generates

	mu  sync.RWMutex
	env *C.chat_environment // nil when it is closed
}

// Span is a part of a text, in bytes: from From up to To.
type Span struct{ From, To int }

var (
	generation    = regexp.MustCompile(`\{%([-+]?)\s*generation\s*([-+]?)%\}`)
	endGeneration = regexp.MustCompile(`\{%([-+]?)\s*endgeneration\s*([-+]?)%\}`)
)

// The characters that the filter "generation" of native/src/lib.rs puts around a text. They are none: Unicode keeps
// them for the use within programs.
const begins, ends = "\ufdd0", "\ufdd1"

// New compiles a template. The caller closes it. The error says in one line, with the template's line, what is wrong.
//
// A block {% generation %} of transformers, which is there to say what the assistant wrote, is compiled as a filter that
// marks its text: tags of the same form, so that white space around them is treated the same.
func New(source string) (*Template, error) {
	t := &Template{marks: generation.MatchString(source)}
	source = generation.ReplaceAllString(source, "{%$1 filter generation $2%}")
	source = endGeneration.ReplaceAllString(source, "{%$1 endfilter $2%}")
	b := []byte(source)
	var said C.chat_text
	t.env = C.chat_compile((*C.char)(unsafe.Pointer(unsafe.SliceData(b))), C.size_t(len(b)), &said)
	if t.env == nil {
		return nil, errors.New(take(said))
	}
	return t, nil
}

// Close frees the template, after the calls under way. Later calls return an error.
func (t *Template) Close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.env != nil {
		C.chat_free(t.env)
		t.env = nil
	}
}

// MarksGeneration reports whether the template has {% generation %} blocks.
func (t *Template) MarksGeneration() bool { return t.marks }

// Render renders the template with variables, a JSON object whose order of keys counts; see [Template.MarksGeneration]
// for generated. Today is 26 July 2024 in every text, so that one conversation has one text. The error is one line: what
// the template says with raise_exception, or what is wrong with it for these variables.
func (t *Template) Render(variables []byte) (text string, generated []Span, err error) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if t.env == nil {
		return "", nil, errors.New("the chat template is closed")
	}
	var said C.chat_text
	ok := C.chat_render(t.env, (*C.char)(unsafe.Pointer(unsafe.SliceData(variables))), C.size_t(len(variables)), &said)
	if text = take(said); !ok {
		return "", nil, errors.New(text)
	}
	if t.marks {
		text, generated = unmark(text)
	}
	return text, generated, nil
}

// take copies a text and frees it.
func take(text C.chat_text) string {
	defer C.chat_free_text(text)
	return string(unsafe.Slice((*byte)(text.bytes), int(text.length)))
}

// unmark takes the marks out of a text, and returns what is between them.
func unmark(marked string) (string, []Span) {
	var b strings.Builder
	var spans []Span
	for {
		before, rest, found := strings.Cut(marked, begins)
		b.WriteString(strings.ReplaceAll(before, ends, ""))
		if !found {
			return b.String(), spans
		}
		inner, after, _ := strings.Cut(rest, ends)
		from := b.Len()
		b.WriteString(strings.ReplaceAll(inner, begins, ""))
		spans = append(spans, Span{from, b.Len()})
		marked = after
	}
}
