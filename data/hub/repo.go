package hub

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"unicode"
)

// repo is a repository at a revision.
type repo struct {
	kind     string // "models" or "datasets", as the hub's API and the cache spell it
	name     string // "org/name" or "name"
	revision string // branch, tag or commit
}

// String is how messages name a repository.
func (r repo) String() string {
	kind := "model"
	if r.kind == "datasets" {
		kind = "data set"
	}
	if r.revision != "main" {
		return fmt.Sprintf("hub %s %q at %q", kind, r.name, r.revision)
	}
	return fmt.Sprintf("hub %s %q", kind, r.name)
}

var (
	namePattern   = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)?$`)
	commitPattern = regexp.MustCompile(`^[0-9a-f]{40}$`)
	sumPattern    = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`)
)

// newRepo checks the parts of a name, which become parts of paths.
func newRepo(kind, name, revision string) (repo, error) {
	if revision == "" {
		revision = "main"
	}
	r := repo{kind: kind, name: name, revision: revision}
	if !namePattern.MatchString(name) || strings.Contains(name, "--") || strings.Contains(name, "..") || len(name) > 96 {
		return repo{}, fmt.Errorf("%q is not a name on the hub: want NAME or ORG/NAME", name)
	}
	if !filepath.IsLocal(revision) || strings.ContainsAny(revision, "\\\x00") || len(revision) > 200 {
		return repo{}, fmt.Errorf("%v: not a revision: want a branch, a tag or a commit", r)
	}
	return r, nil
}

// dir is the repository's folder in the cache.
func (c *Client) dir(r repo) string {
	return filepath.Join(c.CacheDir, r.kind+"--"+strings.ReplaceAll(r.name, "/", "--"))
}

func (c *Client) pageURL(r repo) string {
	if r.kind == "datasets" {
		return c.Endpoint + "/datasets/" + r.name
	}
	return c.Endpoint + "/" + r.name
}

func (c *Client) fileURL(r repo, commit, name string) string {
	segments := strings.Split(name, "/")
	for i, s := range segments {
		segments[i] = url.PathEscape(s)
	}
	return c.pageURL(r) + "/resolve/" + commit + "/" + strings.Join(segments, "/")
}

// list asks the hub for the commit that the revision is at and for the paths of its files.
func (c *Client) list(ctx context.Context, r repo) (commit string, paths []string, err error) {
	var info struct {
		SHA      string `json:"sha"`
		Siblings []struct {
			Name string `json:"rfilename"`
		} `json:"siblings"`
	}
	address := c.Endpoint + "/api/" + r.kind + "/" + r.name + "/revision/" + url.PathEscape(r.revision)
	if err := c.askJSON(ctx, address, &info); err != nil {
		return "", nil, c.explain(r, err)
	}
	if !commitPattern.MatchString(info.SHA) {
		return "", nil, fmt.Errorf("%v: %s: commit is %q, want 40 hexadecimal digits", r, address, info.SHA)
	}
	if commitPattern.MatchString(r.revision) && info.SHA != r.revision {
		return "", nil, fmt.Errorf("%v: %s: commit is %s, another than was asked for", r, address, info.SHA)
	}
	for _, s := range info.Siblings {
		// A name that could leave the snapshot's folder is nothing that the hub itself would list.
		if !filepath.IsLocal(s.Name) || path.Clean(s.Name) != s.Name || strings.ContainsFunc(s.Name, func(r rune) bool { return r == '\\' || unicode.IsControl(r) }) {
			return "", nil, fmt.Errorf("%v: %s: unsafe file name %q", r, address, s.Name)
		}
		paths = append(paths, s.Name)
	}
	return info.SHA, paths, nil
}

// file is a file of a repository, as the hub describes it.
type file struct {
	path string // in the repository
	url  string
	etag string // its name among the blobs: SHA-256 of a large file, git's SHA-1 of others
	size int64  // -1: not told
}

// describe asks the hub for a file's sum and size.
func (c *Client) describe(ctx context.Context, r repo, commit, name string) (file, error) {
	f := file{path: name, url: c.fileURL(r, commit, name), size: -1}
	err := c.ask(ctx, http.MethodHead, f.url, func(resp *http.Response) error {
		// Large files lie elsewhere: the redirect itself tells what they are.
		etag := resp.Header.Get("X-Linked-Etag")
		if etag == "" {
			etag = resp.Header.Get("Etag")
		}
		f.etag = strings.ToLower(strings.Trim(strings.TrimPrefix(etag, "W/"), `"`))
		switch {
		case etag == "" && (isPage(resp) || resp.StatusCode >= 300):
			return answerError{fmt.Errorf("%s: %w", f.url, errElsewhere)}
		case !sumPattern.MatchString(f.etag):
			return answerError{fmt.Errorf("%s: the ETag %q is no sum of the file (git's SHA-1, or SHA-256), by which it could be checked: "+
				"set HF_ENDPOINT to a mirror that passes on the hub's own ETags", f.url, etag)}
		}
		if size := resp.Header.Get("X-Linked-Size"); size != "" {
			var err error
			if f.size, err = strconv.ParseInt(size, 10, 64); err != nil || f.size < 0 {
				return answerError{fmt.Errorf("%s: unusable X-Linked-Size %q", f.url, size)}
			}
		} else if resp.StatusCode == http.StatusOK {
			f.size = resp.ContentLength
		}
		return nil
	})
	if err != nil {
		if status, ok := errors.AsType[*statusError](err); ok && status.status == http.StatusNotFound {
			return file{}, fmt.Errorf("%v: %w: %s is listed but not there", r, ErrNotFound, name)
		}
		return file{}, c.explain(r, err)
	}
	return f, nil
}
