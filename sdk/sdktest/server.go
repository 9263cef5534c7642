package sdktest

import (
	"context"
	"encoding/json"
	"net"
	"testing"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/test/bufconn"

	"github.com/podrunner/runner/sdk"
	"github.com/podrunner/runner/sdk/internal/inside"
	pluginv1 "github.com/podrunner/runner/sdk/proto/runner/plugin/v1"
	"github.com/podrunner/runner/sdk/protocol"
)

// serve starts a plugin in this process and configures it.
func serve(t testing.TB, plugin sdk.Plugin, config map[string]any) *grpc.ClientConn {
	t.Helper()
	conn := dial(t, plugin)
	client := pluginv1.NewPluginClient(conn)
	response, err := client.Configure(t.Context(), &pluginv1.ConfigureRequest{ConfigJson: configJSON(t, config), RunnerName: "sdktest"})
	if err != nil {
		t.Fatalf("sdktest: configure plugin %s: %v", plugin.Name, err)
	}
	for _, d := range diagnosticsOf(response.Diagnostics) {
		if d.Severity == "error" {
			t.Fatalf("sdktest: plugin %s refuses its configuration: at %q: %s: %s", plugin.Name, d.Path, d.Summary, d.Detail)
		}
		t.Logf("sdktest: plugin %s warns: at %q: %s: %s", plugin.Name, d.Path, d.Summary, d.Detail)
	}
	t.Cleanup(func() {
		// The test's own context has ended by now.
		if _, err := client.Shutdown(context.Background(), &pluginv1.ShutdownRequest{}); err != nil {
			t.Errorf("sdktest: shut plugin %s down: %v", plugin.Name, err)
		}
	})
	return conn
}

// dial starts a plugin in this process. Both ends are closed when the test is over.
func dial(t testing.TB, plugin sdk.Plugin) *grpc.ClientConn {
	t.Helper()
	server, err := inside.NewServer(plugin, hclog.New(&hclog.LoggerOptions{Name: plugin.Name, Level: hclog.Trace, Output: t.Output()}))
	if err != nil {
		t.Fatalf("sdktest: %v", err)
	}
	listener := bufconn.Listen(protocol.StreamWindowBytes)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	options := append(protocol.DialOptions(), grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
		return listener.DialContext(ctx)
	}))
	conn, err := grpc.NewClient("passthrough:///sdktest", options...)
	if err != nil {
		t.Fatalf("sdktest: %v", err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		server.GracefulStop()
		if err := <-served; err != nil {
			t.Errorf("sdktest: serve: %v", err)
		}
	})
	return conn
}

func configJSON(t testing.TB, config map[string]any) []byte {
	t.Helper()
	if config == nil {
		config = map[string]any{}
	}
	data, err := json.Marshal(config)
	if err != nil {
		t.Fatalf("sdktest: Config: %v", err)
	}
	return data
}
