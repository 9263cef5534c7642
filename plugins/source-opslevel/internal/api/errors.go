package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/hasura/go-graphql-client"
)

// Kind says what kind of no an Error is.
type Kind int

// The kinds of errors.
const (
	// Unreachable: there was no answer. The request may have had its effect.
	Unreachable Kind = iota
	// Throttled: the API has had too many requests.
	Throttled
	// Unavailable: the API is at fault, for now. The request may have had its effect.
	Unavailable
	// Unauthorized: the token is missing, unknown, or not allowed to do this.
	Unauthorized
	// Refused: the API does not take what the request holds, and will not take it later.
	Refused
	// Failed: the operation has not worked, for reasons that the message tells and that may pass.
	Failed
	// Undecodable: the answer is none that can be read.
	Undecodable
)

// Error is why a call has not worked.
type Error struct {
	// Operation is the name of the operation.
	Operation string
	Kind      Kind
	// Status is that of HTTP, 0 when there was none, or when it was 200.
	Status int
	// Message is for people: what the API has said, or what became of the request.
	Message string
	// Paths are what the API names as the places of its errors.
	Paths []string
	cause error
}

// maxMessageBytes bounds what is told of a message. It goes into logs, those of jobs as well, and into a header.
const maxMessageBytes = 2000

func (e *Error) Error() string {
	message := e.Message
	if len(message) > maxMessageBytes {
		message = strings.ToValidUTF8(message[:maxMessageBytes], "") + "…"
	}
	return fmt.Sprintf("OpsLevel API, %s: %s", e.Operation, message)
}

// Unwrap returns what is behind it, if anything.
func (e *Error) Unwrap() error { return e.cause }

// IsRefused reports whether the API will never take what the request held.
func IsRefused(err error) bool { return is(err, Refused) }

// IsUnauthorized reports whether the token is the matter.
func IsUnauthorized(err error) bool { return is(err, Unauthorized) }

// MayHaveWorked reports whether a request that has failed may have had its effect.
func MayHaveWorked(err error) bool {
	return is(err, Unreachable) || is(err, Unavailable) || is(err, Undecodable) || is(err, Failed)
}

func is(err error, kind Kind) bool {
	var e *Error
	return errors.As(err, &e) && e.Kind == kind
}

// About reports whether the API names an argument as the place of its errors.
func About(err error, argument string) bool {
	var e *Error
	if !errors.As(err, &e) {
		return false
	}
	for _, path := range e.Paths {
		if path == argument || strings.HasSuffix(path, "."+argument) {
			return true
		}
	}
	return false
}

// unknownRunner is how the API says that it does not know a runner, by its recorded answers.
var unknownRunner = regexp.MustCompile(`(?i)\brunner with id .{0,200} does not exist`)

// IsUnknownRunner reports whether the API does not know the runner, so that it has to register anew.
func IsUnknownRunner(err error) bool {
	var e *Error
	return errors.As(err, &e) && unknownRunner.MatchString(e.Message)
}

// wrongToken is how the API says, with status 200, that it does not know the token.
const wrongToken = "Please provide a valid OpsLevel API token"

// tokenHint is what to do about it.
const tokenHint = "the API does not accept the API token. Set api_token of the source (in the shipped runner.hcl: the variable OPSLEVEL_API_TOKEN) to one that is valid for this account"

// errorOf makes an Error of what the GraphQL or REST client says.
func errorOf(operation string, err error) error {
	var network graphql.NetworkError
	if errors.As(err, &network) {
		return bodyError(operation, network.StatusCode(), network.Body())
	}
	var away *redirect
	if errors.As(err, &away) {
		return &Error{Operation: operation, Kind: Failed, Message: away.Error(), cause: away}
	}
	var broken *url.Error
	if errors.As(err, &broken) {
		if errors.Is(err, context.Canceled) {
			return &Error{Operation: operation, Kind: Unreachable, Message: "the request was broken off", cause: context.Canceled}
		}
		return &Error{Operation: operation, Kind: Unreachable, Message: noAnswer(broken), cause: broken.Err}
	}
	var list graphql.Errors
	if !errors.As(err, &list) || len(list) == 0 {
		return &Error{Operation: operation, Kind: Unreachable, Message: err.Error(), cause: err}
	}
	if code, _ := list[0].Extensions["code"].(string); code == graphql.ErrJsonDecode {
		return &Error{Operation: operation, Kind: Undecodable, Message: "the answer can't be read: " + list[0].Message, cause: err}
	}
	e := &Error{Operation: operation, Kind: Failed, cause: err}
	var messages []string
	for _, one := range list {
		path := make([]string, 0, len(one.Path))
		for _, step := range one.Path {
			path = append(path, fmt.Sprint(step))
		}
		e.Paths = append(e.Paths, strings.Join(path, "."))
		messages = append(messages, one.Message)
		if strings.Contains(one.Message, wrongToken) {
			return &Error{Operation: operation, Kind: Unauthorized, Message: tokenHint, cause: err}
		}
		if _, invalid := one.Extensions["problems"]; invalid {
			e.Kind = Refused // a value of the request is none that the schema allows
		}
	}
	e.Message = strings.Join(messages, "; ")
	return e
}

