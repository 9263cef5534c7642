package sdk_test

import (
	"fmt"
	"os"
	"runtime"
	"testing"

	"go.uber.org/goleak"

	"github.com/podrunner/runner/sdk"
)

func TestMain(m *testing.M) {
	if name := os.Getenv(servedPlugin); name != "" {
		sdk.Serve(plugins[name])
	}
	goleak.VerifyTestMain(m)
}

// fatal is a testing.TB whose failure is what the test looks at.
type fatal struct {
	testing.TB
	message string
}

func (f *fatal) Helper() {}

func (f *fatal) Fatalf(format string, args ...any) {
	f.message = fmt.Sprintf(format, args...)
	runtime.Goexit()
}
