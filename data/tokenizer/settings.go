package tokenizer

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"autolora/foreign"
	"autolora/plainjson"
)

// settings are the parts of tokenizer_config.json, special_tokens_map.json and added_tokens.json that bear on
// encoding. What a file leaves out is nil.
type settings struct {
	Class                string  `json:"tokenizer_class"`
	TruncationSide       string  `json:"truncation_side"`
	DoLowerCase          *bool   `json:"do_lower_case"`
	StripAccents         *bool   `json:"strip_accents"`
	TokenizeChineseChars *bool   `json:"tokenize_chinese_chars"`
	AddPrefixSpace       *bool   `json:"add_prefix_space"`
	SplitByPunct         bool    `json:"split_by_punct"`
	AddBOS               *bool   `json:"add_bos_token"`
	Added                tokenID `json:"added_tokens_decoder"`
	// InputNames are what the tokenizer gives a model: input_ids, token_type_ids (segments), …
	InputNames []string `json:"model_input_names"`
	// ChatTemplates lay conversations out, see chats.
	ChatTemplates templates `json:"chat_template"`
	names
}

// names are the special tokens by the part they play.
type names struct {
	Pad        *namedToken  `json:"pad_token"`
	Unk        *namedToken  `json:"unk_token"`
	CLS        *namedToken  `json:"cls_token"`
	Sep        *namedToken  `json:"sep_token"`
	Mask       *namedToken  `json:"mask_token"`
	BOS        *namedToken  `json:"bos_token"`
	EOS        *namedToken  `json:"eos_token"`
	Additional []namedToken `json:"additional_special_tokens"`
	Extra      extraTokens  `json:"extra_special_tokens"` // its name in transformers 5
}

// namedToken is a special token: its content alone, or an object with the flags of an added token.
type namedToken addedToken

func (t *namedToken) UnmarshalJSON(text []byte) error {
	var err error
	if len(text) > 0 && text[0] == '"' {
		err = plainjson.Unmarshal(text, &t.Content)
	} else {
		err = plainjson.Unmarshal(text, (*addedToken)(t))
	}
	t.Special = true
	return err
}

// extraTokens are a list, or an object of tokens by the parts that they play.
type extraTokens []namedToken

func (l *extraTokens) UnmarshalJSON(text []byte) error {
	var byPart map[string]namedToken
	if plainjson.Unmarshal(text, (*[]namedToken)(l)) == nil {
		return nil
	}
	if err := plainjson.Unmarshal(text, &byPart); err != nil {
		return err
	}
	for _, part := range slices.Sorted(maps.Keys(byPart)) {
		*l = append(*l, byPart[part])
	}
	return nil
}

// tokenID is added_tokens_decoder: an object of added tokens by their ids.
type tokenID []addedToken

func (l *tokenID) UnmarshalJSON(text []byte) error {
	var byID map[string]addedToken
	if err := plainjson.Unmarshal(text, &byID); err != nil {
		return err
	}
	for key, t := range byID {
		id, err := strconv.ParseUint(key, 10, 32)
		if err != nil {
			return fmt.Errorf("added_tokens_decoder: %q is not a token id", key)
		}
		t.ID = uint32(id)
		*l = append(*l, t)
	}
	return nil
}

// readSettings reads the three files, each of which may be absent. tokenizer_config.json goes before the others where it
// lists the added tokens; without such a list, special_tokens_map.json goes before it, as in transformers.
func readSettings(dir string) (*settings, error) {
	s := &settings{}
	var byMap names
	var added map[string]uint32
	for _, file := range []struct {
		name string
		into any
	}{
		{"tokenizer_config.json", s},
		{"special_tokens_map.json", &byMap},
		{"added_tokens.json", &added},
	} {
		path := filepath.Join(dir, file.name)
		text, err := foreign.ReadFile(path, maxFile)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = parseJSON(path, text, file.into)
		}
		if err != nil {
			return nil, err
		}
	}
	if side := s.TruncationSide; side != "" && side != "left" && side != "right" {
		return nil, fmt.Errorf("%s: truncation_side %q: want left or right", filepath.Join(dir, "tokenizer_config.json"), side)
	}
	mine, other := s.parts(), byMap.parts()
	for i := range mine {
		if s.Added == nil {
			*mine[i] = cmp.Or(*other[i], *mine[i])
		} else {
			*mine[i] = cmp.Or(*mine[i], *other[i])
		}
	}
	if s.Additional = slices.Concat(s.Additional, s.Extra); s.Additional == nil {
		s.Additional = slices.Concat(byMap.Additional, byMap.Extra)
	}
	if s.Added == nil {
		for _, content := range slices.Sorted(maps.Keys(added)) {
			s.Added = append(s.Added, addedToken{ID: added[content], Content: content, Normalized: true})
		}
	}
	return s, nil
}

