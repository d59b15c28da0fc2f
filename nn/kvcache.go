package nn

import (
	"slices"

	"autolora/torchbind"
)

// KVCache has the keys and values of the tokens that a language model has read, in
// the order in which it read them. What several texts share is there once.
type KVCache struct {
	blocks []cachedBlock
	size   int64 // tokens

	// views are those of the rows of the next pass, one for each window of attention.
	// Before the first pass there are none: rows see the rows of their own sequence.
	views []view
}

// view is what rows see in a cache by attention with a window: the places of the
// tokens, a row itself the last of its own, and where each row's begin.
type view struct {
	window          int64
	places, offsets *torchbind.Tensor
}

// cachedBlock has the keys and values [≥ size, 2G·D] of a block.
type cachedBlock struct {
	scope *torchbind.Scope // of kv
	kv    *torchbind.Tensor
}

// add adds kv [n, 2G·D] of a block's new tokens, and returns what the rows see by
// attention with a window, and where each row's begins; nil in the first pass.
func (c *KVCache) add(s *torchbind.Scope, block int, window int64, kv *torchbind.Tensor) (seen, offsets *torchbind.Tensor) {
	if c.views == nil {
		scope := torchbind.NewScope()
		c.blocks = append(c.blocks, cachedBlock{scope, torchbind.Contiguous(scope, kv)})
		return nil, nil
	}
	b := &c.blocks[block]
	if need := c.size + kv.Size(0); need > b.kv.Size(0) { // grows by doubling
		scope := torchbind.NewScope()
		larger := torchbind.Empty(scope, []int64{max(need, 2*b.kv.Size(0)), kv.Size(1)}, kv.DType(), kv.Device())
		torchbind.Narrow(s, larger, 0, 0, c.size).CopyInPlace(torchbind.Narrow(s, b.kv, 0, 0, c.size))
		b.scope.Close()
		b.scope, b.kv = scope, larger
	}
	torchbind.Narrow(s, b.kv, 0, c.size, kv.Size(0)).CopyInPlace(kv)
	v := c.views[slices.IndexFunc(c.views, func(v view) bool { return v.window == window })]
	return torchbind.IndexSelect(s, b.kv, 0, v.places), v.offsets
}

// Close frees the memory.
func (c *KVCache) Close() {
	for _, b := range c.blocks {
		b.scope.Close()
	}
}