// noAnswer says what became of a request. The URL says where it went; it has no secret in it.
func noAnswer(e *url.Error) string {
	if e.Timeout() {
		return "no answer from " + e.URL + " in time"
	}
	return "no answer from " + e.URL + ": " + e.Err.Error()
}

// statusError is the Error of an HTTP status.
func statusError(operation string, status int) error {
	e := &Error{Operation: operation, Status: status, Message: fmt.Sprintf("the answer is %d %s", status, http.StatusText(status))}
	switch {
	case status == http.StatusTooManyRequests:
		e.Kind = Throttled
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		e.Kind, e.Message = Unauthorized, e.Message+": "+tokenHint
	case status == http.StatusRequestEntityTooLarge:
		e.Kind = Refused // whoever has said so: less may be taken
	case status == http.StatusNotFound:
		e.Kind, e.Message = Failed, e.Message+". Check api_url of the source: it is the URL without /graphql"
	case status >= http.StatusInternalServerError:
		e.Kind = Unavailable
	default:
		e.Kind = Failed
	}
	return e
}

// bodyError is the Error of an HTTP status whose body may be the API's own answer. Whatever else stands between, such as a
// proxy, may answer that a request is bad, and mean itself: only the API refuses for good.
func bodyError(operation string, status int, body string) error {
	if status != http.StatusBadRequest && status != http.StatusUnprocessableEntity {
		return statusError(operation, status)
	}
	var answer struct {
		Errors []json.RawMessage `json:"errors"`
	}
	e := &Error{Operation: operation, Kind: Failed, Status: status, Message: fmt.Sprintf("the answer is %d %s", status, http.StatusText(status))}
	if json.Unmarshal([]byte(body), &answer) != nil || len(answer.Errors) == 0 {
		e.Message += ", and not from the API: it is no JSON with errors. Look at what stands between the runner and the API"
		return e
	}
	e.Kind = Refused
	var said struct {
		Errors payloadErrors `json:"errors"`
	}
	var refusal *Error
	if json.Unmarshal([]byte(body), &said) == nil && errors.As(said.Errors.refusal(operation), &refusal) && refusal.Message != "" {
		e.Message, e.Paths = e.Message+": "+refusal.Message, refusal.Paths
	}
	return e
}

// errorsOnly is the payload of an operation that answers with nothing but errors.
type errorsOnly struct {
	Errors payloadErrors `json:"errors"`
}

// refusal makes an Error of a payload that is missing, or has errors.
func (p *errorsOnly) refusal(operation string) error {
	if p == nil {
		return noPayload(operation)
	}
	return p.Errors.refusal(operation)
}

// noPayload is the Error of an answer that says neither that the operation has worked nor that it has not: GraphQL lets a
// server leave out what it can't or may not give.
func noPayload(operation string) error {
	return &Error{Operation: operation, Kind: Undecodable, Message: "the answer does not say whether it has worked"}
}

// payloadErrors are the errors that an operation has in its own answer.
type payloadErrors []struct {
	Message text   `json:"message"`
	Path    []text `json:"path"`
}

// refusal makes an Error of them; nil when there are none.
func (list payloadErrors) refusal(operation string) error {
	if len(list) == 0 {
		return nil
	}
	e := &Error{Operation: operation, Kind: Refused}
	messages := make([]string, 0, len(list))
	for _, one := range list {
		steps := make([]string, 0, len(one.Path))
		for _, step := range one.Path {
			steps = append(steps, string(step))
		}
		path, message := strings.Join(steps, "."), string(one.Message)
		e.Paths = append(e.Paths, path)
		if path != "" && path != "base" { // base: the whole
			message += " (" + path + ")"
		}
		messages = append(messages, message)
	}
	e.Message = strings.Join(messages, "; ")
	return e
}
