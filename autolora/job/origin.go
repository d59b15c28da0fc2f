package job

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"autolora/atomicfile"
	"autolora/autolora/settings"
	"autolora/data"
	"autolora/data/hub"
	"autolora/foreign"
	"autolora/nn/generate"
	"autolora/nn/peft"
	"autolora/plainjson"
)

// maxOrigin bounds the size of hub.OriginFile.
const maxOrigin = 1 << 20

// origin is what is kept of the run that made an adapter or a model.
type origin struct {
	Program  string          `json:"program"`
	Pairs    *bool           `json:"pairs,omitempty"` // of texts; nil in tagging, generation and chats
	Chat     bool            `json:"chat,omitempty"`  // conversations, laid out by the chat template
	Settings json.RawMessage `json:"settings"`        // see settings.Config.Kept
}

// readOrigin returns what a folder keeps; nil if it was not made by this program.
func readOrigin(dir string) (*origin, error) {
	if dir == "" {
		return nil, nil
	}
	path := filepath.Join(dir, hub.OriginFile)
	text, err := foreign.ReadFile(path, maxOrigin)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	o := new(origin)
	if err == nil {
		err = plainjson.Unmarshal(text, o)
	}
	if err == nil {
		err = plainjson.Unmarshal(o.Settings, &map[string]json.RawMessage{})
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w: it keeps how texts become inputs; without the file, these settings have to be given", path, err)
	}
	return o, nil
}

// Chats reports whether the adapter or model of a folder is asked in conversations,
// by its chat template.
func Chats(dir string) bool {
	o, err := readOrigin(dir)
	return err == nil && o != nil && o.Chat
}

// origin returns what the session's run leaves beside what it made. threshold is the
// one that it scored with, if it did with one.
func (s *session) origin(threshold *float64) *origin {
	cfg, o := s.cfg, &origin{Program: "autolora " + Version}
	cfg.Kind = s.task.Kind
	if threshold != nil {
		cfg.Threshold = *threshold
	}
	o.Settings = cfg.Kept()
	o.Chat = s.task.Kind == data.Chat && s.tok.HasChatTemplate()
	if s.task.Kind.OfTexts() {
		some := s.splits.Train
		if some == nil {
			some = s.splits.Dev[0]
		}
		o.Pairs = &some.Examples[0].HasPair
	}
	return o
}

// describe tells a card how the model takes its texts and writes its own, if that
// is kept.
func (o *origin) describe(card *peft.ModelCard) {
	cfg := settings.Default()
	card.Foreign = o == nil
	if o == nil || json.Unmarshal(o.Settings, &cfg) != nil {
		return // what reads the file says so
	}
	card.Chat = o.Chat
	card.Several, card.Threshold = cfg.Kind == data.MultiLabel, cfg.Threshold
	card.Pairs, card.Length = o.Pairs != nil && *o.Pairs, cfg.MaxLength
	d := cfg.Decoding
	// All that says otherwise in the generation_config.json of many a model, too.
	card.Search = fmt.Sprintf("max_new_tokens=%d, repetition_penalty=1.0, ", d.MaxNewTokens)
	switch early := map[generate.EarlyStopping]string{generate.WhenFull: "True", generate.WhenUnlikely: "False", generate.Never: `"never"`}; {
	case d.Sample:
		card.Search += fmt.Sprintf("do_sample=True, temperature=%v, top_k=%d, top_p=%v", d.Temperature, d.TopK, d.TopP)
	case d.Beams == 1:
		card.Search += "do_sample=False"
	default:
		card.Search += fmt.Sprintf("do_sample=False, num_beams=%d, length_penalty=%v, early_stopping=%s", d.Beams, d.LengthPenalty, early[d.EarlyStopping])
	}
	if d.NoRepeatNGram > 0 {
		card.Search += fmt.Sprintf(", no_repeat_ngram_size=%d", d.NoRepeatNGram)
	}
}

// inFull returns what is kept beside a model that was made of a base in 8 or 4 bits, but
// is not held so.
func (o *origin) inFull() (*origin, error) {
	if o == nil {
		return nil, nil
	}
	var kept map[string]json.RawMessage
	if err := json.Unmarshal(o.Settings, &kept); err != nil || kept["quantize"] == nil {
		return o, err
	}
	delete(kept, "quantize")
	full := *o
	text, err := json.Marshal(kept)
	full.Settings = text
	return &full, err
}

// write puts the file into a folder; none of a nil origin.
func (o *origin) write(dir string) error {
	if o == nil {
		return nil
	}
	text, err := json.MarshalIndent(o, "", "  ")
	if err == nil {
		err = atomicfile.WriteFile(filepath.Join(dir, hub.OriginFile), append(text, '\n'))
	}
	return err
}

// Recall puts into cfg what the folder of an adapter, or without one that of the
// model, keeps of the run that made it, but for the settings that are given. The
// base model is the adapter's. It returns a line for each that is given and another
// than the run's.
func Recall(cfg *settings.Config, adapterDir string, given func(setting string) bool) (notes []string, err error) {
	own := cfg.TrainFile != "" || cfg.DevFile != "" // which exclude a named task
	dir, what := cfg.Model, "model"
	differs := func(name, value, kept string) {
		notes = append(notes, fmt.Sprintf("%s %s: the %s was made with %s", name, value, what, kept))
	}
	if adapterDir != "" {
		adapter, err := ReadAdapter(adapterDir)
		if err != nil {
			return nil, err
		}
		dir, what = adapter.dir, "adapter"
		if own && !given("kind") {
			cfg.Kind = adapter.kind()
		}
		if name, _ := hub.NameOf(cfg.Model); cfg.Model == "" {
			cfg.Model = adapter.Base()
		} else if base := adapter.BaseModel; base != "" && filepath.Base(name) != filepath.Base(base) {
			differs("model", cfg.Model, base)
		}
	}
	o, err := readOrigin(dir)
	if o == nil || err != nil {
		return notes, err
	}
	var kept map[string]json.RawMessage
	if err := json.Unmarshal(o.Settings, &kept); err != nil {
		return nil, err
	}
	var run settings.Config
	for _, s := range cfg.Settings() {
		value, ok := kept[s.Name]
		if !ok || !s.Kept || own && s.Name == "task" {
			continue
		}
		into := &run
		if !given(s.Name) {
			into = cfg
		}
		if err := into.Set(s.Name, string(value)); err != nil {
			return nil, fmt.Errorf("%s: %w", filepath.Join(dir, hub.OriginFile), err)
		}
		if its, _ := into.Find(s.Name); its.String() != s.String() && into == &run {
			differs(s.Name, s.String(), its.String())
		}
	}
	return notes, nil
}
