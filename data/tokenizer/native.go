package tokenizer

import (
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/daulet/tokenizers"
)

// The binding says -ltokenizers but not where; the library lies beside libtorch.

// #cgo LDFLAGS: -L${SRCDIR}/../../third_party/lib
import "C"

// native is a tokenizer of the Rust library, in the forms that are needed, each opened when it first is. Encoding
// reads it only, so any number of goroutines may encode at once; close waits for them.
type native struct {
	mu     sync.RWMutex
	closed bool
	text   forms // for texts
	word   forms // for the words of a sentence
}

// forms are two tokenizers that give the same tokens: one for texts without NUL characters, one for those with.
type forms struct{ plain, withNUL *form }

// form is a tokenizer that is opened once.
type form struct {
	once sync.Once
	open func() (*tokenizers.Tokenizer, error)
	t    *tokenizers.Tokenizer // nil if it is not open
	err  error
}

func (f *form) get() (*tokenizers.Tokenizer, error) {
	f.once.Do(func() { f.t, f.err = f.open() })
	return f.t, f.err
}

func newForms(name string, s sections) forms {
	return forms{
		plain:   &form{open: func() (*tokenizers.Tokenizer, error) { return open(name, s, nil) }},
		withNUL: &form{open: func() (*tokenizers.Tokenizer, error) { return open(name, s, unescapeNUL) }},
	}
}

var errClosed = errors.New("the tokenizer is closed")

// newNative opens a tokenizer. words are its sections for the words of a sentence, nil if they are the same.
func newNative(name string, s, words sections) (*native, error) {
	n := &native{text: newForms(name, s)}
	if n.word = n.text; words != nil {
		n.word = newForms(name, words)
	}
	if _, err := n.text.plain.get(); err != nil {
		return nil, err
	}
	return n, nil
}

func open(name string, s sections, first []any) (*tokenizers.Tokenizer, error) {
	text, err := s.library(first)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	t, err := tokenizers.FromBytes(text)
	if err != nil {
		message := strings.TrimPrefix(err.Error(), "Failed to create tokenizer from bytes: ")
		// The place is one in the text handed over, not in the file.
		if at := strings.LastIndex(message, " at line "); at >= 0 {
			message = message[:at]
		}
		return nil, fmt.Errorf("%s: the tokenizers library refuses it: %s", name, message)
	}
	return t, nil
}

// encode gives the token ids of one text or one word, without special tokens around it. text is valid UTF-8.
//
// The binding gives no ids where the library reports an error. For a definition that passed parseDefinition only
// an unknown token can be missing, and that is checked there.
func (n *native) encode(text string, isWord bool) ([]uint32, error) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	if n.closed {
		return nil, errClosed
	}
	use := n.text
	if isWord {
		use = n.word
	}
	f := use.plain
	if strings.Contains(text, "\x00") {
		f, text = use.withNUL, escapeNUL.Replace(text)
	}
	t, err := f.get()
	if err != nil {
		return nil, err
	}
	return t.EncodeWithOptions(text, false).IDs, nil
}

func (n *native) decode(ids []uint32, skipSpecial bool) (string, error) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	if n.closed {
		return "", errClosed
	}
	return n.text.plain.t.Decode(ids, skipSpecial), nil
}

func (n *native) close() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.closed = true
	var err error
	for _, f := range []*form{n.text.plain, n.text.withNUL, n.word.plain, n.word.withNUL} {
		if f.t != nil {
			err = errors.Join(err, f.t.Close())
			f.t = nil
		}
	}
	return err
}

// The library takes its texts as C strings, which end at the first NUL character. A text that has one is encoded
// by a second tokenizer, opened when first needed, whose first normalizers turn an escape back into NUL. The
// escape is made of noncharacters, which no alphabet, added token or word boundary rule knows.
var (
	escapeNUL   = strings.NewReplacer("\x00", "\ufdd0\ufdd1", "\ufdd0", "\ufdd0\ufdd2")
	unescapeNUL = []any{
		replaceNormalizer("\ufdd0\ufdd1", "\x00"),
		replaceNormalizer("\ufdd0\ufdd2", "\ufdd0"),
	}
)

func replaceNormalizer(old, new string) map[string]any {
	return map[string]any{"type": "Replace", "pattern": map[string]any{"String": old}, "content": new}
}
