package sdk

import (
	"context"
	"runtime/debug"
	"sync"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// maxStackBytes bounds the stack in the log line of a panic.
const maxStackBytes = 8 << 10

// options are the server's interceptors. A panic of the author's code ends the call in which it happens and no other:
// other jobs have values of their own. What panics in a goroutine that the author has started ends the process.
func (s *server) options() []grpc.ServerOption {
	var first sync.Once
	return []grpc.ServerOption{
		grpc.UnaryInterceptor(func(ctx context.Context, r any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (_ any, err error) {
			first.Do(s.started)
			defer s.recover(info.FullMethod, &err)
			return handler(ctx, r)
		}),
		grpc.StreamInterceptor(func(server any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) (err error) {
			first.Do(s.started)
			defer s.recover(info.FullMethod, &err)
			return handler(server, stream)
		}),
	}
}

// recover, deferred, makes a panic the error of the call.
func (s *server) recover(method string, err *error) {
	p := recover()
	if p == nil {
		return
	}
	*err = panicked(s.logger, method, p)
}

// panicked logs a panic and returns it as an error.
func panicked(logger hclog.Logger, method string, p any) error {
	stack := debug.Stack()
	logger.Error("panic", "method", method, "panic", p, "stack", string(stack[:min(len(stack), maxStackBytes)]))
	return status.Errorf(codes.Internal, "panic: %v", p)
}
