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
)

// snapshotDir is where a commit's files lie.
func (c *Client) snapshotDir(r repo, commit string) string {
	return filepath.Join(c.dir(r), "snapshots", commit)
}

// cached returns the snapshot that the revision was at when it was last fetched, or "" if there is none.
func (c *Client) cached(r repo) (dir string, err error) {
	commit := r.revision
	if !commitPattern.MatchString(commit) {
		ref, err := os.ReadFile(filepath.Join(c.dir(r), "refs", r.revision))
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
		missing += max(f.size-c.stored(r, f), 0)
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
		if err := link(dir, f); err != nil {
			return "", fmt.Errorf("hub cache: %w", err)
		}
	}
	return dir, nil
}

// stored is how much of the file is in the cache.
func (c *Client) stored(r repo, f file) int64 {
	path := filepath.Join(c.dir(r), "blobs", f.etag)
	for _, p := range []string{path, path + ".incomplete"} {
		if info, err := os.Stat(p); err == nil {
			return info.Size()
		}
	}
	return 0
}

// room fails where the cache's disk has less than n bytes left.
func (c *Client) room(r repo, n int64) error {
	if err := os.MkdirAll(c.CacheDir, 0o777); err != nil {
		return fmt.Errorf("hub cache: %w: set HF_HOME to a folder that can be written", err)
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
func link(snapshot string, f file) error {
	path := filepath.Join(snapshot, filepath.FromSlash(f.path))
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return err
	}
	up := strings.Repeat("../", 2+strings.Count(f.path, "/"))
	target := filepath.FromSlash(up + "blobs/" + f.etag)
	if now, err := os.Readlink(path); err == nil && now == target {
		return nil
	}
	return atomicfile.Make(path, func(temp string) error { return os.Symlink(target, temp) })
}

// setRef records the commit that the revision is at.
func (c *Client) setRef(r repo, commit string) error {
	if r.revision == commit {
		return nil
	}
	path := filepath.Join(c.dir(r), "refs", r.revision)
	err := os.MkdirAll(filepath.Dir(path), 0o777)
	if err == nil {
		err = atomicfile.WriteFile(path, []byte(commit))
	}
	if err != nil {
		return fmt.Errorf("hub cache: %w", err)
	}
	return nil
}
