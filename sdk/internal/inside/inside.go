// Package inside lets package sdktest reach what package sdk does not export.
package inside

import (
	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"
)

// NewServer returns a gRPC server that serves a plugin, an sdk.Plugin, as its process does. Package sdk sets it.
var NewServer func(plugin any, logger hclog.Logger) (*grpc.Server, error)
