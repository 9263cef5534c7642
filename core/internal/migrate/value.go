package migrate

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"

	"github.com/podrunner/runner/core/internal/diag"
)

// given is what somebody has said of a flag, and where.
type given struct {
	text string
	list []string
	at   diag.Range
}

// value is what there is to know of a flag.
type value struct {
	option option
	// line and file are what the command line and opslevel.yaml say; nil for nothing.
	line, file *given
	// variables are those of the environment that set it.
	variables []string
}

// isGiven reports whether anything says something of it.
func (v *value) isGiven() bool { return v.line != nil || v.file != nil || len(v.variables) > 0 }

// said is the best that is known without the environment: the line wins over the file.
func (v *value) said() *given {
	if v.line != nil {
		return v.line
	}
	return v.file
}

// at is the place of what counts: the command line wins over the environment, and that over the file.
func (v *value) at() diag.Range {
	switch {
	case v.line != nil:
		return v.line.at
	case len(v.variables) > 0:
		return variableAt(v.variables[0])
	case v.file != nil:
		return v.file.at
	}
	return diag.Range{}
}

func variableAt(name string) diag.Range {
	return diag.Range{File: &diag.File{Name: "the environment variable " + name}}
}

// check says that a value of the file is not of its kind. The seed took such a value for 0 or false.
func (v *value) check(m *migration) {
	if v.file == nil {
		return
	}
	switch v.option.kind {
	case aNumber:
		if _, err := strconv.ParseInt(v.file.text, 10, 64); err != nil || !wholeNumber.MatchString(v.file.text) {
			m.fail(v.file.at, "Wrong value", fmt.Sprintf("%q takes a whole number, such as 5.", v.option.name))
		}
	case aTruth:
		b, err := strconv.ParseBool(v.file.text)
		if err != nil {
			m.fail(v.file.at, "Wrong value", fmt.Sprintf("%q takes true or false. opslevel-runner took this value for false.", v.option.name))
		}
		v.file.text = strconv.FormatBool(b)
	}
}

// expression is the value of an argument. plain is the same without the environment, to be checked.
type expression struct{ text, plain string }

func literal(text string) expression { return expression{text, text} }

// expression returns the value as HCL; write makes HCL of what was said of it.
func (v *value) expression(write func(text string) expression) expression {
	if v.line != nil {
		return write(v.line.text)
	}
	last := write(v.option.standard)
	if v.file != nil {
		last = write(v.file.text)
	}
	return expression{orEnv(last.text, v.option.env...), last.plain}
}

// orEnv returns an expression that the environment overrides.
func orEnv(last string, variables ...string) string {
	for i := len(variables) - 1; i >= 0; i-- {
		last = fmt.Sprintf("env(%s, %s)", quote(variables[i]), last)
	}
	return last
}

// isStandard reports whether nothing but the standard value was said, in an environment that says nothing either.
func (v *value) isStandard() bool {
	return len(v.variables) == 0 && (v.said() == nil || v.said().text == v.option.standard || v.said().text == "" && v.option.kind == aText)
}

// The ways to write a value.

// asText writes a text. Kubernetes' $(NAME), which a container's arguments may hold, becomes env("NAME").
func asText(text string) expression {
	if name := referred(text); name != "" {
		return expression{fmt.Sprintf("env(%s)", quote(name)), `"x"`}
	}
	var out, plain strings.Builder
	rest := text
	for {
		found := reference.FindStringSubmatchIndex(rest)
		if found == nil {
			break
		}
		before := quote(rest[:found[0]])
		out.WriteString(before[1 : len(before)-1])
		plain.WriteString(before[1 : len(before)-1])
		if found[2] < 0 { // $$(NAME) is Kubernetes' way to write $(NAME)
			out.WriteString(rest[found[0]+1 : found[1]])
			plain.WriteString(rest[found[0]+1 : found[1]])
		} else {
			fmt.Fprintf(&out, "${env(%s)}", quote(rest[found[2]:found[3]]))
			plain.WriteString("x")
		}
		rest = rest[found[1]:]
	}
	last := quote(rest)
	return expression{`"` + out.String() + last[1:], `"` + plain.String() + last[1:]}
}

var reference = regexp.MustCompile(`\$\$\([A-Za-z_][A-Za-z0-9_.-]*\)|\$\(([A-Za-z_][A-Za-z0-9_.-]*)\)`)

// referred returns the variable that a text is a reference to, and nothing else; "" when it is not.
func referred(text string) string {
	found := reference.FindStringSubmatch(text)
	if found == nil || found[0] != text {
		return ""
	}
	return found[1]
}

func asIs(text string) expression { return literal(text) }

// asSeconds writes a number of seconds as a duration.
func asSeconds(text string) expression {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 || n > math.MaxInt64/int64(time.Second) {
		return literal(text)
	}
	return literal(quote(short(time.Duration(n) * time.Second)))
}

// short writes a duration without the zeros that Go puts behind: 1h, not 1h0m0s.
func short(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// asMillicores and asMebibytes write quantities, in the larger unit when that is whole.
func asMillicores(text string) expression { return asQuantity(text, 1000, "m", "") }
func asMebibytes(text string) expression  { return asQuantity(text, 1024, "Mi", "Gi") }

func asQuantity(text string, large int64, unit, largeUnit string) expression {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil && n != 0 && n%large == 0 {
		return literal(quote(strconv.FormatInt(n/large, 10) + largeUnit))
	}
	return literal(quote(text + unit))
}

// asPort writes an address on all interfaces.
func asPort(text string) expression { return literal(quote(":" + text)) }

// quote writes a text in quotes, as HCL has them.
func quote(text string) string {
	return string(hclwrite.TokensForValue(cty.StringVal(text)).Bytes())
}
