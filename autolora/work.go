package autolora

// Work counts what was computed. A pass is one batch through the model: forwards
// of the loss, and backwards, of which the exact hypergradient's product through
// the graph of g is one.
type Work struct {
	Tokens            int64 // real tokens of all forward passes; there is no padding
	Forward, Backward int64 // passes
}

// Add adds other to w.
func (w *Work) Add(other Work) {
	w.Tokens += other.Tokens
	w.Forward += other.Forward
	w.Backward += other.Backward
}
