package pluginhost

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"

	"github.com/hashicorp/go-hclog"
)

var checksumForm = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

// check says what is wrong with the settings of a plugin.
func (s Settings) check(name string) error {
	title := fmt.Sprintf("plugin %q", name)
	if s.Checksum != "" && !checksumForm.MatchString(s.Checksum) {
		return &Error{
			Plugin: title, Reason: BadSettings, Detail: fmt.Sprintf("has the checksum %q", s.Checksum),
			Advice: `A checksum is "sha256:" and 64 hexadecimal digits in lower case; "core plugins verify" prints it.`,
		}
	}
	for _, env := range s.Env {
		if err := checkGrant(env); err != nil {
			return &Error{Plugin: title, Reason: BadSettings, Detail: "can't be given an environment variable", Err: err}
		}
	}
	if s.LogLevel != "" && hclog.LevelFromString(s.LogLevel) == hclog.NoLevel {
		return &Error{
			Plugin: title, Reason: BadSettings, Detail: fmt.Sprintf("has the log level %q", s.LogLevel),
			Advice: "Levels are trace, debug, info, warn, error and off.",
		}
	}
	return nil
}

// Checksum returns the checksum of a file as it stands in the configuration: "sha256:…".
func Checksum(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = file.Close() }()
	return checksum(file)
}

func checksum(file io.Reader) (string, error) {
	hash := sha256.New()
	if _, err := io.Copy(hash, file); err != nil {
		return "", fmt.Errorf("reading for the checksum: %w", err)
	}
	return "sha256:" + hex.EncodeToString(hash.Sum(nil)), nil
}

// openVerified opens a plugin's program and compares the checksum of what it has opened. The caller executes that very
// file and not the path again, which may lead elsewhere by then.
func openVerified(title, path, want string) (*os.File, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, &Error{
			Plugin: title, Reason: NotExecutable, Detail: "can't be read for its checksum", Err: err,
			Advice: "Try: chmod +r " + path,
		}
	}
	got, err := checksum(file)
	if err == nil && got != want {
		err = &Error{
			Plugin: title, Reason: BadChecksum, Detail: "is not the file that the configuration asks for: " + path,
			Advice: strings.Join([]string{
				"  configured: " + want,
				"  found:      " + got,
				"Install the right file. If this one is right, put its checksum in the configuration.",
			}, "\n"),
		}
	}
	if err != nil {
		_ = file.Close()
		return nil, err
	}
	afterVerify()
	return file, nil
}

// afterVerify is where a test swaps the file.
var afterVerify = func() {}
