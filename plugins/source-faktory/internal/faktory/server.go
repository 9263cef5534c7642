package faktory

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"
)

// DefaultURL is where a server is looked for when nobody says otherwise.
const DefaultURL = "tcp://localhost:7419"

// defaultPort is the port of a URL that has none.
const defaultPort = "7419"

// Server is where a Faktory server is, and how one gets in.
type Server struct {
	// Address is host:port.
	Address string
	// TLS is nil for a plain connection.
	TLS            *tls.Config
	User, Password string
	// DialTimeout bounds the connection with its handshake, CommandTimeout the answer to any command.
	DialTimeout, CommandTimeout time.Duration
}

// ParseURL reads tcp://user:password@host:port or tcp+tls://…. Its errors do not show the URL, which holds a password.
func ParseURL(text string) (*Server, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return nil, errors.New("it is not a URL such as tcp://:password@host:7419; characters of a password that have a meaning in URLs are written as %XX")
	case u.Scheme != "tcp" && u.Scheme != "tcp+tls":
		return nil, errors.New(`its scheme is not "tcp" or "tcp+tls"`)
	case u.Hostname() == "":
		return nil, errors.New("it has no host")
	case strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("it has something after the port; a Faktory URL ends there")
	}
	s := &Server{Address: net.JoinHostPort(u.Hostname(), u.Port())}
	if u.Port() == "" {
		s.Address = net.JoinHostPort(u.Hostname(), defaultPort)
	}
	if u.User != nil {
		s.User = u.User.Username()
		s.Password, _ = u.User.Password()
	}
	if u.Scheme == "tcp+tls" {
		s.TLS = &tls.Config{MinVersion: tls.VersionTLS12, ServerName: u.Hostname()}
	}
	return s, nil
}

// Variables that say where the server is.
const (
	EnvProvider = "FAKTORY_PROVIDER"
	EnvURL      = "FAKTORY_URL"
)

// EnvironmentURL finds the server's URL as every Faktory program does: FAKTORY_PROVIDER names the variable that holds
// it, else FAKTORY_URL does, else it is DefaultURL. A provider's variable that is not set is passed over, since a job is
// given the provider's name but not its variable. from says where the URL comes from, for people.
func EnvironmentURL(lookup func(name string) (string, bool)) (text, from string, err error) {
	if provider, ok := lookup(EnvProvider); ok && provider != "" {
		if strings.Contains(provider, ":") {
			return "", "", fmt.Errorf("the variable %s holds a URL; it has to hold the name of the variable with the URL", EnvProvider)
		}
		if text, ok := lookup(provider); ok && text != "" {
			return text, "the variable " + provider, nil
		}
	}
	if text, ok := lookup(EnvURL); ok && text != "" {
		return text, "the variable " + EnvURL, nil
	}
	return DefaultURL, "the default", nil
}
