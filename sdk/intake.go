package sdk

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	pluginv1 "github.com/podrunner/runner/sdk/proto/runner/plugin/v1"
	"github.com/podrunner/runner/sdk/protocol"
)

// errIntakeOver says that core takes no more jobs on this stream.
var errIntakeOver = errors.New("core takes no more jobs on this stream")

// Intake is where a source hands its jobs to core. Its methods are safe for concurrent use.
type Intake struct {
	runner      string
	concurrency int
	running     []JobKey
	send        func(*pluginv1.JobsResponse) error
	// stream is the number of the stream among those that offers knows.
	offers *offers
	stream uint64

	mu sync.Mutex
	// slots of the latest Credit were granted when core had seen seen offers; made offers have been sent since the start.
	slots, seen, made uint64
	// credit is the number of that Credit, open the claims that have not ended, the oldest first.
	credit uint64
	open   []*Claim
	over   bool
	// changed is closed and made anew when a claim may have become possible.
	changed chan struct{}
}

func newIntake(hello *pluginv1.JobsRequest_Hello, offers *offers, send func(*pluginv1.JobsResponse) error) *Intake {
	in := &Intake{runner: hello.GetRunner(), concurrency: int(hello.GetConcurrency()), send: send, offers: offers, changed: make(chan struct{})}
	for _, key := range hello.GetRunning() {
		in.running = append(in.running, keyOf(key))
	}
	in.stream = offers.opened(in.running)
	return in
}

// Runner is the name of the runner.
func (in *Intake) Runner() string { return in.runner }

// Concurrency is how many jobs of this source the runner runs at once, at most.
func (in *Intake) Concurrency() int { return in.concurrency }

// Running are the jobs that core was running already when the stream began. They are not to be offered again.
func (in *Intake) Running() []JobKey { return slices.Clone(in.running) }

// Claim waits until core has a slot for one more job, and keeps it for the caller, who ends the claim with
// [Claim.Offer] or [Claim.Drop]. A source claims before it takes a job from its remote system, never after. The error says that ctx has ended.
func (in *Intake) Claim(ctx context.Context) (*Claim, error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, err // also when there is a slot: a loop of claims ends
		}
		in.mu.Lock()
		if in.over {
			in.mu.Unlock()
			return nil, errIntakeOver
		}
		if in.promised() < in.seen+in.slots {
			claim := &Claim{in: in, revoked: make(chan struct{})}
			in.open = append(in.open, claim)
			in.mu.Unlock()
			return claim, nil
		}
		changed := in.changed
		in.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// Cancel asks core to end a job.
func (in *Intake) Cancel(job JobKey, message string) {
	in.tell(&pluginv1.JobsResponse{Message: &pluginv1.JobsResponse_Cancel_{
		Cancel: &pluginv1.JobsResponse_Cancel{Job: keyTo(job), Message: utf8Of(message)},
	}})
}

// Connected says that the remote system can be reached.
func (in *Intake) Connected() { in.status(true, "") }

// Disconnected says that the remote system can't be reached, and why. The message holds no sensitive value.
func (in *Intake) Disconnected(message string) { in.status(false, message) }

// Drain says that the remote system wants this runner to go: core claims nothing more, finishes what it runs for this
// source, and ends when all its sources are drained. ctx of Take ends after that.
func (in *Intake) Drain(message string) {
	in.tell(&pluginv1.JobsResponse{Message: &pluginv1.JobsResponse_Drain_{
		Drain: &pluginv1.JobsResponse_Drain{Message: utf8Of(message)},
	}})
}

// Count adds n to a counter among core's metrics. The name is made of lower-case letters, digits and underscores; 0 makes
// the counter known.
func (in *Intake) Count(name string, n uint64) {
	in.tell(&pluginv1.JobsResponse{Message: &pluginv1.JobsResponse_Count_{
		Count: &pluginv1.JobsResponse_Count{Name: utf8Of(name), Add: n},
	}})
}

