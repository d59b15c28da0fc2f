package tokenizer

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"autolora/data"
)

// Tokenizer encodes texts for one model. All methods may be called from several goroutines at once.
type Tokenizer struct {
	native   *native
	template template
	unk, eos int64          // -1 for one that it does not have
	left     bool           // truncation keeps the last tokens
	space    string         // goes before a target
	size     int            // of the embedding that a model needs: the largest token id plus one
	nul      map[int64]bool // the tokens with a NUL character
	growth   growth         // of a text before it is cut into tokens
	chats    *chats
	ids      map[string]int64 // of special tokens
	words    sync.Map         // [string][]uint32: ids of the words so far, which come again and again
}

// Load opens the tokenizer of a model folder: tokenizer.json, or else vocab.txt (BERT's WordPiece), or else
// vocab.json and merges.txt (byte-level BPE: RoBERTa's form if the vocabulary has <s> and </s>, else GPT-2's), or else
// tokenizer.model (sentencepiece in LLaMA's form), or spm.model (in DeBERTa's).
// tokenizer_config.json and special_tokens_map.json are honoured where present. Padding and truncation that
// tokenizer.json asks for are not: [Tokenizer.Encode] is told. The caller closes the tokenizer.
//
// The error names the file and what is wrong with it.
func Load(dir string) (t *Tokenizer, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("tokenizer: %w", err)
		}
	}()
	if info, err := os.Stat(dir); err != nil {
		return nil, err
	} else if !info.IsDir() {
		return nil, fmt.Errorf("%s: want a folder with the tokenizer's files: %w", dir, fs.ErrInvalid)
	}
	set, err := readSettings(dir)
	if err != nil {
		return nil, err
	}
	chats, err := readChats(dir, set)
	if err != nil {
		return nil, err
	}
	name, text, err := readDefinition(dir, set)
	if err != nil {
		return nil, err
	}
	if t, err = build(name, text, set); err != nil {
		return nil, err
	}
	chats.special = slices.SortedFunc(maps.Keys(t.ids), longestFirstOrder)
	t.chats = chats
	return t, nil
}

func build(name string, text []byte, set *settings) (*Tokenizer, error) {
	def, err := parseDefinition(name, text, set)
	if err != nil {
		return nil, err
	}
	n, err := newNative(name, def.sections, def.sections.forWords())
	if err != nil {
		return nil, err
	}
	ids := map[string]int64{}
	for _, token := range def.added {
		if token.Special && token.Content != "" {
			ids[token.Content] = int64(token.ID)
		}
	}
	return &Tokenizer{
		chats:    &chats{},
		ids:      ids,
		native:   n,
		template: def.template,
		unk:      def.special(set.Unk, def.model.unk, "[UNK]", "<unk>", endOfText),
		eos:      def.special(set.EOS, "</s>", endOfText),
		left:     set.TruncationSide == "left",
		space:    targetSpace(def.sections["normalizer"]),
		size:     int(def.maxID()) + 1,
		nul:      def.nul(),
		growth:   def.growth,
	}, nil
}

// Close frees the tokenizer, after the calls under way. Later calls return an error.
func (t *Tokenizer) Close() error {
	t.chats.close()
	err := t.native.close()
	t.words.Clear()
	return err
}

// maxText bounds one text: the library takes 500 bytes of memory for each byte of it (measured).
const maxText = 4 << 20

// Encode gives the ids and segments of a text, or of a pair of texts if pair is not nil, with the special tokens
// around them. Where that is more than maxLength tokens, the longer text is cut first ("longest first"), and
// truncated is true. maxLength 0 cuts nothing.
//
// The error is for a text that is not UTF-8, has a NUL character or has more than 4 MiB, for a maxLength that does not even hold the
// special tokens, and for a closed tokenizer.
func (t *Tokenizer) Encode(text string, pair *string, maxLength int) (enc data.Encoded, truncated bool, err error) {
	isPair := pair != nil
	var texts [2][]uint32
	if texts[0], err = t.encode(text, false); err != nil {
		return data.Encoded{}, false, err
	}
	if isPair {
		if texts[1], err = t.encode(*pair, false); err != nil {
			return data.Encoded{}, false, fmt.Errorf("second text: %w", err)
		}
	}
	if maxLength != 0 {
		room := maxLength - t.template.added(isPair)
		if room < 0 {
			return data.Encoded{}, false, fmt.Errorf("max length %d: the tokenizer adds %d special tokens", maxLength, t.template.added(isPair))
		}
		truncated = len(texts[0])+len(texts[1]) > room
		a, b := longestFirst(len(texts[0]), len(texts[1]), room)
		texts[0], texts[1] = cut(texts[0], a, t.left), cut(texts[1], b, t.left)
	}
	enc.IDs, enc.Segments = t.template.join(texts, isPair)
	return enc, truncated, nil
}

// encode gives the ids of a text, or of a word of a sentence, without special tokens.
func (t *Tokenizer) encode(text string, isWord bool) ([]uint32, error) {
	if err := errors.Join(checkText(text), t.growth.check(text)); err != nil {
		return nil, err
	}
	return t.native.encode(text, isWord)
}

func checkText(text string) error {
	if len(text) > maxText {
		return fmt.Errorf("text of %d bytes: want at most %d", len(text), maxText)
	}
	if !utf8.ValidString(text) {
		return fmt.Errorf("text is not valid UTF-8 at byte %d", invalidUTF8([]byte(text)))
	}
	if at := strings.IndexByte(text, 0); at >= 0 {
		return fmt.Errorf("text has a NUL character at byte %d, where the tokenizers library would end it: take it out", at)
	}
	return nil
}

// Decode gives the text of token ids, without the special tokens if skipSpecial is set, as transformers' decode does
// with clean_up_tokenization_spaces=False, but without tokens that have a NUL character, at which the library would end
// the text. The error is for an id that is not in the vocabulary, and for a closed tokenizer.
func (t *Tokenizer) Decode(ids []int64, skipSpecial bool) (string, error) {
	tokens := make([]uint32, 0, len(ids))
	for _, id := range ids {
		if id < 0 || id >= int64(t.size) {
			return "", fmt.Errorf("token id %d: want 0 to %d", id, t.size-1)
		}
		if !t.nul[id] {
			tokens = append(tokens, uint32(id))
		}
	}
	return t.native.decode(tokens, skipSpecial)
}

// Between gives what the tokenizer puts between the texts of a pair, "" for nothing.
func (t *Tokenizer) Between() (string, error) { return t.native.decode(t.template.between(), false) }

// Size is one more than the largest token id. A model's embedding may have fewer rows: what counts is the ids that
// occur in texts, which an [Encoder] checks.
func (t *Tokenizer) Size() int { return t.size }

const endOfText = "<|endoftext|>" // GPT-2's only special token

// special finds a special token by its name in the settings, or by one of its usual names; -1 if there is none.
func (d *definition) special(t *namedToken, usual ...string) int64 {
	if t != nil {
		usual = []string{t.Content}
	}
	for _, name := range usual {
		if id := d.token(name); id >= 0 {
			return id
		}
	}
	return -1
}
