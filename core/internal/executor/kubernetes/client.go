package kubernetes

import (
	"fmt"

	"github.com/hashicorp/go-hclog"
	"k8s.io/client-go/kubernetes"

	"github.com/podrunner/runner/core/internal/config"
)

// Client is a way to a cluster for what is no job of a pipeline's.
type Client struct {
	kubernetes.Interface

	access *access
}

// NewClient finds a cluster by the rules that hold for jobs, and makes no call to it. The error says what keeps core from
// it, and what to do. The settings of the block kubernetes that are not about the way to the cluster are not looked at.
func NewClient(s config.Kubernetes, log hclog.Logger) (*Client, error) {
	access, err := findAccess(s, log)
	if err != nil {
		return nil, err
	}
	client, err := kubernetes.NewForConfigAndClient(access.config, access.http)
	if err != nil {
		return nil, fmt.Errorf("make a client for %s: %w", access, err)
	}
	return &Client{Interface: client, access: access}, nil
}

// Close closes the connections that are not in use.
func (c *Client) Close() { c.access.http.CloseIdleConnections() }
