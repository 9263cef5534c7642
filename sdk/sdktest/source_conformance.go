package sdktest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pluginv1 "github.com/podrunner/runner/sdk/proto/runner/plugin/v1"
)

// SourceConformance puts a job source's program, in whatever language it is written, through what the protocol asks of
// every source, one subtest for each demand. Of the Binary only Path, Config and Env count. The remote system need not be
// there: the suite takes no jobs, and gives back none.
func SourceConformance(t *testing.T, b Binary) {
	t.Helper()
	for _, c := range sourceChecks {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), checkTimeout)
			defer cancel()
			if err := c.conforms(ctx, b); err != nil {
				t.Errorf("%s: %v", c.demand, err)
			}
		})
	}
}

// sourceChecks are the demands on a source, the simple ones first.
var sourceChecks = []check{
	{"describe", "a plugin says what it is", checkSourceDescribe},
	{"credit", "each Credit is answered with Claims, and nothing is claimed without credit", checkCredit},
	{"end", "when core closes the stream, the source knows what has become of its claims and closes it too", checkStreamEnd},
	{"broken stream", "a stream that breaks is followed by another one", checkBrokenStream},
	{"wrong handle", "a handle that is none of the source's is an error, and not the end of the process", checkWrongHandle},
	{"unknown fields", "fields of a later version of the protocol are ignored", checkSourceUnknownFields},
	{"drain", "a stream that is open goes on after Drain; then comes Shutdown", checkSourceDrain},
	{"lifeline", "the process ends when its standard input ends", checkLifeline},
}

// streamEndTimeout is how long a source may take to know what has become of its claims.
const streamEndTimeout = 30 * time.Second

func checkSourceDescribe(ctx context.Context, s *subject) error {
	traits := s.description.GetSource()
	if err := s.describesItself(ctx, "source", pluginv1.Source_ServiceDesc.ServiceName, traits != nil); err != nil {
		return err
	}
	return checkTrait("scales", traits.GetScales(), func() error {
		_, err := pluginv1.NewSourceClient(s.conn).Scale(ctx, &pluginv1.ScaleRequest{CurrentReplicas: 1, Concurrency: 1})
		return err
	})
}

// checkTrait compares what the source says of itself with what it answers.
func checkTrait(name string, said bool, call func() error) error {
	if implemented := status.Code(call()) != codes.Unimplemented; implemented != said {
		return fmt.Errorf("the trait %q is %v, but the call says the contrary: it is UNIMPLEMENTED just when the trait is false", name, said)
	}
	return nil
}

// jobStream is an open stream of jobs.
type jobStream struct {
	grpc.BidiStreamingClient[pluginv1.JobsRequest, pluginv1.JobsResponse]
	cancel context.CancelFunc
}

// openJobs opens a stream and says Hello.
func (s *subject) openJobs(ctx context.Context) (*jobStream, error) {
	ctx, cancel := context.WithCancel(ctx)
	stream, err := pluginv1.NewSourceClient(s.conn).Jobs(ctx)
	if err != nil {
		cancel()
		return nil, fmt.Errorf("open the stream of jobs: %w", err)
	}
	j := &jobStream{stream, cancel}
	hello := &pluginv1.JobsRequest_Hello{Runner: "sdktest", Concurrency: 1}
	if err := j.Send(&pluginv1.JobsRequest{Message: &pluginv1.JobsRequest_Hello_{Hello: hello}}); err != nil {
		cancel()
		return nil, fmt.Errorf("send Hello: %w", err)
	}
	return j, nil
}

