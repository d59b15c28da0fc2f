package torchbind_test

import (
	"errors"
	"strings"
	"testing"

	"autolora/torchbind"
)

// vector returns a float64 tensor [len(values)].
func vector(s *torchbind.Scope, values ...float64) *torchbind.Tensor {
	return matrix(s, []int64{int64(len(values))}, values...)
}

// matrix returns a float64 tensor of the given shape.
func matrix(s *torchbind.Scope, shape []int64, values ...float64) *torchbind.Tensor {
	return torchbind.FromSlice(s, values, shape, torchbind.CPU)
}

// ones returns a float32 tensor of ones.
func ones(s *torchbind.Scope, shape ...int64) *torchbind.Tensor {
	return torchbind.Full(s, shape, 1, torchbind.Float32, torchbind.CPU)
}

// ids returns an int64 tensor [len(values)].
func ids(s *torchbind.Scope, values ...int64) *torchbind.Tensor {
	return torchbind.FromSlice(s, values, []int64{int64(len(values))}, torchbind.CPU)
}

// wantError runs fn and fails unless an operation in it fails with an *Error of
// one line that begins with "torch " + want.
func wantError(t *testing.T, want string, fn func(s *torchbind.Scope)) {
	t.Helper()
	err := torchbind.Run(func(s *torchbind.Scope) error {
		fn(s)
		return nil
	})
	var e *torchbind.Error
	switch {
	case err == nil:
		t.Errorf("no error, want %q", "torch "+want)
	case !errors.As(err, &e):
		t.Errorf("error is %T, want *torchbind.Error: %v", err, err)
	case !strings.HasPrefix(err.Error(), "torch "+want):
		t.Errorf("error %q, want %q", err, "torch "+want)
	case strings.Contains(err.Error(), "\n"):
		t.Errorf("error has several lines: %q", err)
	}
}
