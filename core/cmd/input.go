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
	done := make(chan outcome, 1)
	go func() {
		n, err := in.reader.Read(p)
		done <- outcome{n, err}
	}()
	select {
	case o := <-done:
		return o.n, o.err
	case <-in.ctx.Done():
		return 0, context.Cause(in.ctx)
	}
}

// errInterrupted is the end of a command that was told to end before it had done its work.
var errInterrupted = &exitError{code: exitJobFailed, err: errors.New("interrupted before it was done")}

// open opens a file to be read, "-" being standard input. what names the file's part in the command for people.
func (a *app) open(ctx context.Context, what, path string) (io.ReadCloser, error) {
	if path == "-" {
		return io.NopCloser(input{ctx, a.in}), nil
	}
	file, err := os.Open(path)
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
