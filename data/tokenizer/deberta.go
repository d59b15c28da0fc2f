package tokenizer

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
)

// debertaPieces makes DeBERTa's tokenizer from spm.model: a Unigram of sentencepiece with a normalisation of its own,
// in the form that transformers' DebertaV2Converter makes. (Where transformers 5 reads spm.model itself it leaves the
// normalisation out, with which DeBERTa was trained: that tells on texts with characters like ﬁ and ½.)
func debertaPieces(path string, text []byte, set *settings) ([]byte, error) {
	m, err := readPieceModel(path, text, set, "DebertaV2Tokenizer", (*pieceModel).checkDeberta)
	if err != nil {
		return nil, err
	}
	vocab, pieces := m.vocab(), make([]any, len(m.pieces))
	for id, p := range m.pieces {
		pieces[id] = []any{p.text, float64(p.score)}
	}
	cls, sep := named(set.CLS, "[CLS]"), named(set.Sep, "[SEP]")
	for _, t := range []addedToken{cls, sep} {
		if !has(vocab, t.Content) {
			return nil, fmt.Errorf("%s: has no token %q: not the vocabulary of a DeBERTa model", path, t.Content)
		}
	}
	special := append([]addedToken{cls, sep, named(set.Unk, "[UNK]"), named(set.Pad, "[PAD]")}, m.controls()...)
	added := set.addedTokens(vocab, special...)
	known := map[string]bool{}
	for _, t := range added {
		known[t.Content] = true
	}
	for id, p := range m.pieces {
		if p.kind == userPiece && !known[p.text] {
			added = append(added, addedToken{ID: uint32(id), Content: p.text})
		}
	}
	if mask := named(set.Mask, "[MASK]"); !has(vocab, mask.Content) && !known[mask.Content] { // the pieces are without
		mask.ID = uint32(len(vocab))
		added = append(added, mask)
	}
	var normalizers []any
	if set.DoLowerCase != nil && *set.DoLowerCase {
		normalizers = append(normalizers, map[string]any{"type": "Lowercase"})
	}
	normalizers = append(normalizers, map[string]any{"type": "Strip", "strip_left": true, "strip_right": true})
	if len(m.charsmap) > 0 {
		normalizers = append(normalizers, map[string]any{"type": "Precompiled", "precompiled_charsmap": base64.StdEncoding.EncodeToString(m.charsmap)})
	}
	normalizers = append(normalizers, map[string]any{"type": "Replace", "pattern": map[string]any{"Regex": " {2,}"}, "content": " "})
	spaces := map[string]any{"type": "Metaspace", "replacement": metaspace, "prepend_scheme": "always", "split": true}
	words := []any{spaces}
	if set.SplitByPunct {
		words = []any{map[string]any{"type": "Punctuation", "behavior": "Isolated"}, spaces}
	}
	return json.Marshal(map[string]any{
		"added_tokens":   added,
		"normalizer":     map[string]any{"type": "Sequence", "normalizers": normalizers},
		"pre_tokenizer":  map[string]any{"type": "Sequence", "pretokenizers": words},
		"post_processor": around("BertProcessing", vocab, cls, sep),
		"decoder":        spaces,
		"model":          map[string]any{"type": "Unigram", "vocab": pieces, "unk_id": m.unk, "byte_fallback": false},
	})
}

// checkDeberta says why a model is not of DeBERTa's form.
func (m *pieceModel) checkDeberta() error {
	switch {
	case m.kind != 1:
		return errors.New("the model of sentencepiece is no Unigram: only that is read from spm.model")
	case m.byteFallback:
		return errors.New("the model of sentencepiece has a byte fallback: only one without is read from spm.model")
	case m.suffix || !m.prefix || !m.escape || !m.oneSpace:
		return errors.New("the model of sentencepiece writes spaces in another way than DeBERTa's: only that is read from spm.model")
	}
	return nil
}
