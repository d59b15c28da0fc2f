package data

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// OrderConfig says what an Order goes through and how.
type OrderConfig struct {
	Indices []int  // examples to go through, say one half of a split
	Size    int    // examples a batch; the last of an epoch may have fewer
	Seed    uint64 // seed of the run
	Stream  string // tells the orders of one run apart ("train", "validation"): each has its own shuffles
}

// Order gives batches of indices without end: every epoch is a new shuffle of all indices. The shuffle of
// an epoch depends on seed, stream and the epoch's number only, so the state is just a place.
type Order struct {
	config OrderConfig
	place  orderPlace
	perm   []int // the shuffle of place.epoch, nil before its first batch
}

// orderPlace is how far an Order has come: the examples of the epoch that have been handed out.
type orderPlace struct {
	epoch, done uint64
}

// NewOrder returns an Order at its start.
func NewOrder(config OrderConfig) (*Order, error) {
	switch {
	case config.Size < 1:
		return nil, fmt.Errorf("batch size %d: want at least 1", config.Size)
	case len(config.Indices) == 0:
		return nil, errors.New("no examples to make batches of")
	}
	config.Indices = slices.Clone(config.Indices)
	return &Order{config: config}, nil
}

// BatchesPerEpoch is the number of batches in one pass over the indices.
func (o *Order) BatchesPerEpoch() int {
	return (len(o.config.Indices) + o.config.Size - 1) / o.config.Size
}

// Next returns the indices of the next batch. They belong to the caller.
func (o *Order) Next() []int {
	n := uint64(len(o.config.Indices))
	left := n - o.place.done
	if left == 0 {
		o.place = orderPlace{epoch: o.place.epoch + 1}
		o.perm = nil
		left = n
	}
	if o.perm == nil {
		o.perm = newRand(o.config.Seed, "order "+o.config.Stream, o.place.epoch).Perm(int(n))
	}
	batch := make([]int, min(uint64(o.config.Size), left))
	for i := range batch {
		batch[i] = o.config.Indices[o.perm[o.place.done+uint64(i)]]
	}
	o.place.done += uint64(len(batch))
	return batch
}

// orderState is what is saved of an Order, in little-endian form.
type orderState struct {
	Magic       [8]byte
	Epoch, Done uint64
	Config      [sha256.Size]byte // see digest
}

var orderMagic = [8]byte([]byte("order\x001\n"))

// MarshalBinary returns the state: an Order of the same config that is given it goes on with the batch
// that would have come next here. The error is always nil.
func (o *Order) MarshalBinary() ([]byte, error) { return o.marshal(o.place), nil }

func (o *Order) marshal(p orderPlace) []byte {
	b, _ := binary.Append(nil, binary.LittleEndian, orderState{orderMagic, p.epoch, p.done, o.digest()}) // never fails: all sizes are fixed
	return b
}

// UnmarshalBinary sets the state. It must come from an Order of the same config.
func (o *Order) UnmarshalBinary(b []byte) error {
	var s orderState
	n, err := binary.Decode(b, binary.LittleEndian, &s)
	switch {
	case err != nil || n != len(b) || s.Magic != orderMagic:
		return fmt.Errorf("not the state of a batch order: %d bytes, want %d", len(b), binary.Size(s))
	case s.Config != o.digest():
		return errors.New("the saved batch order is of another run: data, split, batch size or seed differ")
	case s.Done > uint64(len(o.config.Indices)):
		return fmt.Errorf("the saved batch order is at example %d of %d", s.Done, len(o.config.Indices))
	}
	o.place, o.perm = orderPlace{s.Epoch, s.Done}, nil
	return nil
}

// digest is a hash of everything that decides the batches, in the words of earlier
// versions, which could leave out the last batch of an epoch.
func (o *Order) digest() [sha256.Size]byte {
	c := o.config
	return sha256.Sum256(fmt.Appendf(nil, "data.OrderConfig{Indices:%#v, Size:%d, DropLast:false, Seed:%#v, Stream:%q}", c.Indices, c.Size, c.Seed, c.Stream))
}
