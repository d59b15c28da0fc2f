package settings

import (
	"bytes"
	"encoding/json"
	"fmt"

	"autolora/plainjson"
)

// MarshalJSON writes every setting, but for those of a comparison that are
// empty, in the order of the table.
func (c Config) MarshalJSON() ([]byte, error) {
	return c.object(func(s Setting) bool { return s.Readers != Compare || !s.IsDefault() }), nil
}

// Kept returns a JSON object of what is kept beside a model that was made with c,
// as far as it says something: see [Setting.Kept].
func (c Config) Kept() json.RawMessage {
	return c.object(func(s Setting) bool {
		value := string(s.JSON())
		return s.Kept && !s.Idle && (s.Group != Generation || c.Kind.Writes()) && value != `""` && value != "null"
	})
}

// object returns a JSON object of the settings that which reports.
func (c Config) object(which func(Setting) bool) json.RawMessage {
	out := []byte{'{'}
	for _, s := range c.Settings() {
		if !which(s) {
			continue
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = fmt.Appendf(out, "%q:%s", s.Name, s.JSON())
	}
	return append(out, '}')
}

// UnmarshalJSON takes the settings that there are, and leaves the others as they
// are. What is no setting is passed over.
func (c *Config) UnmarshalJSON(text []byte) error {
	var entries map[string]json.RawMessage
	if err := plainjson.Unmarshal(text, &entries); err != nil {
		return err
	}
	for _, s := range c.Settings() {
		value, ok := entries[s.Name]
		if !ok && s.Earlier != "" {
			value, ok = entries[s.Earlier]
		}
		if ok {
			if err := s.set(value); err != nil {
				return err
			}
		}
	}
	return nil
}

// Set sets the setting of that name to a JSON value, or to a text that is not
// JSON.
func (c *Config) Set(name, value string) error {
	s, ok := c.Find(name)
	if !ok {
		return fmt.Errorf("unknown setting %q", name)
	}
	raw := json.RawMessage(value)
	if _, isText := s.Value.(*string); isText && !bytes.HasPrefix(raw, []byte(`"`)) || !json.Valid(raw) {
		raw, _ = json.Marshal(value)
	}
	return s.set(raw)
}

// Find returns the setting of that name, or that had it.
func (c *Config) Find(name string) (Setting, bool) {
	for _, s := range c.Settings() {
		if s.Name == name || s.Earlier == name && name != "" {
			return s, true
		}
	}
	return Setting{}, false
}

// Changed returns the names of the settings whose values in a and b are not the same.
func Changed(a, b Config) (names []string) {
	of := b.Settings()
	for i, s := range a.Settings() {
		if !bytes.Equal(s.JSON(), of[i].JSON()) {
			names = append(names, s.Name)
		}
	}
	return names
}

// Differing returns the first setting whose values in a and b are not the same,
// among those that which reports; nil if there is none.
func Differing(a, b Config, which func(Setting) bool) (inA, inB *Setting) {
	of := b.Settings()
	for i, s := range a.Settings() {
		if which(s) && !bytes.Equal(s.JSON(), of[i].JSON()) {
			return &s, &of[i]
		}
	}
	return nil, nil
}
