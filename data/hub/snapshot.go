package hub

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"autolora/atomicfile"
	"autolora/foreign"
)

// snapshotDir is where a commit's files lie.
func (c *Client) snapshotDir(r repo, commit string) string {
	return filepath.Join(c.dir(r), "snapshots", commit)
}

// maxRef bounds a file that holds a commit.
const maxRef = 1 << 10

// cached returns the snapshot that the revision was at when it was last fetched, or "" if there is none.
func (c *Client) cached(r repo) (dir string, err error) {
	commit := r.revision
	if !commitPattern.MatchString(commit) {
		ref, err := foreign.ReadFile(filepath.Join(c.dir(r), "refs", r.revision), maxRef)
		if errors.Is(err, fs.ErrNotExist) {
			return "", nil
		}
		if err != nil {
			return "", fmt.Errorf("hub cache: %w", err)
		}
		commit = strings.TrimSpace(string(ref))
		if !commitPattern.MatchString(commit) {
			return "", fmt.Errorf("hub cache: %s holds %q, want a commit: remove it", filepath.Join(c.dir(r), "refs", r.revision), commit)
		}
	}
	dir = c.snapshotDir(r, commit)
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return "", nil
	}
	return dir, nil
}

// update fetches the files that pick chooses of those that the revision has now, and returns the snapshot's folder
// if whole finds nothing amiss there.
func (c *Client) update(ctx context.Context, r repo, pick func(listed []string) ([]string, error), whole func(dir string) error, progress func(Progress)) (string, error) {
	commit, listed, err := c.list(ctx, r)
	if err != nil {
		return "", err
	}
	paths, err := pick(listed)
	if err != nil {
		return "", fmt.Errorf("%v: %w", r, err)
	}
	dir, err := c.fetch(ctx, r, commit, paths, progress)
	if err != nil {
		return "", err
	}
	if err := whole(dir); err != nil {
		return "", fmt.Errorf("%v: %w", r, err)
	}
	return dir, c.setRef(r, commit)
}

// fetch puts the files at those paths into the snapshot of the commit and returns its folder. All are there
// before the first of them is linked.
func (c *Client) fetch(ctx context.Context, r repo, commit string, paths []string, progress func(Progress)) (string, error) {
	files := make([]file, len(paths))
	var counted Progress
	missing := int64(0)
	for i, path := range paths {
		f, err := c.describe(ctx, r, commit, path)
		if err != nil {
			return "", err
		}
		files[i] = f
		counted.Total += max(f.size, 0)
		missing += c.missing(r, f)
	}
	if err := c.room(r, missing); err != nil {
		return "", err
	}
	for _, f := range files {
		counted.File = f.path
		err := c.blob(ctx, r, f, func(n int64) {
			counted.Done += n
			if progress != nil {
				progress(counted)
			}
		})
		if err != nil {
			return "", err
		}
	}
	dir := c.snapshotDir(r, commit)
	for _, f := range files {
		if err := c.link(r, commit, f); err != nil {
			return "", err
		}
	}
	return dir, nil
}

// folder returns a folder of the cache, which is made where it is not there. The cache may be somewhere else by a link,
// but no folder in it: others may be allowed to write there.
func (c *Client) folder(names ...string) (string, error) {
	fail := func(err error) (string, error) {
		return "", fmt.Errorf("hub cache: %w: set HF_HOME to a folder that can be written", err)
	}
	if err := os.MkdirAll(c.CacheDir, 0o777); err != nil {
		return fail(err)
	}
	dir := c.CacheDir
	for _, name := range names {
		dir = filepath.Join(dir, name)
		if err := os.Mkdir(dir, 0o777); err != nil && !errors.Is(err, fs.ErrExist) {
			return fail(err)
		}
		if info, err := os.Lstat(dir); err != nil {
			return fail(err)
		} else if !info.IsDir() {
			return "", fmt.Errorf("hub cache: %s is a link or a file, want a folder: put the folder itself there", dir)
		}
	}
	return dir, nil
}

// openOwn opens a file of the cache to be written, and follows no link to it.
func openOwn(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0o666)
	if errors.Is(err, syscall.ELOOP) {
		return nil, fmt.Errorf("%s is a link, want a file: remove it", path)
	}
	if err != nil {
		return nil, err
	}
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		f.Close()
		return nil, errors.Join(err, fmt.Errorf("%s is no file: remove it", path))
	}
	return f, nil
}

// stored returns where the file's content is in the cache, and its size: -1 if it is not there, or is not what the hub says.
func (c *Client) stored(r repo, f file) (path string, size int64) {
	path = filepath.Join(c.dir(r), "blobs", f.etag)
	info, err := os.Lstat(path)
	if err != nil || !info.Mode().IsRegular() || f.size >= 0 && info.Size() != f.size {
		return path, -1
	}
	return path, info.Size()
}

// missing is how much of the file is to be fetched, as far as that is known.
func (c *Client) missing(r repo, f file) int64 {
	path, size := c.stored(r, f)
	if size >= 0 {
		return 0
	}
	if info, err := os.Lstat(path + ".incomplete"); err == nil {
		return max(f.size-info.Size(), 0)
	}
	return max(f.size, 0)
}

// room fails where the cache's disk has less than n bytes left.
func (c *Client) room(r repo, n int64) error {
	if _, err := c.folder(); err != nil {
		return err
	}
	var stat syscall.Statfs_t
	if err := syscall.Statfs(c.CacheDir, &stat); err != nil {
		return nil // no figure: a full disk shows when it is written to
	}
	if free := int64(stat.Bavail) * int64(stat.Bsize); n > free {
		return fmt.Errorf("%v: %w: %d MB to download, %d MB free in %s: free some space, or set HF_HOME to a folder on a larger disk",
			r, ErrDiskFull, n>>20, free>>20, c.CacheDir)
	}
	return nil
}

// link makes the file's blob appear under its name in the snapshot.
func (c *Client) link(r repo, commit string, f file) error {
	names := strings.Split(f.path, "/")
	dir, err := c.folder(append([]string{filepath.Base(c.dir(r)), "snapshots", commit}, names[:len(names)-1]...)...)
	if err != nil {
		return err
	}
	path := filepath.Join(dir, names[len(names)-1])
	up := strings.Repeat("../", 2+strings.Count(f.path, "/"))
	target := filepath.FromSlash(up + "blobs/" + f.etag)
	if now, err := os.Readlink(path); err == nil && now == target {
		return nil
	}
	if err := atomicfile.Make(path, func(temp string) error { return os.Symlink(target, temp) }); err != nil {
		return fmt.Errorf("hub cache: %w", err)
	}
	return nil
}

// setRef records the commit that the revision is at.
func (c *Client) setRef(r repo, commit string) error {
	if r.revision == commit {
		return nil
	}
	names := append([]string{filepath.Base(c.dir(r)), "refs"}, strings.Split(r.revision, "/")...)
	dir, err := c.folder(names[:len(names)-1]...)
	if err != nil {
		return err
	}
	if err := atomicfile.WriteFile(filepath.Join(dir, names[len(names)-1]), []byte(commit)); err != nil {
		return fmt.Errorf("hub cache: %w", err)
	}
	return nil
}