func (in *Intake) status(connected bool, message string) {
	in.tell(&pluginv1.JobsResponse{Message: &pluginv1.JobsResponse_Status_{
		Status: &pluginv1.JobsResponse_Status{Connected: connected, Message: utf8Of(message)},
	}})
}

// tell sends what is of no use once the stream has broken.
func (in *Intake) tell(message *pluginv1.JobsResponse) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if !in.over {
		_ = in.send(message)
	}
}

// grant takes over what core grants, and answers with the claims.
func (in *Intake) grant(c *pluginv1.JobsRequest_Credit) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.slots, in.seen, in.credit = uint64(c.GetSlots()), c.GetOffersSeen(), c.GetNumber()
	if err := in.offerAgain(); err != nil {
		return err
	}
	in.wake()
	if c.GetDraining() {
		for i := len(in.open) - 1; i >= 0 && in.made+uint64(i) >= in.seen+in.slots; i-- {
			in.open[i].revoke()
		}
	}
	return in.claims()
}

// offerAgain makes the offers that an earlier stream has lost, as far as there are slots. They come before all claims: these
// jobs are nobody's. Callers hold mu.
func (in *Intake) offerAgain() error {
	for !in.over && in.promised() < in.seen+in.slots {
		lost := in.offers.again(in.stream)
		if lost == nil {
			return nil
		}
		if err := in.send(lost.message); err != nil {
			return err // the next stream has it
		}
		in.made++
	}
	return nil
}

// promised is how many offers have been made or may still be. Callers hold mu.
func (in *Intake) promised() uint64 { return in.made + uint64(len(in.open)) }

// claims tells core of them. Callers hold mu, so that messages come in the order of what they tell.
func (in *Intake) claims() error {
	return in.send(&pluginv1.JobsResponse{Message: &pluginv1.JobsResponse_Claims_{
		Claims: &pluginv1.JobsResponse_Claims{Credit: in.credit, OffersMade: in.made, Open: uint32(len(in.open))},
	}})
}

// wake lets those who wait for a claim look again. Callers hold mu.
func (in *Intake) wake() {
	close(in.changed)
	in.changed = make(chan struct{})
}

// end makes all claims fail.
func (in *Intake) end() {
	in.mu.Lock()
	defer in.mu.Unlock()
	if !in.over {
		in.over = true
		in.wake()
	}
}

// Claim is a slot that core keeps for a job. It is for one goroutine at a time.
type Claim struct {
	in      *Intake
	done    bool
	revoked chan struct{}
}

// Revoked is closed when core takes no more jobs and waits for the claim. It still holds: a
// source that waits for its remote system's answer, and may break that off with no job lost, does so and drops the
// claim; any other goes on.
func (c *Claim) Revoked() <-chan struct{} { return c.revoked }

// ErrRevoked is why the context of a claim has ended, see [Claim.Context].
var ErrRevoked = errors.New("core takes no more jobs, and waits for the claim")

// Context is the context for asking the remote system for a job. The end of ctx does not end it: an answer that is on its
// way may hold a job. It ends, with the cause [ErrRevoked], when the claim has been revoked and patience is over as well. The
// caller calls release when it has the answer.
func (c *Claim) Context(ctx context.Context, patience time.Duration) (asking context.Context, release func()) {
	asking, end := context.WithCancelCause(context.WithoutCancel(ctx))
	go func() {
		select {
		case <-c.revoked:
		case <-asking.Done():
			return
		}
		if Pause(asking, patience) {
			end(ErrRevoked)
		}
	}()
	return asking, func() { end(nil) }
}

// revoke closes revoked, once. Callers hold mu, as with end.
func (c *Claim) revoke() {
	select {
	case <-c.revoked:
	default:
		close(c.revoked)
	}
}

// end takes the claim out.
func (c *Claim) end() {
	c.done = true
	c.in.open = slices.DeleteFunc(c.in.open, func(o *Claim) bool { return o == c })
}

// ErrUnsendable is why core does not take a job that it would not take later, either: it is too large, or its texts are not
// UTF-8, or it has no id.
var ErrUnsendable = errors.New("the job can't be sent to core")

