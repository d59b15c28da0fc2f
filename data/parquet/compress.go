package parquet

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
)

// codec is how pages are compressed.
type codec int

const (
	codecNone   codec = 0
	codecSnappy codec = 1
	codecGzip   codec = 2
	codecZstd   codec = 6
)

var codecNames = [...]string{"none", "snappy", "gzip", "lzo", "brotli", "lz4", "zstd", "lz4_raw"}

func (c codec) String() string {
	if c >= 0 && int(c) < len(codecNames) {
		return codecNames[c]
	}
	return fmt.Sprintf("codec %d", int(c))
}

// zstdDecoder is safe for concurrent use. The limit makes it stop at the capacity it is given.
var zstdDecoder = sync.OnceValues(func() (*zstd.Decoder, error) {
	return zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecodeAllCapLimit(true))
})

// decompress returns the size bytes that b stands for. It allocates no more than size.
func (c codec) decompress(b []byte, size int) ([]byte, error) {
	out, err := c.inflate(b, size)
	if err != nil {
		return nil, fmt.Errorf("decompress %s: %w", c, err)
	}
	if len(out) != size {
		return nil, fmt.Errorf("decompress %s: %d bytes, the page header says %d", c, len(out), size)
	}
	return out, nil
}

func (c codec) inflate(b []byte, size int) ([]byte, error) {
	switch c {
	case codecNone:
		return b, nil
	case codecSnappy:
		if n, err := snappy.DecodedLen(b); err != nil || n != size {
			return nil, fmt.Errorf("%d bytes, the page header says %d", n, size)
		}
		return snappy.Decode(nil, b)
	case codecGzip:
		r, err := gzip.NewReader(bytes.NewReader(b))
		if err != nil {
			return nil, err
		}
		out := make([]byte, size)
		if _, err := io.ReadFull(r, out); err != nil {
			return nil, err
		}
		if _, err := io.ReadFull(r, make([]byte, 1)); err != io.EOF {
			return nil, fmt.Errorf("more bytes than the %d that the page header says", size)
		}
		return out, nil
	case codecZstd:
		d, err := zstdDecoder()
		if err != nil {
			return nil, err
		}
		return d.DecodeAll(b, make([]byte, 0, size))
	}
	return nil, fmt.Errorf("not supported: write the file with zstd, snappy, gzip or none")
}
