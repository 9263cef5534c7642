package pluginhost

import (
	"bytes"
	"fmt"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"github.com/hashicorp/go-plugin"

	"github.com/podrunner/runner/sdk/protocol"
)

// handshake is the line that a plugin prints when it is ready:
//
//	1|1|unix|/tmp/rnr-1/plugin-dir2/plugin3|grpc|
//
// go-plugin's own protocol version, the version of the application's protocol, network, address, transport, certificate.
type handshake struct {
	core, version    int
	network, address string
	transport        string
	certificate      string
}

// parseHandshake reports whether a line looks like a handshake, whatever it says.
func parseHandshake(line []byte) (handshake, bool) {
	fields := strings.Split(string(bytes.TrimSpace(line)), "|")
	if len(fields) < 4 || (fields[2] != "unix" && fields[2] != "tcp") {
		return handshake{}, false
	}
	core, err := strconv.Atoi(fields[0])
	if err != nil {
		return handshake{}, false
	}
	version, err := strconv.Atoi(fields[1])
	if err != nil {
		return handshake{}, false
	}
	h := handshake{core: core, version: version, network: fields[2], address: fields[3], transport: "netrpc"}
	if len(fields) > 4 {
		h.transport = fields[4]
	}
	if len(fields) > 5 {
		h.certificate = fields[5]
	}
	return h, true
}

// check says why core can't talk to a plugin that prints this. It is done here, and not in go-plugin, whose errors are
// texts only and which breaks at a certificate that nobody has asked for.
func (h handshake) check(title string) error {
	const rebuild = "Build the plugin with the SDK of this core, or use a core of the plugin's age."
	wrong := func(format string, args ...any) error {
		return &Error{Plugin: title, Reason: WrongProtocol, Detail: fmt.Sprintf(format, args...), Advice: rebuild}
	}
	switch {
	case h.core != plugin.CoreProtocolVersion:
		return wrong("speaks version %d of go-plugin's own protocol; this core speaks version %d", h.core, plugin.CoreProtocolVersion)
	case h.version != protocol.Version:
		return wrong("speaks version %d of the plugin protocol; this core speaks version %d", h.version, protocol.Version)
	case h.transport != string(plugin.ProtocolGRPC):
		return wrong("speaks %s; this core speaks grpc", printable(h.transport))
	case h.certificate != "":
		return wrong("asks for TLS, which this core does not use on its own machine")
	case h.network != "unix" && runtime.GOOS != "windows":
		// Anyone on the machine could connect to a port, and read what core sends.
		return wrong("listens on %s; this core uses Unix sockets only", h.network)
	case h.network == "unix" && !filepath.IsAbs(h.address):
		return wrong("listens on %q, which is no absolute path", h.address)
	}
	return nil
}

// line returns the handshake as go-plugin is to read it, with nothing that check has not seen.
func (h handshake) line() string {
	return fmt.Sprintf("%d|%d|%s|%s|%s\n", h.core, h.version, h.network, h.address, h.transport)
}
