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

// native is a tokenizer of the Rust library. Encoding reads it only, so any number of goroutines may encode at
// once; close waits for them.
type native struct {
	mu      sync.RWMutex
	plain   *tokenizers.Tokenizer // nil once closed
	withNUL *tokenizers.Tokenizer // opened by openNUL
	openNUL func() error
}

var errClosed = errors.New("the tokenizer is closed")

func newNative(name string, s sections) (*native, error) {
	plain, err := open(name, s, nil)
	if err != nil {
		return nil, err
	}
	n := &native{plain: plain}
	n.openNUL = sync.OnceValue(func() (err error) {
		n.withNUL, err = open(name, s, unescapeNUL)
		return err
	})
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

// encode gives the token ids of one text, without special tokens around it. text is valid UTF-8.
//
// The binding gives no ids where the library reports an error. For a definition that passed parseDefinition only
// an unknown token can be missing, and that is checked there.
func (n *native) encode(text string) ([]uint32, error) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	if n.plain == nil {
		return nil, errClosed
	}
	t := n.plain
	if strings.Contains(text, "\x00") {
		if err := n.openNUL(); err != nil {
			return nil, err
		}
		t, text = n.withNUL, escapeNUL.Replace(text)
	}
	return t.EncodeWithOptions(text, false).IDs, nil
}

func (n *native) decode(ids []uint32, skipSpecial bool) (string, error) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	if n.plain == nil {
		return "", errClosed
	}
	return n.plain.Decode(ids, skipSpecial), nil
}

func (n *native) close() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.plain == nil {
		return nil
	}
	err := n.plain.Close()
	n.plain = nil
	if n.withNUL != nil {
		err = errors.Join(err, n.withNUL.Close())
		n.withNUL = nil
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
