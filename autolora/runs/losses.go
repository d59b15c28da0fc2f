package runs

import (
	"encoding/json"
	"fmt"
	"math"
	"path/filepath"
	"slices"
)

// Losses is what losses.json holds: the held-out loss of every example, by which
// runs on the same examples are compared one by one.
type Losses struct {
	Part string // of the data: dev or test
	Data string // data.Dataset.Digest of the examples
	// Loss is that of each example: in tagging the mean over its words, in generation
	// over the tokens of its targets.
	Loss []float64
	Rows []int // words or tokens of each example; nil: each is one
}

// Add adds an example, with the sum of the losses of its rows.
func (l *Losses) Add(sum float64, rows int) {
	if rows != 1 && l.Rows == nil {
		l.Rows = slices.Repeat([]int{1}, len(l.Loss))
	}
	if l.Rows != nil {
		l.Rows = append(l.Rows, rows)
	}
	l.Loss = append(l.Loss, sum/float64(max(rows, 1)))
}

// rows returns how many rows example i has.
func (l *Losses) rows(i int) float64 {
	if l.Rows == nil {
		return 1
	}
	return float64(l.Rows[i])
}

// Mean returns the mean over all rows; NaN of none.
func (l *Losses) Mean() float64 {
	sum, rows := 0.0, 0.0
	for i, loss := range l.Loss {
		sum, rows = sum+l.rows(i)*loss, rows+l.rows(i)
	}
	return sum / rows
}

// StandardError returns that of Mean: the standard deviation of the examples'
// losses by √n. Examples are independent and their words are not, so examples of
// several rows count as a whole, as of a ratio of sums (Cochran 1977, section 2.11).
// It is NaN of fewer than two examples.
func (l *Losses) StandardError() float64 {
	mean, n, rows, squares := l.Mean(), 0.0, 0.0, 0.0
	for i, loss := range l.Loss {
		if of := l.rows(i); of > 0 {
			off := of * (loss - mean)
			n, rows, squares = n+1, rows+of, squares+off*off
		}
	}
	return math.Sqrt(squares*n/(n-1)) / rows
}

// Minus returns the losses less those of other on the same examples: their Mean is the
// difference of the means, and its StandardError that of a paired comparison.
func (l *Losses) Minus(other Losses) Losses {
	d := Losses{Part: l.Part, Data: l.Data, Rows: l.Rows}
	for i, loss := range l.Loss {
		d.Loss = append(d.Loss, loss-other.Loss[i])
	}
	return d
}

// lossesFile is the form of losses.json.
type lossesFile struct {
	Part string    `json:"part"`
	Data string    `json:"data"`
	Loss []float32 `json:"loss"`
	Rows []int     `json:"rows,omitempty"`
}

// MarshalJSON rounds the losses to float32.
func (l Losses) MarshalJSON() ([]byte, error) {
	file := lossesFile{l.Part, l.Data, make([]float32, len(l.Loss)), l.Rows}
	for i, loss := range l.Loss {
		file.Loss[i] = float32(min(loss, math.MaxFloat32)) // JSON has no infinity
	}
	return json.Marshal(file)
}

// Write writes losses.json into a run's folder.
func (l Losses) Write(f *Folder) error {
	text, err := json.Marshal(l)
	if err != nil {
		return fmt.Errorf("write %s: %w", LossesFile, err)
	}
	return f.Write(LossesFile, append(text, '\n'))
}

// ReadLosses reads the losses.json of the folder of a run. The error is
// fs.ErrNotExist where there is none.
func ReadLosses(dir string) (l Losses, err error) {
	var file lossesFile
	if err := ReadOnly(dir).ReadJSON(LossesFile, &file); err != nil {
		return l, err
	}
	bad := func(format string, args ...any) (Losses, error) {
		return l, fmt.Errorf("%s: %w: not what a run writes", filepath.Join(dir, LossesFile), fmt.Errorf(format, args...))
	}
	switch {
	case file.Data == "" || len(file.Loss) == 0:
		return bad(`"data" or "loss" is missing`)
	case file.Rows != nil && len(file.Rows) != len(file.Loss):
		return bad("rows of %d examples, and losses of %d", len(file.Rows), len(file.Loss))
	}
	read := Losses{Part: file.Part, Data: file.Data, Rows: file.Rows}
	if file.Rows != nil && slices.Max(file.Rows) == 0 {
		return bad("no example has rows")
	}
	for i, loss := range file.Loss {
		if file.Rows != nil && (file.Rows[i] < 0 || file.Rows[i] > maxRows) {
			return bad("example %d has %d rows, want 0 to %d", i, file.Rows[i], maxRows)
		}
		read.Loss = append(read.Loss, float64(loss))
	}
	return read, nil
}

// maxRows is more than an example has.
const maxRows = 1 << 30
