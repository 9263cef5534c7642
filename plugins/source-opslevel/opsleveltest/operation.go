package opsleveltest

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"github.com/vektah/gqlparser/v2/validator"
)

//go:embed public.graphql
var publicSchema string

//go:embed internal.graphql
var internalSchema string

// The schemas, without and with the header GraphQL-Visibility: internal.
var (
	public   = gqlparser.MustLoadSchema(&ast.Source{Name: "public.graphql", Input: publicSchema})
	internal = gqlparser.MustLoadSchema(
		&ast.Source{Name: "public.graphql", Input: publicSchema}, &ast.Source{Name: "internal.graphql", Input: internalSchema})
)

// operation is a request that is fit to be executed.
type operation struct {
	name      string
	variables map[string]any
	fields    ast.SelectionSet
}

// parse makes an operation of a request's body, or an answer that says what is wrong with it. It has a name then, too, when
// there is one to be seen.
func parse(body []byte, visible bool) (*operation, *answer) {
	var payload struct {
		Query         string         `json:"query"`
		Variables     map[string]any `json:"variables"`
		OperationName string         `json:"operationName"`
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	d.UseNumber()
	if err := d.Decode(&payload); err != nil {
		return nil, text(http.StatusBadRequest, "the body is not that of a GraphQL request: "+err.Error())
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, text(http.StatusBadRequest, "there is more than one value in the body")
	}
	o := &operation{name: payload.OperationName, variables: payload.Variables}
	schema := public
	if visible {
		schema = internal
	}
	query, errs := gqlparser.LoadQuery(schema, payload.Query) //nolint:staticcheck // the rules are the usual ones
	if len(errs) > 0 {
		return o, graphQLErrors(errorsOf(errs)...)
	}
	definition := query.Operations.ForName(payload.OperationName)
	if definition == nil {
		return o, graphQLErrors(GraphQLError{Message: fmt.Sprintf("No operation named %q", payload.OperationName)})
	}
	variables, err := validator.VariableValues(schema, definition, payload.Variables)
	if err != nil {
		var list gqlerror.List
		if !errors.As(err, &list) {
			list = gqlerror.List{gqlerror.WrapIfUnwrapped(err)}
		}
		return o, graphQLErrors(errorsOf(list)...)
	}
	for name := range payload.Variables {
		if _, known := variables[name]; !known {
			return o, graphQLErrors(GraphQLError{Message: fmt.Sprintf("Variable $%s is not declared", name)})
		}
	}
	o.variables, o.fields = variables, definition.SelectionSet
	return o, nil
}

func errorsOf(list gqlerror.List) []GraphQLError {
	out := make([]GraphQLError, 0, len(list))
	for _, e := range list {
		one := GraphQLError{Message: e.Message}
		for _, l := range e.Locations {
			one.Locations = append(one.Locations, Location{Line: l.Line, Column: l.Column})
		}
		out = append(out, one)
	}
	return out
}

// refused is the answer to an operation that has errors of its own, and no data.
func (o *operation) refused(errs []PayloadError) *answer {
	list := make([]any, 0, len(errs))
	for _, e := range errs {
		list = append(list, e.value())
	}
	data := map[string]any{}
	for _, selection := range o.fields {
		if field, ok := selection.(*ast.Field); ok {
			data[field.Alias] = project(field.SelectionSet, map[string]any{"errors": list})
		}
	}
	return &answer{status: http.StatusOK, body: map[string]any{"data": data}}
}

// execute has an operation's effect, and makes its answer: what it asks for, and nothing beside.
func (s *Server) execute(o *operation) *answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.notify()
	data := map[string]any{}
	for _, selection := range o.fields {
		field, ok := selection.(*ast.Field)
		if !ok {
			return graphQLErrors(GraphQLError{Message: "Fragments are not known here"})
		}
		if field.Name == "account" {
			account, err := s.account(o, field)
			if err != nil {
				return graphQLErrors(*err)
			}
			data[field.Alias] = account
			continue
		}
		value, err := s.state.mutate(field.Name, field.ArgumentMap(o.variables), s.options.RefuseLine)
		if err != nil {
			err.Path = []string{field.Name}
			err.Locations = []Location{{Line: field.Position.Line, Column: field.Position.Column}}
			return graphQLErrors(*err)
		}
		data[field.Alias] = project(field.SelectionSet, value)
	}
	return &answer{status: http.StatusOK, body: map[string]any{"data": data}}
}

// account answers what hangs on the account.
func (s *Server) account(o *operation, account *ast.Field) (map[string]any, *GraphQLError) {
	value := map[string]any{"id": s.options.Account}
	for _, selection := range account.SelectionSet {
		field, ok := selection.(*ast.Field)
		if !ok || field.Name != "runnerScale" {
			continue
		}
		arguments := field.ArgumentMap(o.variables)
		if err := s.state.known(fmt.Sprint(arguments["runnerId"])); err != nil {
			err.Path = []string{"account", "runnerScale"}
			return nil, err
		}
		value["runnerScale"] = map[string]any{"recommendedReplicaCount": s.state.scale(number(arguments["currentReplicaCount"]), number(arguments["jobConcurrency"]))}
	}
	projected, _ := project(account.SelectionSet, value).(map[string]any)
	return projected, nil
}

func number(v any) int {
	n := 0
	_, _ = fmt.Sscan(fmt.Sprint(v), &n)
	return n
}

// project takes out of a value what was asked for.
func project(fields ast.SelectionSet, value any) any {
	switch v := value.(type) {
	case map[string]any:
		out := map[string]any{}
		for _, selection := range fields {
			if field, ok := selection.(*ast.Field); ok {
				out[field.Alias] = project(field.SelectionSet, v[field.Name])
			}
		}
		return out
	case []any:
		out := make([]any, 0, len(v))
		for _, x := range v {
			out = append(out, project(fields, x))
		}
		return out
	default:
		return value
	}
}

// visible keeps text that is printed to one line.
func visible(text string) string { return strings.Join(strings.Fields(text), " ") }
