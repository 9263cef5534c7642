package pluginhost

import (
	"encoding/json"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"

	"github.com/podrunner/runner/sdk/protocol"
)

// EnvDev names plugins that are being developed, and their programs: "name=path,…". They are used in place of those in
// the directories, and no checksum is asked of them.
const EnvDev = "RUNNER_DEV_PLUGINS"

// reattachment is where a plugin listens that a developer runs. It is the part that we need of go-plugin's
// configuration for reattaching, which a plugin prints when it is started with --debug.
type reattachment struct {
	Protocol        string
	ProtocolVersion int
	Test            bool
	Addr            struct {
		Network string
		String  string
	}
}

// parseOverrides reads the two environment variables, and warns of what they say: they are not for production.
func (h *Host) parseOverrides() error {
	var err error
	if h.dev, err = parseDev(lookupEnv(h.environ, EnvDev)); err != nil {
		return err
	}
	if h.reattach, err = parseReattach(lookupEnv(h.environ, protocol.EnvReattach)); err != nil {
		return err
	}
	for _, name := range sortedKeys(h.dev) {
		h.logger.Warn("a plugin is overridden for development; its checksum is not checked",
			"plugin", name, "path", h.dev[name], "by", EnvDev)
	}
	for _, name := range sortedKeys(h.reattach) {
		h.logger.Warn("a plugin is not started but taken as it runs; it is neither checked, restarted nor stopped",
			"plugin", name, "address", h.reattach[name].Addr.String, "by", protocol.EnvReattach)
	}
	return nil
}

func parseDev(text string) (map[string]string, error) {
	out := map[string]string{}
	for item := range strings.SplitSeq(text, ",") {
		if item = strings.TrimSpace(item); item == "" {
			continue
		}
		name, path, ok := strings.Cut(item, "=")
		if !ok || !pluginName.MatchString(name) || path == "" {
			return nil, badVariable(EnvDev, fmt.Sprintf("holds %q", item), "It is a list of name=path, separated by commas.")
		}
		abs, err := filepath.Abs(path)
		if err != nil {
			return nil, fmt.Errorf("making %q in %s absolute: %w", path, EnvDev, err)
		}
		out[name] = abs
	}
	return out, nil
}

func parseReattach(text string) (map[string]reattachment, error) {
	out := map[string]reattachment{}
	if strings.TrimSpace(text) == "" {
		return out, nil
	}
	const advice = "Start the plugin with --debug and use what it prints."
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		return nil, badVariable(protocol.EnvReattach, "is no JSON of the right form: "+err.Error(), advice)
	}
	for name, at := range out {
		switch {
		case at.Protocol != "grpc" || at.ProtocolVersion != protocol.Version:
			return nil, badVariable(protocol.EnvReattach, fmt.Sprintf("has protocol %q, version %d, for %q; this core speaks grpc, version %d",
				at.Protocol, at.ProtocolVersion, name, protocol.Version), advice)
		case !at.Test:
			return nil, badVariable(protocol.EnvReattach, fmt.Sprintf(`has no "Test": true for %q`, name), advice)
		}
		if _, err := at.addr(); err != nil {
			return nil, badVariable(protocol.EnvReattach, fmt.Sprintf("has no good address for %q: %v", name, err), advice)
		}
	}
	return out, nil
}

func (r reattachment) addr() (net.Addr, error) {
	switch r.Addr.Network {
	case "unix":
		return net.ResolveUnixAddr("unix", r.Addr.String)
	case "tcp":
		return net.ResolveTCPAddr("tcp", r.Addr.String)
	default:
		return nil, fmt.Errorf("network %q is neither unix nor tcp", r.Addr.Network)
	}
}

func badVariable(name, detail, advice string) *Error {
	return &Error{Plugin: "variable " + name, Reason: BadSettings, Detail: detail, Advice: advice}
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
