package spool

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
	"unicode/utf8"
)

// Exit is how a step ended: the evidence that its result rests on.
type Exit struct {
	// Code is the exit code; 128 and the signal's number when a signal ended the command.
	Code int `json:"code"`
	// Signal that ended the command; 0 for none.
	Signal int `json:"signal,omitempty"`
	// Tally of all records of the spool. The writer fills it in.
	Tally
	// UserTime and SystemTime are the CPU time of the command and of all its descendants.
	UserTime   time.Duration `json:"user_ns"`
	SystemTime time.Duration `json:"system_ns"`
	// PeakRSS is the largest resident set of any one of these processes, in bytes.
	PeakRSS int64 `json:"peak_rss"`
	// PeakMemory is the most memory, in bytes, that the step's container used, MemoryLimit what it may use, and OOMKills how
	// often the kernel killed a process in it for lack of memory. All are 0 where there is no container, or it does not say.
	PeakMemory  int64 `json:"peak_memory,omitempty"`
	MemoryLimit int64 `json:"memory_limit,omitempty"`
	OOMKills    int64 `json:"oom_kills,omitempty"`
	// Started and Finished bound the life of the command. Started is zero when it could not be started.
	Started  time.Time `json:"started"`
	Finished time.Time `json:"finished"`
	// Asked is when the command was asked to end, by TERM or by a helper; zero when it was not.
	Asked time.Time `json:"asked,omitzero"`
	// Failure says what kept the command from running to its own end; empty when nothing did.
	Failure Failure `json:"failure,omitempty"`
	// Error tells more about Failure, for people.
	Error string `json:"error,omitempty"`
}

// Failure is a word for what went wrong beside the command itself.
type Failure string

// The failures.
const (
	// FailureStart: the command could not be started.
	FailureStart Failure = "start"
	// FailureSpool: the output could not be written to the spool, and the command was ended.
	FailureSpool Failure = "spool"
)

// maxErrorBytes bounds Error, so that an exit record always fits its frame.
const maxErrorBytes = 4 << 10

func encodeExit(e Exit) ([]byte, error) {
	if len(e.Error) > maxErrorBytes {
		n := maxErrorBytes
		for n > maxErrorBytes-utf8.UTFMax && !utf8.RuneStart(e.Error[n]) {
			n--
		}
		e.Error = e.Error[:n]
	}
	text, err := json.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("encode exit record: %w", err)
	}
	return text, nil
}

func decodeExit(text []byte) (Exit, error) {
	var e Exit
	if err := json.Unmarshal(text, &e); err != nil {
		return Exit{}, fmt.Errorf("the exit record can't be read: %w", err)
	}
	return e, nil
}

// ReadExit returns the exit record of the spool in dir, without reading more than the last segment. The error is ErrNoExit
// when there is none.
func ReadExit(dir string) (Exit, error) {
	firsts, err := segments(dir)
	if err != nil {
		return Exit{}, err
	}
	if len(firsts) == 0 {
		return Exit{}, ErrNoExit
	}
	f, _, err := openSegment(dir, firsts[len(firsts)-1], os.O_RDONLY)
	if err != nil {
		return Exit{}, err
	}
	defer func() { _ = f.Close() }()
	exit := Exit{}
	end, err := scan(f, func(fr frame) error {
		if fr.flags&flagExit == 0 {
			return nil
		}
		exit, err = decodeExit(fr.text)
		return errors.Join(err, io.EOF)
	})
	switch {
	case err == nil:
		return Exit{}, ErrNoExit
	case errors.Is(err, io.EOF) && !exit.Finished.IsZero():
		return exit, nil
	}
	return Exit{}, &CorruptError{Path: f.Name(), Offset: end, Reason: err.Error()}
}

// scan calls yield with each whole frame from the file's position on, until it returns an error. It returns the offset
// behind the last frame that was good. A torn frame at the end is no error.
func scan(f *os.File, yield func(frame) error) (int64, error) {
	end, err := f.Seek(0, io.SeekCurrent)
	if err != nil {
		return 0, fmt.Errorf("read spool segment: %w", err)
	}
	buf, have := make([]byte, readBytes), 0
	for {
		n, err := f.Read(buf[have:])
		have += n
		used := 0
		for {
			fr, size, derr := decodeFrame(buf[used:have])
			if errors.Is(derr, errShort) {
				break
			}
			if derr != nil {
				return end, derr
			}
			if err := yield(fr); err != nil {
				return end, err
			}
			used += size
			end += int64(size)
		}
		have = copy(buf, buf[used:have])
		if errors.Is(err, io.EOF) {
			return end, nil
		}
		if err != nil {
			return end, fmt.Errorf("read spool segment: %w", err)
		}
	}
}
