package nn

import "autolora/torchbind"

// KVCache has the keys and values of the tokens that a language model has read, in
// the order in which it read them. What several texts share is there once.
type KVCache struct {
	blocks []cachedBlock
	size   int64 // tokens

	// places are those of the tokens that the rows of the next pass see, themselves
	// the last, and offsets say where each row's begin. Before the first pass both
	// are nil: rows see the rows of their own sequence.
	places, offsets *torchbind.Tensor
}

// cachedBlock has the keys and values [≥ size, 2G·D] of a block.
type cachedBlock struct {
	scope *torchbind.Scope // of kv
	kv    *torchbind.Tensor
}

// add adds kv [n, 2G·D] of a block's new tokens, and returns what the rows see; nil
// in the first pass.
func (c *KVCache) add(s *torchbind.Scope, block int, kv *torchbind.Tensor) *torchbind.Tensor {
	if c.places == nil {
		scope := torchbind.NewScope()
		c.blocks = append(c.blocks, cachedBlock{scope, torchbind.Contiguous(scope, kv)})
		return nil
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
	return torchbind.IndexSelect(s, b.kv, 0, c.places)
}

// Close frees the memory.
func (c *KVCache) Close() {
	for _, b := range c.blocks {
		b.scope.Close()
	}
}
