package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// input is a reader that core can stop waiting for: a terminal or a pipe may never have anything to say. A Read that is
// left when ctx ends keeps its buffer until it returns, so after that error the buffer must not be used again.
type input struct {
	ctx    context.Context
	reader io.Reader
}

func (in input) Read(p []byte) (int, error) {
	type outcome struct {
		n   int
		err error
	}
	o, err := await(in.ctx, func() outcome {
		n, err := in.reader.Read(p)
		return outcome{n, err}
	})
	if err != nil {
		return 0, err
	}
	return o.n, o.err
}

// await returns what f returns, or the cause of ctx's end if that comes first. Then f goes on, and nobody gets what it returns:
// it may wait for ever, as for somebody who writes to a named pipe.
func await[T any](ctx context.Context, f func() T) (T, error) {
	done := make(chan T, 1)
	go func() { done <- f() }()
	select {
	case v := <-done:
		return v, nil
	case <-ctx.Done():
		var none T
		return none, context.Cause(ctx)
	}
}

// errInterrupted is the end of a command that was told to end before it had done its work.
var errInterrupted = &exitError{code: exitJobFailed, err: errors.New("interrupted before it was done")}

// open opens a file to be read, "-" being standard input. what names the file's part in the command for people.
func (a *app) open(ctx context.Context, what, path string) (io.ReadCloser, error) {
	if path == "-" {
		return io.NopCloser(input{ctx, a.in}), nil
	}
	type opened struct {
		file *os.File
		err  error
	}
	o, interrupted := await(ctx, func() opened {
		file, err := os.Open(path)
		return opened{file, err}
	})
	if interrupted != nil {
		return nil, errInterrupted
	}
	file, err := o.file, o.err
	if errors.Is(err, fs.ErrNotExist) {
		return nil, usageError(fmt.Errorf("there is no file %s: name the %s, or use - to read it from standard input", path, what))
	}
	if err != nil {
		return nil, usageError(fmt.Errorf("read the %s: %w", what, err))
	}
	info, err := file.Stat()
	if err == nil && info.IsDir() {
		err = fmt.Errorf("%s is a folder: name the %s itself", path, what)
	}
	if err != nil {
		_ = file.Close()
		return nil, usageError(err)
	}
	return struct {
		io.Reader
		io.Closer
	}{input{ctx, file}, file}, nil
}
