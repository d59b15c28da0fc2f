package safetensors

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"autolora/human"
)

// FormatError says why a file is not the safetensors file or checkpoint that
// it should be.
type FormatError struct {
	Path   string // the file or folder
	Tensor string // the tensor at fault, "" when it is the whole file
	Msg    string // what is wrong, with what was found and what was wanted
}

// Error returns one line: the path, the tensor if there is one, and the fault.
func (e *FormatError) Error() string {
	if e.Tensor == "" {
		return fmt.Sprintf("read %s: %s", e.Path, e.Msg)
	}
	return fmt.Sprintf("read %s: tensor %q: %s", e.Path, e.Tensor, e.Msg)
}

// listed joins names for an error message, the first few quoted and the rest
// counted.
func listed(names []string) string {
	var quoted []string
	for _, n := range names {
		quoted = append(quoted, strconv.Quote(n))
	}
	return human.List(quoted, 5)
}

// otherFormat recognises files that are often given in place of safetensors, and
// returns what to say about them, or "".
func otherFormat(data []byte) string {
	// A safetensors header starts with '{', whatever its eight length bytes spell.
	if len(data) <= 8 || data[8] == '{' {
		return ""
	}
	s := string(data[:min(len(data), 32)])
	switch {
	case strings.HasPrefix(s, "PK\x03\x04"), s[0] == 0x80 && s[1] <= 5:
		return "is a PyTorch pickle file, not safetensors; pickle can run code and is never read: " +
			"get the model's .safetensors file, or convert it with safetensors.torch.save_model in Python"
	case strings.HasPrefix(s, "version https://git-lfs"):
		return "is a Git LFS pointer, not the weights themselves; fetch them with git lfs pull"
	case strings.HasPrefix(s, "GGUF"):
		return "is a GGUF file, not safetensors; get the model's .safetensors file"
	}
	return ""
}

// plain drops the operation and path from an [fs.PathError], for callers that
// name the path themselves. errors.Is sees the same causes.
func plain(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}
