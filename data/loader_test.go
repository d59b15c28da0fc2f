package data

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// fakeEncoder makes a token of every byte, 101 before the text or sentence and 102 behind each; the pair is segment 1.
type fakeEncoder struct {
	calls atomic.Int64
	slow  bool
}

var errBadText = errors.New("bad text")

func (f *fakeEncoder) Encode(ex Example) (Encoded, error) {
	f.calls.Add(1)
	if f.slow {
		time.Sleep(time.Duration(rand.IntN(200)) * time.Microsecond)
	}
	if ex.Text == "bad" {
		return Encoded{}, errBadText
	}
	e := Encoded{IDs: []int32{101}, Segments: []uint8{0}}
	if ex.Sentence != nil {
		e.Segments = nil
		for _, word := range ex.Words {
			e.First = append(e.First, int32(len(e.IDs)))
			for _, c := range []byte(word) {
				e.IDs = append(e.IDs, int32(c))
			}
		}
		e.IDs = append(e.IDs, 102)
		return e, nil
	}
	texts := []string{ex.Text}
	if ex.HasPair {
		texts = append(texts, ex.Pair)
	}
	for i, text := range texts {
		for _, c := range []byte(text) {
			e.IDs = append(e.IDs, int32(c))
			e.Segments = append(e.Segments, uint8(i))
		}
		e.IDs = append(e.IDs, 102)
		e.Segments = append(e.Segments, uint8(i))
	}
	return e, nil
}

// checkAlone compares every example of a batch alone with the corpus's batch of it.
func checkAlone(t *testing.T, c *Corpus, b *Batch) {
	t.Helper()
	for i, index := range b.Index {
		want, err := c.Batch([]int{index})
		if err != nil {
			t.Fatal(err)
		}
		if got := b.Alone(i); fmt.Sprint(got) != fmt.Sprint(want) || (got.Values == nil) != (want.Values == nil) {
			t.Errorf("example %d alone: %+v\nwant %+v", index, got, want)
		}
	}
}

// numbered returns a data set of n different examples of two classes.
func numbered(n int) *Dataset {
	d := &Dataset{Name: "test/train", Kind: Classification, Labels: []string{"a", "b"}}
	for i := range n {
		d.Examples = append(d.Examples, Example{Text: strings.Repeat("x", i%7) + fmt.Sprint(i), Label: i % 2, File: "train.tsv", Line: i + 2})
	}
	return d
}

func TestBatchIsPacked(t *testing.T) {
	d := &Dataset{Name: "test", Kind: Classification, Examples: []Example{
		{Text: "ab", Pair: "c", HasPair: true, Label: 1},
		{Text: "", Label: NoLabel},
		{Text: "d", HasPair: true},
	}}
	b, err := NewCorpus(d, &fakeEncoder{}).Batch([]int{2, 0, 1})
	if err != nil {
		t.Fatal(err)
	}
	want := &Batch{
		IDs:      []int64{101, 'd', 102, 102, 101, 'a', 'b', 102, 'c', 102, 101, 102},
		Segments: []int64{0, 0, 0, 1, 0, 0, 0, 0, 1, 1, 0, 0},
		Lengths:  []int{4, 6, 2},
		Labels:   []int64{0, 1, -1},
		Index:    []int{2, 0, 1},
	}
	if !reflect.DeepEqual(b, want) {
		t.Errorf("got %+v\nwant %+v", b, want)
	}
	checkAlone(t, NewCorpus(d, &fakeEncoder{}), b)
	d.Kind, d.Examples[0].Value = Regression, 2.5
	if b, err = NewCorpus(d, &fakeEncoder{}).Batch([]int{0}); err != nil || b.Labels != nil || !slices.Equal(b.Values, []float64{2.5}) || b.Len() != 1 {
		t.Errorf("got %+v, %v", b, err)
	}
	checkAlone(t, NewCorpus(d, &fakeEncoder{}), b)
	for _, i := range []int{-1, 3} {
		if _, err := NewCorpus(d, &fakeEncoder{}).Batch([]int{i}); err == nil || err.Error() != fmt.Sprintf("test: no example %d: it has 3", i) {
			t.Errorf("got %v", err)
		}
	}
}

