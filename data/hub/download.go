package hub

import (
	"cmp"
	"context"
	"crypto/sha1" // git names its blobs by it
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"autolora/atomicfile"
)

// blob makes sure that the file's content is among the repository's blobs, and reports every step forward to
// advance: the bytes that came in, or a negative number where some had to be thrown away.
func (c *Client) blob(ctx context.Context, r repo, f file, advance func(int64)) error {
	unlock, err := c.lock(ctx, r, f.etag)
	if err != nil {
		return err
	}
	defer unlock()
	path, size := c.stored(r, f) // another process may have been faster
	if size >= 0 {
		advance(size)
		return nil
	}
	// The Python library resumes from the same name.
	d := download{client: c, file: f, path: path + ".incomplete", advance: advance}
	defer func() { d.out.Close() }() // nothing where open failed
	if err := d.whole(ctx); err != nil {
		return d.explain(r, err)
	}
	if err := atomicfile.Rename(d.path, path); err != nil {
		return fmt.Errorf("%v: %s: %w", r, f.path, err)
	}
	return nil
}

// whole makes the incomplete file complete.
func (d *download) whole(ctx context.Context) error {
	if err := d.open(); err != nil {
		return err
	}
	for resumed := d.have > 0; ; resumed = false {
		err := d.fetch(ctx)
		if errors.Is(err, errNoEnd) {
			os.Remove(d.path)
		}
		if err != nil {
			return err
		}
		err = d.check()
		if err == nil {
			return nil
		}
		// What an earlier run left may have been the bad part; then a download from the start is good.
		if err := d.restart(); err != nil {
			return err
		}
		if !resumed {
			os.Remove(d.path)
			return err
		}
	}
}

// download is one file on its way.
type download struct {
	client  *Client
	file    file
	path    string // of the incomplete file
	advance func(int64)
	alive   func() // see watch

	out  *os.File
	have int64     // bytes in out
	sum  hash.Hash // of these bytes
}

// newSum returns the hash that the ETag is a sum by; git puts a header before the content, which has the size in it.
func (d *download) newSum() hash.Hash {
	if len(d.file.etag) == hex.EncodedLen(sha256.Size) {
		return sha256.New()
	}
	h := sha1.New()
	fmt.Fprintf(h, "blob %d\x00", d.file.size)
	return h
}

// open takes up what an earlier run left.
func (d *download) open() error {
	out, err := openOwn(d.path)
	if err != nil {
		return err
	}
	d.out, d.sum = out, d.newSum()
	if d.have, err = io.Copy(d.sum, out); err != nil {
		return err
	}
	d.advance(d.have)
	if d.file.size >= 0 && d.have > d.file.size {
		return d.restart()
	}
	return nil
}

func (d *download) restart() error {
	d.advance(-d.have)
	d.have, d.sum = 0, d.newSum()
	if err := d.out.Truncate(0); err != nil {
		return err
	}
	_, err := d.out.Seek(0, io.SeekStart)
	return err
}

// fetch brings the rest of the file. It gives up after some tries that brought nothing.
func (d *download) fetch(ctx context.Context) error {
	if d.file.size >= 0 && d.have >= d.file.size {
		return nil
	}
	return d.client.retry(ctx, func() (progress bool, err error) {
		before := d.have
		err = d.fetchOnce(ctx)
		if err == nil && d.file.size >= 0 && d.have != d.file.size {
			err = fmt.Errorf("got %d bytes, want %d", d.have, d.file.size)
		}
		return d.have > before, err
	})
}

// explain says what to do about a failure.
func (d *download) explain(r repo, err error) error {
	switch {
	case errors.Is(err, syscall.ENOSPC):
		return fmt.Errorf("%v: %s: %w: %w: free some space, or set HF_HOME to a folder on a larger disk; the next call goes on from here",
			r, d.file.path, ErrDiskFull, err)
	case errors.As(err, new(*statusError)), unreachable(err):
		return fmt.Errorf("%s: %w", d.file.path, d.client.explain(r, err))
	}
	return fmt.Errorf("%v: %s: %w", r, d.file.path, err)
}

func (d *download) fetchOnce(ctx context.Context) error {
	watched, alive, stop := watch(ctx, d.client.ReadTimeout)
	defer stop()
	req, err := http.NewRequestWithContext(watched, http.MethodGet, d.file.url, nil)
	if err != nil {
		return err
	}
	if d.have > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", d.have))
	}
	resp, err := d.client.do(req, true)
	if err != nil {
		return causeOf(watched, err)
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK: // the whole file, whatever was asked for
		if d.have > 0 {
			if err := d.restart(); err != nil {
				return err
			}
		}
	case http.StatusPartialContent:
		if from := fmt.Sprintf("bytes %d-", d.have); !strings.HasPrefix(resp.Header.Get("Content-Range"), from) {
			return fmt.Errorf("server sent range %q, want %q", resp.Header.Get("Content-Range"), from)
		}
	case http.StatusRequestedRangeNotSatisfiable:
		if err := d.restart(); err != nil {
			return err
		}
		return errors.New("server has no such range") // the next try asks for all of it
	default:
		return newStatusError(resp)
	}
	most, untold := d.file.size, cmp.Or(d.client.untold, maxUntold)
	if most < 0 {
		most = untold + 1
	}
	d.alive = alive
	_, err = io.Copy(d, io.LimitReader(resp.Body, most-d.have))
	if d.file.size < 0 && d.have > untold {
		err = errNoEnd
	}
	return causeOf(watched, err)
}

// maxUntold bounds a file whose size the hub did not tell, which may have no end. Of large files it tells it.
const maxUntold int64 = 1 << 30

var errNoEnd = errors.New("the file goes on and on, and its size was not told: set HF_ENDPOINT to a mirror that tells sizes")

// Write takes what came in.
func (d *download) Write(p []byte) (int, error) {
	d.alive()
	n, err := d.out.Write(p)
	d.have += int64(n)
	d.advance(int64(n))
	d.sum.Write(p[:n])
	return n, err
}

// check compares the whole file with its ETag.
func (d *download) check() error {
	if d.file.size < 0 { // it was not told, and git's sum needs it first
		d.file.size = d.have
		d.sum = d.newSum()
		if _, err := d.out.Seek(0, io.SeekStart); err != nil {
			return err
		}
		if _, err := io.Copy(d.sum, d.out); err != nil {
			return err
		}
	}
	if got := hex.EncodeToString(d.sum.Sum(nil)); got != d.file.etag {
		return fmt.Errorf("%w: got %s, want %s: fetch it again; if it stays so, a proxy or mirror alters it",
			ErrChecksum, got, d.file.etag)
	}
	return nil
}

// lock keeps other processes, the Python library's among them, from writing the same blob.
func (c *Client) lock(ctx context.Context, r repo, etag string) (unlock func(), err error) {
	dir, err := c.folder(".locks", filepath.Base(c.dir(r)))
	if err == nil {
		_, err = c.folder(filepath.Base(c.dir(r)), "blobs")
	}
	if err != nil {
		return nil, err
	}
	f, err := openOwn(filepath.Join(dir, etag+".lock"))
	if err != nil {
		return nil, fmt.Errorf("hub cache: %w", err)
	}
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { f.Close() }, nil // closing unlocks
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			f.Close()
			return nil, fmt.Errorf("hub cache: lock %s: %w", f.Name(), err)
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			f.Close()
			return nil, ctx.Err()
		}
	}
}
