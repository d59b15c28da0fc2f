package settings

import "fmt"

// Error says what is wrong with a setting. Who names settings otherwise, as a
// command line does, puts its own name in the place of Setting.
type Error struct {
	Setting string
	Err     error
}

func (e *Error) Error() string { return e.Setting + ": " + e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// Errorf returns an Error about a setting.
func Errorf(setting, format string, args ...any) error {
	return &Error{setting, fmt.Errorf(format, args...)}
}