// noCredit grants nothing, and waits for the Claims that answer.
func (j *jobStream) noCredit() error {
	credit := &pluginv1.JobsRequest{Message: &pluginv1.JobsRequest_Credit_{Credit: &pluginv1.JobsRequest_Credit{}}}
	if err := j.Send(credit); err != nil {
		return fmt.Errorf("send Credit: %w", err)
	}
	for {
		response, err := j.Recv()
		if err != nil {
			return fmt.Errorf("wait for Claims, the answer to Credit: %w", err)
		}
		if offer := response.GetOffer(); offer != nil {
			return fmt.Errorf("job %q is offered without credit", offer.GetJob().GetKey().GetId())
		}
		if claims := response.GetClaims(); claims != nil {
			if claims.GetOpen() > 0 || claims.GetOffersMade() > 0 {
				return fmt.Errorf("without credit there are %d claims and %d offers", claims.GetOpen(), claims.GetOffersMade())
			}
			return nil
		}
	}
}

// close ends the stream as core does, and waits for the source's end of it.
func (j *jobStream) close() error {
	defer j.cancel()
	timer := time.AfterFunc(streamEndTimeout, j.cancel)
	defer timer.Stop()
	if err := j.CloseSend(); err != nil {
		return err
	}
	for {
		_, err := j.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("the end of the stream, within %v: %w", streamEndTimeout, err)
		}
	}
}

func checkCredit(ctx context.Context, s *subject) error {
	j, err := s.openJobs(ctx)
	if err != nil {
		return err
	}
	for range 3 {
		if err := j.noCredit(); err != nil {
			j.cancel()
			return err
		}
	}
	return j.close()
}

func checkStreamEnd(ctx context.Context, s *subject) error {
	for range 3 {
		j, err := s.openJobs(ctx)
		if err != nil {
			return err
		}
		if err := j.close(); err != nil {
			return err
		}
	}
	return nil
}

func checkBrokenStream(ctx context.Context, s *subject) error {
	for range 3 {
		j, err := s.openJobs(ctx)
		if err != nil {
			return err
		}
		if err := j.noCredit(); err != nil {
			j.cancel()
			return err
		}
		j.cancel()
	}
	return checkCredit(ctx, s)
}

func checkWrongHandle(ctx context.Context, s *subject) error {
	client := pluginv1.NewSourceClient(s.conn)
	key := &pluginv1.JobKey{Id: "nobody's", Attempt: 1}
	short, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	// What the calls answer is the source's affair; that it can still be asked is not.
	_, _ = client.AppendLogs(short, &pluginv1.AppendLogsRequest{Job: key, Handle: []byte("\xff"), FirstLine: 1, Lines: [][]byte{{0xff}}})
	_, _ = client.Report(short, &pluginv1.ReportRequest{Job: key, Handle: []byte("\xff"), Result: &pluginv1.JobResult{Outcome: "success"}})
	err := checkTrait("resumes", s.description.GetSource().GetResumes(), func() error {
		_, err := client.Resume(short, &pluginv1.ResumeRequest{Job: key, Handle: []byte("\xff")})
		return err
	})
	if err != nil {
		return err
	}
	return checkCredit(ctx, s)
}

func checkSourceUnknownFields(ctx context.Context, s *subject) error {
	j, err := s.openJobs(ctx)
	if err != nil {
		return err
	}
	later := &pluginv1.JobsRequest{} // a message of a kind that this version does not have
	withUnknown(later)
	if err := j.Send(later); err != nil {
		j.cancel()
		return err
	}
	if err := j.noCredit(); err != nil {
		j.cancel()
		return err
	}
	return j.close()
}

func checkSourceDrain(ctx context.Context, s *subject) error {
	client := pluginv1.NewPluginClient(s.conn)
	j, err := s.openJobs(ctx)
	if err != nil {
		return err
	}
	if _, err := client.Drain(ctx, &pluginv1.DrainRequest{}); err != nil {
		j.cancel()
		return fmt.Errorf("drain: %w", err)
	}
	if err := j.noCredit(); err != nil {
		j.cancel()
		return fmt.Errorf("a stream that was open at Drain: %w", err)
	}
	if err := j.close(); err != nil {
		return err
	}
	if _, err := client.Shutdown(ctx, &pluginv1.ShutdownRequest{}); err != nil {
		return fmt.Errorf("shut down: %w", err)
	}
	return nil
}
