package report

import "autolora/autolora/settings"

// about returns what is known of a setting; nothing depends on a name that is
// none.
func about(name string) settings.Setting {
	if s, ok := new(settings.Config).Find(name); ok {
		return s
	}
	return settings.Setting{Name: name, Effect: settings.Bookkeeping}
}

// changesResults reports whether runs that differ in a setting differ for that.
func changesResults(name string) bool {
	effect := about(name).Effect
	return effect == settings.Result || effect == settings.Measure
}

// isShared reports whether scores of methods that differ in a setting cannot be
// compared.
func isShared(name string) bool { return about(name).Effect == settings.Measure }

// isDecoding reports whether a setting says how texts are generated.
func isDecoding(name string) bool { return about(name).Group == settings.Generation }

// isPath reports whether a setting is a path of one machine.
func isPath(name string) bool { return isShared(name) && about(name).PerProcess }
