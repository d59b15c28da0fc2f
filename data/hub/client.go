package hub

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	defaultEndpoint = "https://huggingface.co"
	defaultTimeout  = 10 * time.Second
)

// Client talks to one hub and fills one cache folder. Its methods may be called from several goroutines.
type Client struct {
	// Endpoint is the hub's address, without a slash at its end.
	Endpoint string
	// Token is sent to Endpoint, and to no other host that it redirects to; "" sends none.
	Token string
	// CacheDir holds a folder per repository; "" where the environment names none: folders of one's own are found without.
	CacheDir string
	// Offline forbids every request.
	Offline bool
	// HTTP makes the requests; nil is http.DefaultClient. Its CheckRedirect is not used.
	HTTP *http.Client
	// AnswerTimeout is how long the hub may take to answer a question, ReadTimeout how long a download may stand
	// still; 0 is 10 s.
	AnswerTimeout, ReadTimeout time.Duration

	// user is the name and password of the endpoint, which so are in no message.
	user *url.Userinfo
	// pause is the first pause between two tries; 0 is 500 ms.
	pause time.Duration
	// untold bounds a file whose size is not told; 0 is maxUntold.
	untold int64
}

// Progress is how far a fetch has come, in bytes over all its files, what was in the cache included.
type Progress struct {
	File        string // the file being fetched
	Done, Total int64
}

// NewClientFromEnv returns a client with the settings that the Python libraries would use.
func NewClientFromEnv() (*Client, error) {
	home := pathEnv("HF_HOME")
	if home == "" {
		if cache, err := os.UserCacheDir(); err == nil {
			home = filepath.Join(cache, "huggingface")
		}
	}
	hubCache := pathEnv("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE")
	if hubCache == "" && home != "" {
		hubCache = filepath.Join(home, "hub")
	}
	c := &Client{
		Endpoint: cmp.Or(strings.TrimRight(firstEnv("HF_ENDPOINT"), "/"), defaultEndpoint),
		Token:    firstEnv("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"),
		CacheDir: hubCache,
		Offline:  truth(os.Getenv("HF_HUB_OFFLINE")) || truth(os.Getenv("TRANSFORMERS_OFFLINE")),
	}
	u, err := url.Parse(c.Endpoint)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") || u.RawQuery != "" || u.Fragment != "" {
		shown := c.Endpoint[strings.LastIndex(c.Endpoint, "@")+1:] // there may be a password before it, and a token behind
		shown, _, _ = strings.Cut(shown, "?")
		return nil, fmt.Errorf("hub: HF_ENDPOINT %q: want an address like %s", shown, defaultEndpoint)
	}
	c.user, u.User = u.User, nil
	c.Endpoint = u.String()
	tokenPath := pathEnv("HF_TOKEN_PATH")
	if tokenPath == "" && home != "" {
		tokenPath = filepath.Join(home, "token") // where "hf auth login" leaves it
	}
	if c.Token == "" && tokenPath != "" {
		switch token, err := os.ReadFile(tokenPath); {
		case err == nil:
			c.Token = strings.TrimSpace(string(token))
		case !errors.Is(err, os.ErrNotExist):
			return nil, fmt.Errorf("hub: token: %w", err)
		}
	}
	if c.AnswerTimeout, err = secondsEnv("HF_HUB_ETAG_TIMEOUT"); err != nil {
		return nil, err
	}
	if c.ReadTimeout, err = secondsEnv("HF_HUB_DOWNLOAD_TIMEOUT"); err != nil {
		return nil, err
	}
	return c, nil
}

// hasCache returns an error if there is no folder for what is fetched.
func (c *Client) hasCache() error {
	if c.CacheDir == "" {
		return errors.New("hub: no folder for the cache: neither $XDG_CACHE_HOME nor $HOME is set: set HF_HOME")
	}
	return nil
}

func firstEnv(names ...string) string {
	for _, name := range names {
		if v := strings.TrimSpace(os.Getenv(name)); v != "" {
			return v
		}
	}
	return ""
}

