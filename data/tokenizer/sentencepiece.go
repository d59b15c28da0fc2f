package tokenizer

import (
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// sentencePiece makes LLaMA's tokenizer from tokenizer.model: a BPE of sentencepiece with a token for every byte and
// without normalisation, in the form that transformers 5 makes (tokenization_llama.py). <s> stands before every text,
// unless add_bos_token is false. Other models of sentencepiece are refused.
func sentencePiece(path string, text []byte, set *settings) ([]byte, error) {
	m, err := readPieceModel(path, text, set, "LlamaTokenizer", (*pieceModel).check)
	if err != nil {
		return nil, err
	}
	vocab := m.vocab()
	bos, eos := named(set.BOS, "<s>"), named(set.EOS, "</s>")
	single := []any{sequencePiece("A")}
	special := map[string]any{}
	if set.AddBOS == nil || *set.AddBOS {
		id, ok := vocab[bos.Content]
		if !ok {
			return nil, fmt.Errorf("%s: has no token %q to put before texts", path, bos.Content)
		}
		single = []any{map[string]any{"SpecialToken": map[string]any{"id": bos.Content, "type_id": 0}}, sequencePiece("A")}
		special[bos.Content] = map[string]any{"id": bos.Content, "ids": []uint32{id}, "tokens": []string{bos.Content}}
	}
	tokens := append([]addedToken{bos, eos, named(set.Unk, "<unk>")}, m.controls()...)
	return json.Marshal(map[string]any{
		"added_tokens":  set.addedTokens(vocab, tokens...),
		"pre_tokenizer": map[string]any{"type": "Metaspace", "replacement": metaspace, "prepend_scheme": "first", "split": false},
		"post_processor": map[string]any{
			"type": "TemplateProcessing", "single": single, "pair": append(slices.Clone(single), sequencePiece("B")), "special_tokens": special,
		},
		"decoder": map[string]any{"type": "Sequence", "decoders": []any{
			map[string]any{"type": "Replace", "pattern": map[string]any{"String": metaspace}, "content": " "},
			map[string]any{"type": "ByteFallback"},
			map[string]any{"type": "Fuse"},
			map[string]any{"type": "Strip", "content": " ", "start": 1, "stop": 0},
		}},
		"model": map[string]any{"type": "BPE", "vocab": vocab, "merges": m.merges(vocab), "fuse_unk": true, "byte_fallback": true},
	})
}

// readPieceModel reads a model of sentencepiece for a class of tokenizers, whose form check looks for.
func readPieceModel(path string, text []byte, set *settings, class string, check func(*pieceModel) error) (*pieceModel, error) {
	if err := set.checkClass(path, class); err != nil {
		return nil, err
	}
	m, err := parsePieces(text)
	if err != nil {
		return nil, fmt.Errorf("%s: not a model of sentencepiece: %w", path, err)
	}
	if err := check(m); err != nil {
		return nil, fmt.Errorf("%s: %w: save a tokenizer.json with transformers' save_pretrained", path, err)
	}
	return m, nil
}

const metaspace = "▁" // stands for a space

// maxPiece bounds the bytes of a piece, since all pairs of its parts are looked up. Sentencepiece itself makes
// pieces of 16 characters unless it is told otherwise.
const maxPiece = 1024

func sequencePiece(id string) any {
	return map[string]any{"Sequence": map[string]any{"id": id, "type_id": 0}}
}

// pieceModel is what sentencepiece_model.proto says of a model.
type pieceModel struct {
	pieces       []spPiece
	kind         uint64 // 1 is Unigram, 2 BPE
	byteFallback bool
	suffix       bool // spaces go behind words
	unk          uint64
	charsmap     []byte // by which texts are normalised
	prefix       bool   // a space goes before a text
	oneSpace     bool   // of several spaces one is kept
	escape       bool   // spaces are written as metaspace
}

type spPiece struct {
	text  string
	score float32
	kind  uint64
}

// The kinds of pieces that matter.
const (
	normalPiece  = 1
	controlPiece = 3
	userPiece    = 4
)

// vocab returns the ids of the pieces.
func (m *pieceModel) vocab() map[string]uint32 {
	vocab := make(map[string]uint32, len(m.pieces))
	for id, p := range m.pieces {
		vocab[p.text] = uint32(id)
	}
	return vocab
}

// controls returns the pieces that stand for no text.
func (m *pieceModel) controls() (tokens []addedToken) {
	for _, p := range m.pieces {
		if p.kind == controlPiece {
			tokens = append(tokens, addedToken{Content: p.text})
		}
	}
	return tokens
}

// check says why a model is not of LLaMA's form.
func (m *pieceModel) check() error {
	switch {
	case m.kind != 2:
		return errors.New("the model of sentencepiece is no BPE: only that is read")
	case !m.byteFallback:
		return errors.New("the model of sentencepiece has no byte fallback: only one with it is read")
	case len(m.charsmap) > 0 || m.oneSpace:
		return errors.New("the model of sentencepiece normalises texts: only one that does not is read")
	case m.suffix || !m.prefix || !m.escape:
		return errors.New("the model of sentencepiece writes spaces in another way than LLaMA's: only that is read")
	case slices.ContainsFunc(m.pieces, func(p spPiece) bool { return p.kind == userPiece }):
		return errors.New("the model of sentencepiece has pieces that its user defined: only one without is read")
	}
	return nil
}

// merges gives for every piece the pairs of pieces that make it, those of the piece with the highest score first,
// since that is what sentencepiece merges first. (transformers 5 goes by the ids, which differs in LLaMA's "▁▁".)
func (m *pieceModel) merges(vocab map[string]uint32) []merge {
	byScore := slices.Clone(m.pieces)
	slices.SortStableFunc(byScore, func(a, b spPiece) int { return cmp.Compare(b.score, a.score) })
	all := []merge{}
	for _, p := range byScore {
		for at := range p.text {
			if a, b := p.text[:at], p.text[at:]; has(vocab, a) && has(vocab, b) {
				all = append(all, merge{a, b})
			}
		}
	}
	return all
}

// parsePieces reads a ModelProto.
func parsePieces(text []byte) (*pieceModel, error) {
	m := &pieceModel{kind: 1, prefix: true, oneSpace: true, escape: true}
	seen := map[string]bool{}
	err := protoFields(text, func(field protowire.Number, _ uint64, part []byte) error {
		switch field {
		case 1:
			p := spPiece{kind: normalPiece}
			err := protoFields(part, func(field protowire.Number, number uint64, text []byte) error {
				switch field {
				case 1:
					p.text = string(text)
				case 2:
					if len(text) != 4 {
						return fmt.Errorf("piece %d: its score is no number of 4 bytes", len(m.pieces))
					}
					p.score = math.Float32frombits(binary.LittleEndian.Uint32(text))
				case 3:
					p.kind = number
				}
				return nil
			})
			if err == nil && (p.text == "" || len(p.text) > maxPiece || !utf8.ValidString(p.text) || seen[p.text]) {
				err = fmt.Errorf("piece %d: %.40q is empty, too long, not UTF-8, or there twice", len(m.pieces), p.text)
			}
			seen[p.text] = true
			m.pieces = append(m.pieces, p)
			return err
		case 2:
			return protoFields(part, func(field protowire.Number, number uint64, _ []byte) error {
				switch field {
				case 3:
					m.kind = number
				case 24:
					m.suffix = number != 0
				case 35:
					m.byteFallback = number != 0
				case 40:
					m.unk = number
				}
				return nil
			})
		case 3:
			return protoFields(part, func(field protowire.Number, number uint64, text []byte) error {
				switch field {
				case 2:
					m.charsmap = text
				case 3:
					m.prefix = number != 0
				case 4:
					m.oneSpace = number != 0
				case 5:
					m.escape = number != 0
				}
				return nil
			})
		}
		return nil
	})
	if err == nil && len(m.pieces) == 0 {
		err = errors.New("it has no pieces")
	}
	return m, err
}

// protoFields gives the fields of a protobuf message: the number of a field that is one, else its bytes.
func protoFields(b []byte, yield func(field protowire.Number, number uint64, part []byte) error) error {
	for len(b) > 0 {
		field, kind, tag := protowire.ConsumeTag(b)
		if tag < 0 {
			return errors.New("a field has no valid key")
		}
		size := protowire.ConsumeFieldValue(field, kind, b[tag:])
		if size < 0 {
			return fmt.Errorf("field %d is cut off or of an unknown type", field)
		}
		part := b[tag : tag+size]
		b = b[tag+size:]
		var number uint64
		switch kind {
		case protowire.VarintType:
			number, _ = protowire.ConsumeVarint(part)
		case protowire.BytesType:
			part, _ = protowire.ConsumeBytes(part)
		}
		if err := yield(field, number, part); err != nil {
			return err
		}
	}
	return nil
}
