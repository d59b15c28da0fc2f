package hub

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"autolora/plainjson"
)

// tries is how often a request is made before its failure counts; a download counts from its last progress.
const tries = 5

// statusError is an answer other than the wanted one.
type statusError struct {
	status     int
	code       string        // the hub's X-Error-Code
	retryAfter time.Duration // what the hub asks for with 429 and 503
	page       bool          // for people, as no program of the hub answers
}

func newStatusError(resp *http.Response) *statusError {
	e := &statusError{status: resp.StatusCode, code: resp.Header.Get("X-Error-Code"), page: isPage(resp)}
	if s, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && s > 0 {
		e.retryAfter = min(time.Duration(s)*time.Second, time.Minute)
	}
	return e
}

func (e *statusError) Error() string {
	return strings.TrimSpace(fmt.Sprintf("status %d %s %s", e.status, http.StatusText(e.status), e.code))
}

// elsewhere says whether somebody between here and the hub answered: a proxy, or a network that wants to be signed in to.
func (e *statusError) elsewhere() bool {
	switch e.status {
	case http.StatusProxyAuthRequired, http.StatusNetworkAuthenticationRequired:
		return true
	case http.StatusUnauthorized, http.StatusForbidden:
		return e.page && e.code == ""
	}
	return false
}

// answerError is an answer that would be the same at the next try.
type answerError struct{ error }

func (e answerError) Unwrap() error { return e.error }

// errElsewhere is what to do where not the hub answered.
var errElsewhere = errors.New("a web page answered, or nothing of the hub's: open the address in a browser, where a network may want you to sign in; " +
	"set HTTPS_PROXY to a proxy that leads to the hub, or HF_ENDPOINT to a mirror")

// isPage says whether an answer is meant for people.
func isPage(resp *http.Response) bool {
	return strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html")
}

// passing says whether a failure may be gone at the next try, and how long to wait at least.
func passing(err error) (bool, time.Duration) {
	if status, ok := errors.AsType[*statusError](err); ok {
		return status.status == http.StatusTooManyRequests || status.status == http.StatusRequestTimeout || status.status >= 500 && !status.elsewhere(),
			status.retryAfter
	}
	_, disk := errors.AsType[*os.PathError](err)
	return !disk && !unreachable(err) && !errors.Is(err, errNoEnd) && !errors.As(err, new(answerError)), 0
}

// unreachable says whether no connection came about. Trying again at once is seldom of use then, and a user
// without a network should not have to wait.
func unreachable(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return errors.As(err, new(*net.DNSError)) || ok && (op.Op == "dial" || op.Op == "proxyconnect")
}

// ask makes a small request, again after passing failures, and hands the answer to read. The error names
// neither the repository nor what to do: see [Client.explain].
func (c *Client) ask(ctx context.Context, method, address string, read func(*http.Response) error) error {
	return c.retry(ctx, func() (bool, error) {
		watched, _, stop := watch(ctx, c.AnswerTimeout)
		defer stop()
		req, err := http.NewRequestWithContext(watched, method, address, nil)
		if err != nil {
			return false, err
		}
		resp, err := c.do(req, method != http.MethodHead)
		if err != nil {
			return false, causeOf(watched, err)
		}
		defer resp.Body.Close()
		if resp.StatusCode >= 400 {
			return false, newStatusError(resp)
		}
		return false, causeOf(watched, read(resp))
	})
}

// causeOf names the reason for which a watched context ended, which err does not.
func causeOf(watched context.Context, err error) error {
	if err != nil && watched.Err() != nil {
		return context.Cause(watched)
	}
	return err
}

// askJSON decodes the answer to a GET request.
func (c *Client) askJSON(ctx context.Context, address string, v any) error {
	const limit = 64 << 20 // the listing of a repository with 100,000 files has 10 MB
	return c.ask(ctx, http.MethodGet, address, func(resp *http.Response) error {
		body, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
		if err != nil {
			return err
		}
		if len(body) > limit {
			return fmt.Errorf("%s: answer is longer than %d bytes", address, limit)
		}
		err = plainjson.Unmarshal(body, v)
		switch {
		case err == nil:
			return nil
		case isPage(resp):
			err = errElsewhere
		}
		return answerError{fmt.Errorf("%s: the answer is not the hub's JSON: %w", address, err)}
	})
}

// explain turns the failure of a request about a repository into an error that says what to do.
func (c *Client) explain(r repo, err error) error {
	if err == nil || errors.Is(err, context.Canceled) && !errors.As(err, new(*statusError)) {
		return err
	}
	if unreachable(err) {
		return fmt.Errorf("%v: %w at %s: %w: check the network, or set HF_ENDPOINT to a mirror", r, ErrUnreachable, c.Endpoint, err)
	}
	status, ok := errors.AsType[*statusError](err)
	if !ok {
		return fmt.Errorf("%v: %w", r, err)
	}
	switch {
	case status.elsewhere():
		return fmt.Errorf("%v: %s: %w: %w", r, c.Endpoint, status, errElsewhere)
	case status.code == "RevisionNotFound":
		return fmt.Errorf("%v: %w: there is no revision %q", r, ErrNotFound, r.revision)
	case status.code == "RepoNotFound" || status.status == http.StatusNotFound:
		return fmt.Errorf("%v: %w on %s: check the name; a private repository needs HF_TOKEN", r, ErrNotFound, c.Endpoint)
	case status.code == "GatedRepo" || status.status == http.StatusForbidden || status.status == http.StatusUnauthorized:
		todo := "set HF_TOKEN to a token that may read it"
		if c.Token != "" {
			todo = "the token in use may not read it"
		}
		return fmt.Errorf("%v: %w (%w): the repository is gated or private, or its name is wrong: accept its terms on %s and %s",
			r, ErrAccess, status, c.pageURL(r), todo)
	}
	return fmt.Errorf("%v: %s: %w", r, c.Endpoint, err)
}