func TestBatchOfSentences(t *testing.T) {
	d := &Dataset{Name: "test", Kind: Tagging, Examples: []Example{
		{Sentence: &Sentence{Words: []string{"ab", "c"}, Tags: []int{1, 0}}},
		{Sentence: &Sentence{Words: []string{}, Tags: []int{}}},
		{Sentence: &Sentence{Words: []string{"d"}, Tags: []int{NoLabel}}},
	}}
	b, err := NewCorpus(d, &fakeEncoder{}).Batch([]int{2, 1, 0})
	if err != nil {
		t.Fatal(err)
	}
	want := &Batch{
		IDs:      []int64{101, 'd', 102, 101, 102, 101, 'a', 'b', 'c', 102},
		Segments: make([]int64, 10),
		Lengths:  []int{3, 2, 5},
		Want:     []int64{1, 6, 8},
		WantPer:  []int{1, 0, 2},
		Labels:   []int64{-1, 1, 0},
		Index:    []int{2, 1, 0},
	}
	if !reflect.DeepEqual(b, want) {
		t.Errorf("got %+v\nwant %+v", b, want)
	}
	checkAlone(t, NewCorpus(d, &fakeEncoder{}), b)
}

type encoderFunc func(Example) (Encoded, error)

func (f encoderFunc) Encode(ex Example) (Encoded, error) { return f(ex) }

func TestEncodingErrors(t *testing.T) {
	for _, test := range []struct {
		enc  Encoded
		want string
	}{
		{Encoded{}, "the tokenizer gave no tokens: want at least one a text"},
		{Encoded{IDs: []int32{1, 2}, Segments: []uint8{0}}, "the tokenizer gave 1 segments for 2 tokens"},
		{Encoded{IDs: []int32{1}, First: []int32{0}}, "the tokenizer gave tokens for 1 words: want 0"},
	} {
		c := NewCorpus(numbered(1), encoderFunc(func(Example) (Encoded, error) { return test.enc, nil }))
		if _, err := c.Length(0); err == nil || err.Error() != "train.tsv: line 2: "+test.want {
			t.Errorf("got %v\nwant train.tsv: line 2: %s", err, test.want)
		}
	}
}

func TestWordEncodingErrors(t *testing.T) {
	d := &Dataset{Kind: Tagging, Examples: []Example{{Sentence: &Sentence{Words: []string{"a", "b"}, Tags: []int{0, 0}}, File: "a.conll", Line: 3}}}
	for _, test := range []struct {
		first []int32
		want  string
	}{
		{nil, "the tokenizer gave tokens for 0 words: want 2"},
		{[]int32{0}, "the tokenizer gave tokens for 1 words: want 2"},
		{[]int32{0, 4}, "the tokenizer gave token 4 of 4 as the first of word 2"},
		{[]int32{-1, 2}, "the tokenizer gave token -1 of 4 as the first of word 1"},
		{[]int32{2, 2}, "the tokenizer gave token 2 of 4 as the first of word 2"},
	} {
		c := NewCorpus(d, encoderFunc(func(Example) (Encoded, error) {
			return Encoded{IDs: []int32{1, 2, 3, 4}, First: test.first}, nil
		}))
		if _, err := c.Length(0); err == nil || err.Error() != "a.conll: line 3: "+test.want {
			t.Errorf("got %v\nwant a.conll: line 3: %s", err, test.want)
		}
	}
}

func TestEvalBatches(t *testing.T) {
	d := numbered(100)
	enc := &fakeEncoder{}
	c := NewCorpus(d, enc)
	groups, err := c.EvalBatches(t.Context(), 16, 4)
	if err != nil {
		t.Fatal(err)
	}
	if len(groups) != 7 || len(groups[6]) != 4 {
		t.Fatalf("%d batches, the last of %d", len(groups), len(groups[len(groups)-1]))
	}
	all := slices.Concat(groups...)
	for k := 1; k < len(all); k++ {
		a, _ := c.Length(all[k-1])
		b, _ := c.Length(all[k])
		if a < b || a == b && all[k-1] > all[k] {
			t.Errorf("example %d (%d tokens) before %d (%d tokens)", all[k-1], a, all[k], b)
		}
	}
	partition(t, 100, slices.Sorted(slices.Values(all)), nil)
	if _, err := c.EvalBatches(t.Context(), 7, 2); err != nil || enc.calls.Load() != 100 {
		t.Errorf("%d encodings of 100 examples, %v", enc.calls.Load(), err)
	}
	if _, err := c.EvalBatches(t.Context(), 0, 2); err == nil || err.Error() != "batch size 0: want at least 1" {
		t.Errorf("got %v", err)
	}
}