// pathEnv is firstEnv of a path, in which ~ and variables are filled in as the Python libraries do: an env file or a unit
// of systemd has no shell that would.
func pathEnv(names ...string) string {
	path := firstEnv(names...)
	if home, err := os.UserHomeDir(); err == nil && (path == "~" || strings.HasPrefix(path, "~/")) {
		path = home + path[1:]
	}
	return os.ExpandEnv(path)
}

func truth(v string) bool {
	return slices.Contains([]string{"1", "ON", "YES", "TRUE"}, strings.ToUpper(v))
}

func secondsEnv(name string) (time.Duration, error) {
	v := firstEnv(name)
	if v == "" {
		return 0, nil
	}
	s, err := strconv.ParseFloat(v, 64)
	if err != nil || !(s > 0 && s < 1e6) {
		return 0, fmt.Errorf("hub: %s %q: want a number of seconds", name, v)
	}
	return time.Duration(s * float64(time.Second)), nil
}

// do sends a request to the hub. It follows redirects, those to other hosts only where elsewhere is set: the
// answer to a HEAD request that the hub itself gives has the headers that describe the file.
func (c *Client) do(req *http.Request, elsewhere bool) (*http.Response, error) {
	origin := req.URL
	client := *cmp.Or(c.HTTP, http.DefaultClient)
	client.Transport = &hubTransport{base: cmp.Or(client.Transport, http.DefaultTransport), origin: origin, token: c.Token, user: c.user}
	client.CheckRedirect = func(next *http.Request, via []*http.Request) error {
		if !elsewhere && !sameOrigin(next.URL, origin) {
			return http.ErrUseLastResponse
		}
		if len(via) >= 10 {
			return errors.New("more than 10 redirects")
		}
		return nil
	}
	// A compressed answer would have another length and no ranges.
	req.Header.Set("Accept-Encoding", "identity")
	resp, err := client.Do(req)
	if failed, ok := errors.AsType[*url.Error](err); ok {
		// A place that the hub redirects to may be signed in its query.
		failed.URL, _, _ = strings.Cut(failed.URL, "?")
	}
	return resp, err
}

// hubTransport adds the token, or the endpoint's own user, to requests to the origin alone. As they are in no request that http.Client
// sees, no redirect can carry it to another host, port or scheme.
type hubTransport struct {
	base   http.RoundTripper
	origin *url.URL
	token  string
	user   *url.Userinfo
}

func (t *hubTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	req.Header.Set("User-Agent", "autolora")
	switch {
	case !sameOrigin(req.URL, t.origin):
	case t.user != nil:
		password, _ := t.user.Password()
		req.SetBasicAuth(t.user.Username(), password)
	case t.token != "":
		req.Header.Set("Authorization", "Bearer "+t.token)
	}
	return t.base.RoundTrip(req)
}

func sameOrigin(a, b *url.URL) bool { return a.Scheme == b.Scheme && a.Host == b.Host }

// watch returns a context that ends with an error of its own when alive is not called for d.
func watch(ctx context.Context, d time.Duration) (watched context.Context, alive, stop func()) {
	d = cmp.Or(d, defaultTimeout)
	watched, cancel := context.WithCancelCause(ctx)
	timer := time.AfterFunc(d, func() { cancel(fmt.Errorf("no answer for %v", d)) })
	return watched, func() { timer.Reset(d) }, func() { timer.Stop(); cancel(nil) }
}

// retry makes an attempt, and again after failures that may pass. One that brought something begins the count of tries
// anew.
func (c *Client) retry(ctx context.Context, attempt func() (progress bool, err error)) error {
	for try := 1; ; try++ {
		progress, err := attempt()
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if progress {
			try = 1
		}
		again, wait := passing(err)
		if !again || try >= tries {
			return err
		}
		if err := c.sleep(ctx, try, wait); err != nil {
			return err
		}
	}
}

// sleep pauses before try n (from 1) of a request, longer every time, and at least for atLeast.
func (c *Client) sleep(ctx context.Context, n int, atLeast time.Duration) error {
	pause := cmp.Or(c.pause, 500*time.Millisecond) << min(n-1, 6)
	select {
	case <-time.After(max(pause, atLeast)):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
