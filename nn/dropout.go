package nn

import "autolora/torchbind"

// DropoutRNG draws the seeds of dropout masks. Its state is one number, so that a
// computation can be repeated with the same masks. A nil *DropoutRNG means
// evaluation: no dropout.
type DropoutRNG struct {
	State  uint64
	device torchbind.Device
}

// Dropout returns the generator of dropout at a state.
func (m *Model) Dropout(state uint64) *DropoutRNG {
	r := &DropoutRNG{device: m.device}
	r.Begin(state)
	return r
}

// Begin makes the masks to come those of state. On a GPU they are drawn by
// PyTorch's generator, which every computation that may be repeated therefore
// begins with this; not while a graph is captured.
func (r *DropoutRNG) Begin(state uint64) {
	r.State = state
	torchbind.SeedDropout(r.device, state)
}

// next returns the seed of the next mask (splitmix64).
func (r *DropoutRNG) next() uint64 {
	r.State += 0x9e3779b97f4a7c15
	z := r.State
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// draw returns the probability and seed for one dropout: 0, 0 in evaluation.
func (r *DropoutRNG) draw(p float64) (float64, uint64) {
	if r == nil || p == 0 {
		return 0, 0
	}
	return p, r.next()
}
