package data

import (
	"cmp"
	"context"
	"errors"
	"sync"
)

// ErrClosed is what Loader.Next returns after Close.
var ErrClosed = errors.New("the loader is closed")

// LoaderConfig says how far a Loader works ahead. The batches do not depend on it.
type LoaderConfig struct {
	Workers int // goroutines that tokenise and pack; less than 1 means 1
	Ahead   int // batches that may be ready before they are asked for; less than 1 means 1

	// Part and Parts cut every batch of the Order into so many parts, of which the Loader makes one: of B
	// examples those from B·Part/Parts to B·(Part+1)/Parts. Parts 0 means all of them.
	Part, Parts int
}

// Loader makes the batches of an Order in other goroutines, ahead of the trainer, and hands them out in
// order. It is for one consumer: Next, MarshalBinary and Close are called from one goroutine.
type Loader struct {
	corpus *Corpus
	order  *Order
	config LoaderConfig
	handed orderPlace // after the batch that Next returned last
	err    error      // what every further Next returns

	ctx    context.Context
	cancel context.CancelFunc
	queue  chan *load // in the order of the batches
	wg     sync.WaitGroup
}

// load is a batch in the making.
type load struct {
	after orderPlace
	done  chan struct{} // closed when batch or err is set
	batch *Batch
	err   error
}

// NewLoader starts the goroutines. They end when ctx ends or Close is called; the caller must do one of
// the two. From now on the Order belongs to the Loader: it runs ahead of what Next returns.
func NewLoader(ctx context.Context, corpus *Corpus, order *Order, config LoaderConfig) *Loader {
	ctx, cancel := context.WithCancel(ctx)
	l := &Loader{
		corpus: corpus,
		order:  order,
		config: config,
		handed: order.place,
		ctx:    ctx,
		cancel: cancel,
		queue:  make(chan *load, max(config.Ahead, 1)),
	}
	l.wg.Go(l.schedule)
	return l
}

// schedule puts every load into the queue, whose length is the limit, and has it packed as soon as a worker is free.
func (l *Loader) schedule() {
	workers := make(chan struct{}, max(l.config.Workers, 1))
	for {
		indices := l.order.Next()
		next := &load{after: l.order.place, done: make(chan struct{})}
		select {
		case l.queue <- next:
		case <-l.ctx.Done():
			return
		}
		l.wg.Go(func() {
			workers <- struct{}{}
			if next.err = l.ctx.Err(); next.err == nil {
				next.batch, next.err = l.corpus.part(indices, l.config.Part, l.config.Parts)
			}
			<-workers
			close(next.done)
		})
	}
}

// part packs one of several parts of a batch. An empty one is filled by an example that counts for nothing.
func (c *Corpus) part(indices []int, part, parts int) (*Batch, error) {
	if parts == 0 {
		return c.Batch(indices)
	}
	own := indices[len(indices)*part/parts : len(indices)*(part+1)/parts]
	filler := len(own) == 0
	if filler {
		own = indices[:1]
	}
	b, err := c.Batch(own)
	if err == nil {
		b.Filler = filler
	}
	return b, err
}

// Next returns the next batch, which belongs to the caller. An error of tokenising names file and line; it,
// the context's error and ErrClosed are final.
func (l *Loader) Next() (*Batch, error) {
	if l.err != nil {
		return nil, l.err
	}
	var next *load
	select {
	case next = <-l.queue:
		<-next.done
		l.err = next.err
	case <-l.ctx.Done():
	}
	l.err = cmp.Or(l.ctx.Err(), l.err)
	if l.err != nil {
		l.cancel()
		return nil, l.err
	}
	l.handed = next.after
	return next.batch, nil
}

// MarshalBinary returns the state of the Order at the batch that Next returned last, whatever has been
// made ahead: an Order that is given it goes on with the batch that Next would return now. The error is
// always nil.
func (l *Loader) MarshalBinary() ([]byte, error) { return l.order.marshal(l.handed), nil }

// Close stops the goroutines and waits for them. It may be called more than once.
func (l *Loader) Close() {
	if l.err == nil {
		l.err = ErrClosed
	}
	l.cancel()
	l.wg.Wait()
}