// Offer hands a job to core, and ends the claim. The error says that core does not have it: the stream has broken or the
// job is none that can be sent, see [ErrUnsendable], and the source gives the job back to its remote system. What core makes of the job comes by other ways: [JobSource.Released], or Report.
// An offer that is lost because the stream breaks behind it is made again by this package, with no slot of the source's.
func (c *Claim) Offer(offer Offer) error {
	message, err := offerTo(offer)
	if err != nil {
		c.Drop()
		return err
	}
	in := c.in
	in.mu.Lock()
	defer in.mu.Unlock()
	if c.done {
		return errors.New("the claim has ended already")
	}
	c.end()
	if in.over {
		return errIntakeOver
	}
	made := in.offers.make(keyOf(message.GetOffer().GetJob().GetKey()), offer, message, in.stream)
	if err := in.send(message); err != nil {
		in.offers.unmake(made)
		return fmt.Errorf("offer job %s: %w", offer.Key.ID, err)
	}
	in.made++
	return nil
}

// Drop gives the slot back. After the end of the claim it does nothing.
func (c *Claim) Drop() {
	in := c.in
	in.mu.Lock()
	defer in.mu.Unlock()
	if c.done {
		return
	}
	c.end()
	_ = in.offerAgain() // if the stream has broken, the next one does it
	if in.promised() >= in.seen+in.slots && !in.over {
		_ = in.claims() // it was more than the credit
	}
	in.wake()
}

func keyOf(key *pluginv1.JobKey) JobKey {
	return JobKey{ID: key.GetId(), Attempt: int(key.GetAttempt())}
}

func keyTo(key JobKey) *pluginv1.JobKey {
	return &pluginv1.JobKey{Id: key.ID, Attempt: uint32(max(key.Attempt, 1))} //nolint:gosec // a count of starts
}

// maxHandleBytes is the bound that source.proto sets.
const maxHandleBytes = 4 << 10

func offerTo(o Offer) (*pluginv1.JobsResponse, error) {
	if o.Key.ID == "" {
		return nil, fmt.Errorf("%w: it has no id", ErrUnsendable)
	}
	if len(o.Handle) > maxHandleBytes {
		return nil, fmt.Errorf("job %q: %w: its handle has %d bytes, and may have %d", o.Key.ID, ErrUnsendable, len(o.Handle), maxHandleBytes)
	}
	j := &pluginv1.Job{
		Key: keyTo(o.Key), Number: o.Number, Image: o.Image, Commands: o.Commands,
		InitImage: o.InitImage, InitCommands: o.InitCommands, Labels: o.Labels, Handle: o.Handle,
	}
	for _, v := range o.Variables {
		j.Variables = append(j.Variables, &pluginv1.JobVariable{Key: v.Key, Value: v.Value, Sensitive: v.Sensitive, Scope: v.Scope})
	}
	for _, f := range o.Files {
		j.Files = append(j.Files, &pluginv1.JobFile{Name: f.Name, Contents: f.Contents})
	}
	offer := &pluginv1.JobsResponse_Offer{Job: j}
	if o.Lease > 0 {
		offer.Lease = durationpb.New(o.Lease)
	}
	if !o.Deadline.IsZero() {
		offer.Deadline = timestamppb.New(o.Deadline)
	}
	message := &pluginv1.JobsResponse{Message: &pluginv1.JobsResponse_Offer_{Offer: offer}}
	return message, sendable(o.Key.ID, message)
}

// sendable says why a job is none that can be sent. To try it would break the stream, and with it all other jobs' way.
func sendable(id string, message *pluginv1.JobsResponse) error {
	data, err := proto.Marshal(message)
	switch {
	case err != nil:
		return fmt.Errorf("job %q: %w: one of its texts is not UTF-8", id, ErrUnsendable)
	case len(data) > protocol.MaxMessageBytes:
		return fmt.Errorf("job %q: %w: it has %d bytes, and may have %d", id, ErrUnsendable, len(data), protocol.MaxMessageBytes)
	}
	return nil
}
