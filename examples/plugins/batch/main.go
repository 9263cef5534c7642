// Runner-source-batch runs the jobs of a file, one JSON object a line, and writes their logs and results into a folder.
// When the last one is over, the runner ends.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"

	"github.com/podrunner/runner/sdk"
)

// config is what config {} may hold.
type config struct {
	Jobs    string `config:"jobs" desc:"File with the jobs, one JSON object a line: id, image, commands, variables."`
	Results string `config:"results" desc:"Folder for logs and results; it has to exist."`
}

// job is a line of the file.
type job struct {
	ID        string            `json:"id"`
	Image     string            `json:"image"`
	Commands  []string          `json:"commands"`
	Variables []sdk.JobVariable `json:"variables"`
}

// goodID keeps ids from being paths: they become names of files.
var goodID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]*$`)

// batch is the source. All that it has to remember is in its files, so it does not matter which process is asked.
type batch struct{ config }

var _ sdk.JobSource = (*batch)(nil)

// Take offers the jobs that have no result yet. Its nil at the end says that there are no more.
func (b *batch) Take(ctx context.Context, in *sdk.Intake) error {
	file, err := os.Open(b.Jobs)
	if err != nil {
		return err
	}
	defer file.Close() //nolint:errcheck // it was only read
	in.Connected()

	running := map[string]bool{}
	for _, key := range in.Running() {
		running[key.ID] = true
	}
	lines := bufio.NewScanner(file)
	for n := 1; lines.Scan(); n++ {
		var j job
		if err := json.Unmarshal(lines.Bytes(), &j); err != nil || !goodID.MatchString(j.ID) {
			sdk.Logger(ctx).Error("no job", "file", b.Jobs, "line", n, "error", err)
			continue
		}
		if _, err := os.Stat(b.result(j.ID)); err == nil || running[j.ID] {
			continue
		}
		claim, err := in.Claim(ctx)
		if err != nil {
			return err
		}
		offer := sdk.Offer{Key: sdk.JobKey{ID: j.ID, Attempt: 1}, Image: j.Image, Commands: j.Commands, Variables: j.Variables}
		if err := claim.Offer(offer); err != nil {
			return err
		}
	}
	return lines.Err()
}

// Released has nothing to do: a job without a result is offered again when the runner starts anew.
func (b *batch) Released(context.Context, sdk.Release) error { return nil }

// AppendLogs writes lines to where they belong. They may come again, because core did not hear the answer, and then
// replace themselves.
func (b *batch) AppendLogs(_ context.Context, logs sdk.Logs) ([]sdk.RefusedLines, error) {
	path := filepath.Join(b.Results, logs.Job.ID+".log")
	have, err := lineEnds(path)
	if err != nil {
		return nil, err
	}
	before := int(logs.FirstLine) - 1 //nolint:gosec // a number of lines
	if before > len(have) {
		return nil, fmt.Errorf("line %d comes next to line %d", logs.FirstLine, len(have))
	}
	offset := int64(0)
	if before > 0 {
		offset = have[before-1]
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	var text []byte
	for _, line := range logs.Lines {
		text = append(append(text, line...), '\n')
	}
	_, err = file.WriteAt(text, offset)
	return nil, errors.Join(err, file.Close())
}

// Report writes the result, whole or not at all.
func (b *batch) Report(_ context.Context, r sdk.Report) error {
	text, err := json.MarshalIndent(map[string]any{"outcome": r.Outcome, "reason": r.Reason, "message": r.Message}, "", "  ")
	if err != nil {
		return err
	}
	part := b.result(r.Job.ID) + ".part"
	if err := os.WriteFile(part, append(text, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(part, b.result(r.Job.ID))
}

func (b *batch) result(id string) string { return filepath.Join(b.Results, id+".json") }

// lineEnds returns the offset behind each line of a file.
func lineEnds(path string) (ends []int64, err error) {
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for i, c := range text {
		if c == '\n' {
			ends = append(ends, int64(i+1))
		}
	}
	return ends, nil
}

var plugin = sdk.Plugin{
	Name:        "batch",
	Version:     "0.1.0",
	Description: "Runs the jobs of a file, and ends.",
	Source: sdk.Jobs(func(_ context.Context, _ string, c config) (*batch, error) {
		return &batch{c}, nil
	}),
}

func main() { sdk.Serve(plugin) }
