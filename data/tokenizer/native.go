package tokenizer

import (
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"

	"github.com/daulet/tokenizers"
)

// The binding says -ltokenizers but not where; the library lies beside libtorch.

// #cgo LDFLAGS: -L${SRCDIR}/../../third_party/static -Wl,--wrap=onig_search_with_param
// #include "regex.h"
import "C"

// native is a tokenizer of the Rust library. Encoding reads it only, so any number of goroutines may encode at once;
// close waits for them.
type native struct {
	mu    sync.RWMutex
	text  *tokenizers.Tokenizer                 // nil when it is closed
	words func() (*tokenizers.Tokenizer, error) // for the words of a sentence, opened when first called
	own   *tokenizers.Tokenizer                 // what words has opened
}

var errClosed = errors.New("the tokenizer is closed")

// newNative opens a tokenizer. words are its sections for the words of a sentence, nil if they are the same.
func newNative(name string, s, words sections) (*native, error) {
	text, err := open(name, s)
	if err != nil {
		return nil, err
	}
	n := &native{text: text}
	n.words = sync.OnceValues(func() (t *tokenizers.Tokenizer, err error) {
		if words == nil {
			return text, nil
		}
		n.own, err = open(name, words)
		return n.own, err
	})
	return n, nil
}

func open(name string, s sections) (*tokenizers.Tokenizer, error) {
	text, err := json.Marshal(s)
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

// encode gives the token ids of one text or one word, without special tokens around it. text passed checkText.
//
// The binding gives no ids where the library reports an error. For a definition that passed parseDefinition only
// an unknown token can be missing, and that is checked there.
func (n *native) encode(text string, isWord bool) ([]uint32, error) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	t, err := n.text, error(nil)
	if t == nil {
		return nil, errClosed
	}
	if isWord {
		if t, err = n.words(); err != nil {
			return nil, err
		}
	}
	var ids []uint32
	err = bounded(len(text), func() { ids = t.EncodeWithOptions(text, false).IDs })
	return ids, err
}

// encodeOffsets is encode of a text with the bytes of it that each token is.
func (n *native) encodeOffsets(text string) (ids []uint32, offsets []span, err error) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	if n.text == nil {
		return nil, nil, errClosed
	}
	err = bounded(len(text), func() {
		encoded := n.text.EncodeWithOptions(text, false, tokenizers.WithReturnOffsets())
		ids = encoded.IDs
		for _, o := range encoded.Offsets {
			offsets = append(offsets, span{From: int(o[0]), To: int(o[1])})
		}
	})
	if err == nil && len(offsets) != len(ids) {
		err = fmt.Errorf("the tokenizers library gave %d places for %d tokens", len(offsets), len(ids))
	}
	return ids, offsets, err
}

// bounded runs fn, which encodes or decodes n bytes, with a bound on the work of regular expressions. A megabyte takes
// them a second.
func bounded(n int, fn func()) error {
	runtime.LockOSThread() // whose work is counted
	defer runtime.UnlockOSThread()
	C.regex_begin(C.double(10 + 1e-5*float64(n)))
	fn()
	if C.regex_end() != 0 {
		return errors.New("a regular expression of the tokenizer needs too many tries for this text: it backtracks without end")
	}
	return nil
}

func (n *native) decode(ids []uint32, skipSpecial bool) (string, error) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	if n.text == nil {
		return "", errClosed
	}
	var text string
	err := bounded(len(ids), func() { text = n.text.Decode(ids, skipSpecial) })
	return text, err
}

func (n *native) close() (err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, t := range []**tokenizers.Tokenizer{&n.text, &n.own} {
		if *t != nil {
			err = errors.Join(err, (*t).Close())
			*t = nil
		}
	}
	return err
}
