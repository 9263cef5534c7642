package api

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// transport bounds answers, heeds Retry-After, and follows the API to no other place.
type transport struct {
	base http.RoundTripper
	gate *gate
}

func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := t.base.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if to, err := answer.Location(); err == nil && isRedirect(answer.StatusCode) && !mayFollow(r, to, answer.StatusCode) {
		_ = answer.Body.Close()
		return nil, &redirect{status: answer.StatusCode, to: to}
	}
	if answer.StatusCode >= http.StatusBadRequest {
		now, err := http.ParseTime(answer.Header.Get("Date"))
		if err != nil {
			now = time.Now()
		}
		if wait := retryAfter(answer.Header.Get("Retry-After"), now); wait > 0 {
			t.gate.shut(wait)
		}
	}
	answer.Body = &bounded{io.LimitReader(answer.Body, maxAnswerBytes), answer.Body}
	return answer, nil
}

// bounded is the body of an answer.
type bounded struct {
	io.Reader
	body io.Closer
}

// maxRestBytes bounds what is read of an answer that nobody wants.
const maxRestBytes = 4 << 10

// Close reads what a decoder has left, such as the end of the last chunk: otherwise the connection is of no more use.
func (b *bounded) Close() error {
	_, _ = io.CopyN(io.Discard, b.Reader, maxRestBytes)
	return b.body.Close()
}

func isRedirect(status int) bool {
	switch status {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return true
	}
	return false
}

// mayFollow reports whether a redirect leads the same request to the same host. To another one the lines of a job's log
// would go, and its answers would be taken for the API's; and what was encrypted stays so.
func mayFollow(r *http.Request, to *url.URL, status int) bool {
	same := r.Method == http.MethodGet || status == http.StatusTemporaryRedirect || status == http.StatusPermanentRedirect
	return same && to.Hostname() == r.URL.Hostname() && (to.Scheme == r.URL.Scheme || to.Scheme == "https")
}

// redirect says that the API is elsewhere.
type redirect struct {
	status int
	to     *url.URL
}

func (r *redirect) Error() string {
	place := url.URL{Scheme: r.to.Scheme, Host: r.to.Host, Path: r.to.Path} // the rest may hold what is not to be seen
	return fmt.Sprintf("the answer is %d %s, to %s, which is not followed. Check api_url of the source: it is where the API itself answers",
		r.status, http.StatusText(r.status), place.String())
}
