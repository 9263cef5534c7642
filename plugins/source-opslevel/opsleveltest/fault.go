package opsleveltest

import (
	"net/http"
	"time"
)

// Fault is a way in which a request goes wrong. At most one of Status, Drop, Errors and PayloadErrors is set; with After it
// comes once the request has had its effect, otherwise in place of it.
type Fault struct {
	// Delay holds the request back first, Late the answer, when the request has had its effect.
	Delay, Late time.Duration
	// After lets the request have its effect, and then gives the answer of the fault.
	After bool
	// Status and Body are an answer, whatever it is, with Retry-After when RetryAfter is not empty: seconds or a date.
	Status     int
	Body       string
	RetryAfter string
	// Drop resets the connection with no answer.
	Drop bool
	// Cut resets it in the middle of the answer, after the effect.
	Cut bool
	// Errors are errors of GraphQL, on top of the answer; PayloadErrors are those of the operation itself.
	Errors        []GraphQLError
	PayloadErrors []PayloadError
	// Rewrite changes the data of the answer, after the effect. data is what is under "data".
	Rewrite func(data map[string]any)
}

// GraphQLError is an error on top of an answer.
type GraphQLError struct {
	Message    string         `json:"message"`
	Locations  []Location     `json:"locations,omitempty"`
	Path       []string       `json:"path,omitempty"`
	Extensions map[string]any `json:"extensions,omitempty"`
}

// Location is a place in a query.
type Location struct {
	Line   int `json:"line"`
	Column int `json:"column"`
}

// PayloadError is an error of an operation.
type PayloadError struct {
	Message string
	Path    []string
}

func (e PayloadError) value() map[string]any {
	path := make([]any, 0, len(e.Path))
	for _, step := range e.Path {
		path = append(path, step)
	}
	return map[string]any{"message": e.Message, "path": path}
}

// refuses reports whether the fault has an answer of its own.
func (f *Fault) refuses() bool {
	return f.Status != 0 || f.Drop || len(f.Errors) > 0 || len(f.PayloadErrors) > 0
}

// before reports whether the request has no effect.
func (f *Fault) before() bool { return f != nil && !f.After && f.refuses() }

// answer is what the fault has in place of the real one.
func (f *Fault) answer(o *operation) *answer {
	switch {
	case f.Drop:
		return &answer{drop: true}
	case f.Status != 0:
		header := http.Header{}
		if f.RetryAfter != "" {
			header.Set("Retry-After", f.RetryAfter)
		}
		return &answer{status: f.Status, header: header, body: f.Body}
	case len(f.PayloadErrors) > 0 && o != nil:
		return o.refused(f.PayloadErrors)
	default:
		return graphQLErrors(f.Errors...)
	}
}

// change makes of the real answer that of the fault.
func (f *Fault) change(o *operation, a *answer) *answer {
	if f.refuses() {
		return f.answer(o)
	}
	if body, ok := a.body.(map[string]any); ok && f.Rewrite != nil {
		if data, ok := body["data"].(map[string]any); ok {
			f.Rewrite(data)
		}
	}
	a.cut = f.Cut
	return a
}

func graphQLErrors(errs ...GraphQLError) *answer {
	return &answer{status: http.StatusOK, body: map[string]any{"errors": errs}}
}
