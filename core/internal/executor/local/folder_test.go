//go:build linux

package local

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestNoFolderForTemporaryFiles(t *testing.T) {
	t.Parallel()
	_, err := New(Options{Helper: helperPath, TempDir: filepath.Join(t.TempDir(), "gone")})
	if err == nil || !strings.Contains(err.Error(), "set TMPDIR") {
		t.Errorf("the error %v does not say what to do", err)
	}
}
