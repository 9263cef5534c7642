// Package api speaks the part of the OpsLevel API that is for runners: GraphQL over HTTP, as opslevel-runner has always
// spoken it, with the same queries, headers and bodies.
//
// Each call is one request, sent once. Whether to try again is the caller's affair, and an [Error] tells what it has to know.
// The one thing that all calls share is a Retry-After of the API: until it is over, no call is sent.
package api

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"net/http"
	"time"

	"github.com/go-resty/resty/v2"
	"github.com/opslevel/opslevel-go/v2025"
)

// Bounds of a connection and of an answer.
const (
	// pingTimeout bounds GET /api/ping.
	pingTimeout = 10 * time.Second
	// maxAnswerBytes bounds an answer. A job whose files are larger could not be run.
	maxAnswerBytes = 64 << 20
	// maxIdle is how many connections are kept for later. Each running job needs one now and then.
	maxIdle = 32
)

// Options say where the API is, and who asks.
type Options struct {
	// URL is where the API is; slashes at its end do not count.
	URL string
	// Token is the API token.
	Token string
	// Version is that of this program, and Extras are added to the header User-Agent, when there are any.
	Version, Extras string
	// Timeout bounds each request.
	Timeout time.Duration
	// Roots are the certificates that are trusted; nil: the system's.
	Roots *x509.CertPool
}

// Client calls the API. Its methods are safe for concurrent use; their errors are of type *Error, or say that the context
// has ended.
type Client struct {
	graphql *opslevel.Client
	rest    *resty.Client
	gate    *gate
	close   func()
}

// New makes a Client. It connects to nothing.
func New(o Options) *Client {
	base := http.DefaultTransport.(*http.Transport).Clone() //nolint:forcetypeassert // it is one
	base.MaxIdleConnsPerHost = maxIdle
	// All requests share one connection of HTTP/2, and one that times out does not end it: without pings, a connection whose
	// other end has vanished would take every request until the kernel gives it up, after a quarter of an hour.
	ping := max(o.Timeout/4, time.Second)
	base.HTTP2 = &http.HTTP2Config{SendPingTimeout: ping, PingTimeout: ping}
	if o.Roots != nil {
		base.TLSClientConfig = &tls.Config{RootCAs: o.Roots, MinVersion: tls.VersionTLS12}
	}
	g := &gate{}
	transport := &transport{base: base, gate: g}
	agent := "opslevel-runner-" + o.Version + " podrunner/" + o.Version
	if o.Extras != "" {
		agent += " user/" + o.Extras
	}
	return &Client{
		graphql: opslevel.NewGQLClient(
			opslevel.SetURL(o.URL), opslevel.SetAPIToken(o.Token), opslevel.SetAPIVisibility("internal"),
			opslevel.SetUserAgentExtra(agent), opslevel.SetTimeout(o.Timeout), opslevel.SetMaxRetries(0), opslevel.SetTransport(transport),
		),
		rest:  opslevel.NewRestClient(opslevel.SetURL(o.URL), opslevel.SetTimeout(pingTimeout), opslevel.SetTransport(transport)),
		gate:  g,
		close: base.CloseIdleConnections,
	}
}

// Close lets go of connections that are not in use.
func (c *Client) Close() { c.close() }

// Ready waits until the API is ready to be asked, as far as it has said so itself by Retry-After.
func (c *Client) Ready(ctx context.Context) error { return c.gate.pass(ctx) }

// App is the application behind the API.
type App struct {
	Version string `json:"app_version"`
	Commit  string `json:"app_commit"`
	Date    string `json:"app_date"`
}

// Ping asks what answers at the URL. Nobody has to be known for that.
func (c *Client) Ping(ctx context.Context) (App, error) {
	var app App
	if err := c.gate.pass(ctx); err != nil {
		return app, err
	}
	answer, err := c.rest.R().SetContext(ctx).SetDoNotParseResponse(true).Get("/api/ping")
	if err != nil {
		return app, errorOf("ping", err)
	}
	body := answer.RawBody()
	defer func() { _ = body.Close() }() // it was only read
	if answer.StatusCode() >= http.StatusBadRequest {
		return app, statusError("ping", answer.StatusCode())
	}
	if err := json.NewDecoder(body).Decode(&app); err != nil {
		return app, &Error{Operation: "ping", Kind: Undecodable, Message: "the answer is no JSON; is this the URL of an OpsLevel API?", cause: err}
	}
	return app, nil
}

// call sends an operation and decodes its data leniently: fields that are not known are passed over. A name of "" is none.
// After an error, into holds what data came with it, if any.
func (c *Client) call(ctx context.Context, name, query string, variables map[string]any, into any) error {
	if err := c.gate.pass(ctx); err != nil {
		return err
	}
	return c.send(ctx, name, query, variables, into)
}

// send is call without regard to Retry-After.
func (c *Client) send(ctx context.Context, name, query string, variables map[string]any, into any) error {
	data, err := c.graphql.ExecRawCTX(ctx, query, variables, opslevel.WithName(name))
	title := name
	if title == "" {
		title = "validate"
	}
	if len(data) > 0 {
		if decoding := json.Unmarshal(data, into); decoding != nil && err == nil {
			return &Error{Operation: title, Kind: Undecodable, Message: "the answer has another shape than it should: " + decoding.Error(), cause: decoding}
		}
	}
	if err != nil {
		return errorOf(title, err)
	}
	if len(data) == 0 {
		return &Error{Operation: title, Kind: Undecodable, Message: "the answer has no data"}
	}
	return nil
}