// withoutSegments are the classes of tokenizers, of models without segments, that give none. Bare classes, which serve
// any model, are not among them.
var withoutSegments = []string{"DistilBertTokenizer", "MPNetTokenizer", "RobertaTokenizer", "XLMRobertaTokenizer", "CamembertTokenizer",
	"BartTokenizer", "LongformerTokenizer", "GPT2Tokenizer", "LlamaTokenizer"}

// segments reports whether the tokenizer tells a pair's texts apart.
func (s *settings) segments() bool {
	if s.InputNames != nil {
		return slices.Contains(s.InputNames, "token_type_ids")
	}
	return !slices.Contains(withoutSegments, s.class())
}

// extend adds the tokens of the settings to those of tokenizer.json, as transformers does: what added_tokens_decoder or
// added_tokens.json lists, in the order of the ids, with the flags that it gives, then the special tokens that neither
// has. All get their ids in the vocabulary, or the next free ones, whatever ids the settings give them.
func (s *settings) extend(tokens []addedToken, vocab map[string]uint32) []addedToken {
	place, next := map[string]int{}, uint32(len(vocab))
	for i, t := range tokens {
		place[t.Content], next = i, max(next, t.ID+1)
	}
	add := func(t addedToken) {
		var known bool
		if t.ID, known = vocab[t.Content]; !known {
			t.ID = next
		}
		place[t.Content], next = len(tokens), max(next, t.ID+1)
		tokens = append(tokens, t)
	}
	for _, t := range slices.SortedFunc(slices.Values(s.Added), byID) {
		if at, ok := place[t.Content]; ok {
			t.ID = tokens[at].ID
			tokens[at] = t
			continue
		}
		add(t)
	}
	var named []namedToken
	for _, part := range []*namedToken{s.BOS, s.EOS, s.Unk, s.Sep, s.Pad, s.CLS, s.Mask} {
		if part != nil {
			named = append(named, *part)
		}
	}
	for _, t := range append(named, s.Additional...) {
		if _, known := place[t.Content]; t.Content != "" && !known {
			add(addedToken(t))
		}
	}
	return tokens
}

// parts lists the single tokens.
func (n *names) parts() []**namedToken {
	return []**namedToken{&n.Pad, &n.Unk, &n.CLS, &n.Sep, &n.Mask, &n.BOS, &n.EOS}
}

// change lets tokenizer_config.json overrule a section of tokenizer.json, as transformers does.
func (s *settings) change(section string, part map[string]any) {
	set := func(key string, value *bool) {
		if value != nil {
			part[key] = *value
		}
	}
	switch {
	case section == "normalizer" && part["type"] == "BertNormalizer":
		set("lowercase", s.DoLowerCase)
		set("strip_accents", s.StripAccents)
		set("handle_chinese_chars", s.TokenizeChineseChars)
	case section == "pre_tokenizer" && part["type"] == "ByteLevel":
		set("add_prefix_space", s.AddPrefixSpace)
	}
}

// class is the tokenizer class without "Fast", "" if the config names none or one that fits any tokenizer.
func (s *settings) class() string {
	switch c := strings.TrimSuffix(s.Class, "Fast"); c {
	case "PreTrainedTokenizer", "TokenizersBackend":
		return ""
	default:
		return c
	}
}

// maxFile bounds a file of a tokenizer. The largest in use, with 256,000 tokens, have 35 MB.
const maxFile = 512 << 20
