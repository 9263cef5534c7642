package telemetry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
)

const (
	// sendTimeout bounds the sending of one report.
	sendTimeout = 10 * time.Second
	// maxAnswerBytes bounds what is read of an answer, which says nothing of interest.
	maxAnswerBytes = 64 << 10
)

// sender sends error reports, and tells the log when that does not work any more, and when it works again. It is an
// http.RoundTripper.
type sender struct {
	address string
	logger  hclog.Logger
	base    *http.Transport
	// life ends what is under way.
	life context.Context //nolint:containedctx // it is the sender's own
	end  context.CancelFunc

	mu     sync.Mutex
	broken bool
}

func newSender(address string, logger hclog.Logger) *sender {
	s := &sender{address: address, logger: logger, base: &http.Transport{
		Proxy: http.ProxyFromEnvironment, MaxIdleConns: 1, IdleConnTimeout: time.Minute, ForceAttemptHTTP2: true,
		TLSHandshakeTimeout: sendTimeout,
	}}
	s.life, s.end = context.WithCancel(context.Background())
	return s
}

// client returns what the SDK sends with. It follows no redirection: that would be another address than the user has named.
func (s *sender) client() *http.Client {
	return &http.Client{Transport: s, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// RoundTrip implements http.RoundTripper. The answer is read before it returns, so that nothing of it is left to wait for.
func (s *sender) RoundTrip(request *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithTimeout(s.life, sendTimeout)
	defer cancel()
	response, err := s.base.RoundTrip(request.WithContext(ctx))
	if err != nil {
		s.tell(ctx, err)
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswerBytes))
	if err != nil {
		s.tell(ctx, err)
		return nil, err
	}
	response.Body = io.NopCloser(bytes.NewReader(body))
	if response.StatusCode >= http.StatusMultipleChoices {
		err = fmt.Errorf("the answer is %s", response.Status)
	}
	s.tell(ctx, err)
	return response, nil
}

// tell tells the log what is news.
func (s *sender) tell(ctx context.Context, err error) {
	if errors.Is(s.life.Err(), context.Canceled) {
		return // core ends, and has given up
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		err = fmt.Errorf("no answer within %s", sendTimeout)
	}
	s.mu.Lock()
	news := s.broken != (err != nil)
	s.broken = err != nil
	s.mu.Unlock()
	switch {
	case news && err != nil:
		s.logger.Warn("error reports can't be sent; they are lost until it works again, and all else goes on", "address", s.address, "error", err)
	case news:
		s.logger.Info("error reports are sent again", "address", s.address)
	}
}

// close ends what is under way.
func (s *sender) close() {
	s.end()
	s.base.CloseIdleConnections()
}