func TestEncodeAllErrors(t *testing.T) {
	d := numbered(500)
	d.Examples[40].Text, d.Examples[41].Text, d.Examples[400].Text = "bad", "bad", "bad"
	for _, workers := range []int{0, 1, 3, 16} {
		err := NewCorpus(d, &fakeEncoder{slow: true}).EncodeAll(t.Context(), workers)
		if !errors.Is(err, errBadText) || err.Error() != "train.tsv: line 42: bad text" {
			t.Errorf("%d workers: got %v", workers, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := NewCorpus(d, &fakeEncoder{}).EncodeAll(ctx, 2); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// A bug in the encoder is an error about the text, and does not end the process in another goroutine.
func TestEncoderPanics(t *testing.T) {
	corpus := NewCorpus(numbered(10), encoderFunc(func(ex Example) (Encoded, error) {
		if ex.Line == 5 {
			panic("index out of range")
		}
		return (&fakeEncoder{}).Encode(ex)
	}))
	const want = "train.tsv: line 5: this is a bug in autolora, please report it: index out of range"
	if err := corpus.EncodeAll(t.Context(), 4); err == nil || err.Error() != want {
		t.Errorf("got %v, want %q", err, want)
	}
}

// TestLoaderIsDeterministic compares with batches made one after the other.
func TestLoaderIsDeterministic(t *testing.T) {
	d := numbered(103)
	config := OrderConfig{Indices: ints(3, 103), Size: 8, Seed: 3, Stream: "train"}
	var want []*Batch
	order, plain := newOrder(t, config), NewCorpus(d, &fakeEncoder{})
	for range 60 {
		b, err := plain.Batch(order.Next())
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, b)
	}
	for _, workers := range []LoaderConfig{{}, {Workers: 1, Ahead: 1}, {Workers: 2, Ahead: 8}, {Workers: 9, Ahead: 3}} {
		t.Run(fmt.Sprintf("%+v", workers), func(t *testing.T) {
			enc := &fakeEncoder{slow: true}
			l := NewLoader(t.Context(), NewCorpus(d, enc), newOrder(t, config), workers)
			defer l.Close()
			for i := range want {
				got, err := l.Next()
				if err != nil {
					t.Fatal(err)
				}
				if !reflect.DeepEqual(got, want[i]) {
					t.Fatalf("batch %d: got %+v\nwant %+v", i, got, want[i])
				}
			}
			if n := enc.calls.Load(); n > 100 {
				t.Errorf("%d encodings of 100 examples", n)
			}
		})
	}
}

// The parts of a batch are the batch, in its order; a part that gets no example is filled by one that counts for nothing.
func TestLoaderParts(t *testing.T) {
	const parts, batches = 3, 8
	config := OrderConfig{Indices: ints(0, 31), Size: 5, Seed: 3, Stream: "train"} // the last batch of an epoch has 1 example
	order := newOrder(t, config)
	got := make([][]int, batches)
	fillers := 0
	for part := range parts {
		l := NewLoader(t.Context(), NewCorpus(numbered(31), &fakeEncoder{}), newOrder(t, config), LoaderConfig{Part: part, Parts: parts})
		defer l.Close()
		for i := range got {
			b, err := l.Next()
			if err != nil {
				t.Fatal(err)
			}
			if b.Filler {
				fillers++
				if b.Len() != 1 {
					t.Errorf("a filler of %d examples, want 1", b.Len())
				}
				continue
			}
			got[i] = append(got[i], b.Index...)
		}
	}
	for i := range got {
		if want := order.Next(); !slices.Equal(got[i], want) {
			t.Errorf("batch %d: got the examples %v, want %v", i, got[i], want)
		}
	}
	if fillers != parts-1 {
		t.Errorf("%d fillers, want %d", fillers, parts-1)
	}
}

// TestTwoLoaders runs one for each half over one corpus, as the search does.
func TestTwoLoaders(t *testing.T) {
	enc := &fakeEncoder{slow: true}
	c := NewCorpus(numbered(64), enc)
	a, b, err := c.Data.Split(0.5, 1)
	if err != nil {
		t.Fatal(err)
	}
	train := NewLoader(t.Context(), c, newOrder(t, OrderConfig{Indices: a, Size: 8, Stream: "train"}), LoaderConfig{Workers: 2, Ahead: 2})
	validation := NewLoader(t.Context(), c, newOrder(t, OrderConfig{Indices: b, Size: 8, Stream: "validation"}), LoaderConfig{Workers: 2, Ahead: 2})
	defer train.Close()
	defer validation.Close()
	for range 20 {
		x, err := train.Next()
		if err != nil {
			t.Fatal(err)
		}
		y, err := validation.Next()
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range x.Index {
			if slices.Contains(b, i) || slices.Contains(y.Index, i) {
				t.Fatalf("example %d is in both halves", i)
			}
		}
	}
	if n := enc.calls.Load(); n != 64 {
		t.Errorf("%d encodings of 64 examples", n)
	}
}

func TestLoaderResume(t *testing.T) {
	d := numbered(30)
	config := OrderConfig{Indices: ints(0, 30), Size: 4, Seed: 9, Stream: "train"}
	workers := LoaderConfig{Workers: 3, Ahead: 5}
	l := NewLoader(t.Context(), NewCorpus(d, &fakeEncoder{}), newOrder(t, config), workers)
	defer l.Close()
	for step := range 20 {
		state, err := l.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		order := newOrder(t, config)
		if err := order.UnmarshalBinary(state); err != nil {
			t.Fatal(err)
		}
		again, err := order.MarshalBinary()
		if err != nil || !bytes.Equal(state, again) {
			t.Fatalf("step %d: the state changes on the way", step)
		}
		resumed := NewLoader(t.Context(), NewCorpus(d, &fakeEncoder{}), order, workers)
		want, err := l.Next()
		if err != nil {
			t.Fatal(err)
		}
		got, err := resumed.Next()
		resumed.Close()
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("step %d: got %+v, %v\nwant %+v", step, got, err, want)
		}
	}
}

func TestLoaderError(t *testing.T) {
	d := numbered(12)
	d.Examples[5].Text = "bad"
	config := OrderConfig{Indices: ints(0, 12), Size: 2, Seed: 9}
	at := slices.IndexFunc(slices.Collect(slices.Chunk(newOrder(t, OrderConfig{Indices: config.Indices, Size: 12, Seed: 9}).Next(), 2)),
		func(batch []int) bool { return slices.Contains(batch, 5) })
	l := NewLoader(t.Context(), NewCorpus(d, &fakeEncoder{}), newOrder(t, config), LoaderConfig{Workers: 3, Ahead: 4})
	defer l.Close()
	for i := range at {
		if _, err := l.Next(); err != nil {
			t.Fatalf("batch %d of %d before the bad one: %v", i, at, err)
		}
	}
	for range 3 {
		if _, err := l.Next(); !errors.Is(err, errBadText) || err.Error() != "train.tsv: line 7: bad text" {
			t.Errorf("got %v", err)
		}
	}
}

// TestLoaderEnds fails if a goroutine is left, whoever ends the loader: then the bubble of a round cannot end.
func TestLoaderEnds(t *testing.T) {
	for round := range 50 {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			l := NewLoader(ctx, NewCorpus(numbered(40), &fakeEncoder{slow: round%2 == 0}),
				newOrder(t, OrderConfig{Indices: ints(0, 40), Size: 4}), LoaderConfig{Workers: 4, Ahead: 3})
			for range round % 5 {
				if _, err := l.Next(); err != nil {
					t.Fatal(err)
				}
			}
			if round%3 == 0 {
				cancel()
				if _, err := l.Next(); !errors.Is(err, context.Canceled) {
					t.Errorf("got %v, want the context's error", err)
				}
				l.wg.Wait()
			} else {
				l.Close()
				l.Close()
				if _, err := l.Next(); !errors.Is(err, ErrClosed) {
					t.Errorf("got %v, want %v", err, ErrClosed)
				}
			}
		})
	}
}

// BenchmarkBatch is the cost of a batch of 16 when all is encoded: what is left on the way of a step.
func BenchmarkBatch(b *testing.B) {
	c := NewCorpus(numbered(1000), &fakeEncoder{})
	if err := c.EncodeAll(b.Context(), 1); err != nil {
		b.Fatal(err)
	}
	indices := Subset(1000, 16, 1)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Batch(indices); err != nil {
			b.Fatal(err)
		}
	}
}

func ExampleLoader() {
	corpus := NewCorpus(&Dataset{Kind: Classification, Examples: []Example{{Text: "good", Label: 1}, {Text: "no", Label: 0}}}, &fakeEncoder{})
	order, err := NewOrder(OrderConfig{Indices: []int{0, 1}, Size: 2, Seed: 1, Stream: "train"})
	if err != nil {
		fmt.Println(err)
		return
	}
	loader := NewLoader(context.Background(), corpus, order, LoaderConfig{Workers: 2, Ahead: 4})
	defer loader.Close()
	batch, err := loader.Next()
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(batch.Len(), "examples,", len(batch.IDs), "tokens")
	// Output: 2 examples, 10 tokens
}
