package job

import (
	"errors"
	"fmt"
)

// DivergedError says that a step gave a number that is not finite.
type DivergedError struct {
	Phase string
	Step  int    // counted from 1
	What  string // "training loss is NaN"
	Good  int64  // the last step after which everything was finite; 0 is the start
	Saved string // where that state was written; "" if it was not
}

func (e *DivergedError) Error() string {
	text := fmt.Sprintf("%s step %d: %s: lower the learning rate", e.Phase, e.Step, e.What)
	if e.Saved != "" {
		text += fmt.Sprintf("; the last good state, of step %d, is in %s", e.Good, e.Saved)
	}
	return text
}

func diverged(err error) bool { return errors.As(err, new(*DivergedError)) }

// ResumableError is the end of a run before its time, whose checkpoint is there
// to go on from.
type ResumableError struct{ Err error }

func (e *ResumableError) Error() string { return e.Err.Error() + "; the checkpoint is kept" }
func (e *ResumableError) Unwrap() error { return e.Err }
