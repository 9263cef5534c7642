package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
)

// maxFileBytes bounds what file() reads: a certificate bundle fits, a disk image does not.
const maxFileBytes = 1 << 20

// callError is an error of one of the functions, made for the person who wrote the call. It names no value.
type callError struct{ summary, detail string }

func (e *callError) Error() string { return e.detail }

// envFunction is env(name[, default]): the value of an environment variable. A variable that is empty counts as unset;
// deployment tools set variables to nothing where they mean none.
func (s *scope) envFunction() function.Function {
	return function.New(&function.Spec{
		Params:   []function.Parameter{{Name: "name", Type: cty.String}},
		VarParam: &function.Parameter{Name: "default", Type: cty.String, AllowNull: true},
		Type:     function.StaticReturnType(cty.String),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			name := args[0].AsString()
			if len(args) > 2 {
				return cty.NilVal, &callError{
					"Too many arguments",
					"env takes the name of a variable and, if you like, one default: env(\"NAME\", \"default\").",
				}
			}
			if value := os.Getenv(name); value != "" {
				s.read = append(s.read, value)
				return cty.StringVal(strings.ToValidUTF8(value, "\uFFFD")), nil
			}
			if len(args) == 2 {
				return args[1], nil
			}
			return cty.NilVal, &callError{
				"Environment variable not set",
				fmt.Sprintf("The environment variable %s is not set, or empty. Set it, or give a default: env(%q, \"default\").", name, name),
			}
		},
	})
}

// fileFunction is file(path): the text of a file without its last line end, for a secret that an editor has saved has
// one that nobody means.
func (s *scope) fileFunction(dir string) function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "path", Type: cty.String}},
		Type:   function.StaticReturnType(cty.String),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			path := args[0].AsString()
			if !filepath.IsAbs(path) {
				path = filepath.Join(dir, path)
			}
			text, err := readText(path)
			if err != nil {
				return cty.NilVal, &callError{
					"File not readable",
					fmt.Sprintf("file could not read the file: %v. A relative path starts at the folder of the configuration file.", err),
				}
			}
			if line, ended := strings.CutSuffix(text, "\n"); ended {
				text = strings.TrimSuffix(line, "\r")
			}
			s.read = append(s.read, text)
			return cty.StringVal(text), nil
		},
	})
}

// readText reads a file for file(). Its errors do not name the path, which may have come out of the environment.
func readText(path string) (string, error) {
	// Asked before it is opened, since opening a named pipe waits for a writer.
	info, err := os.Stat(path)
	if err != nil {
		return "", withoutPath(err)
	}
	if !info.Mode().IsRegular() {
		return "", errors.New("it is not a regular file")
	}
	f, err := os.Open(path)
	if err != nil {
		return "", withoutPath(err)
	}
	defer func() { _ = f.Close() }()
	data, err := io.ReadAll(io.LimitReader(f, maxFileBytes+1))
	switch {
	case err != nil:
		return "", errors.New("reading it failed")
	case len(data) > maxFileBytes:
		return "", fmt.Errorf("it is larger than %d bytes", maxFileBytes)
	case !utf8.Valid(data):
		return "", errors.New("it is not UTF-8 text")
	}
	return string(data), nil
}

// withoutPath returns what an error of package os says of a file, without the file's path.
func withoutPath(err error) error {
	var pathErr *os.PathError
	if errors.As(err, &pathErr) {
		return pathErr.Err
	}
	return err
}

// hostnameFunction is hostname(): the name of this machine.
var hostnameFunction = function.New(&function.Spec{
	Type: function.StaticReturnType(cty.String),
	Impl: func([]cty.Value, cty.Type) (cty.Value, error) {
		name, err := os.Hostname()
		if err != nil {
			return cty.NilVal, &callError{"Host with no name", "This machine does not tell its name. Write a name in place of hostname()."}
		}
		return cty.StringVal(name), nil
	},
})
