package main

import (
	"context"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pluginv1 "github.com/podrunner/runner/sdk/proto/runner/plugin/v1"
)

// source is a source that has no jobs.
type source struct {
	pluginv1.UnimplementedSourceServer
	mode string
}

// Scale wishes for as many more runners as each has slots. Without slots it fails.
func (s *source) Scale(_ context.Context, r *pluginv1.ScaleRequest) (*pluginv1.ScaleResponse, error) {
	switch {
	case s.mode != "scales":
		return nil, status.Error(codes.Unimplemented, "no opinion")
	case r.GetConcurrency() == 0:
		return nil, status.Error(codes.Unknown, "the queue is away")
	}
	return &pluginv1.ScaleResponse{RecommendedReplicas: r.GetCurrentReplicas() + r.GetConcurrency()}, nil
}
