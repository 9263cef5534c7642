package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pluginv1 "github.com/podrunner/runner/sdk/proto/runner/plugin/v1"
	"github.com/podrunner/runner/sdk/protocol"
)

// start makes the next process of a plugin, up to its answer to Describe. All errors are *Error, and leave nothing behind.
func (p *Plugin) start(ctx context.Context) (*Connection, error) {
	ctx, cancel := context.WithTimeout(ctx, p.host.opts.Limits.Start)
	defer cancel()
	p.generation++
	c := &Connection{
		title: p.found.title(), generation: p.generation, redact: p.host.redact, since: time.Now(),
		done: make(chan struct{}), closed: make(chan struct{}),
	}
	var err error
	if p.found.reattach != nil {
		err = c.reattach(*p.found.reattach)
	} else {
		err = p.startChild(ctx, c)
	}
	if err != nil {
		return nil, err
	}
	description, err := pluginv1.NewPluginClient(c.conn).Describe(ctx, &pluginv1.DescribeRequest{})
	if err != nil {
		err = c.startFailure(ctx, err)
	} else {
		err = checkDescription(p.found, description)
	}
	if first := p.description.Load(); err == nil && first != nil {
		err = checkSame(p.found, first, description)
	}
	if err != nil {
		return nil, c.abandon(err)
	}
	p.description.CompareAndSwap(nil, description)
	p.logger.Debug("plugin started", "pid", c.pid(), "version", description.GetVersion(), "generation", c.generation, "took", time.Since(c.since))
	return c, nil
}

// startChild starts the process and connects to it.
func (p *Plugin) startChild(ctx context.Context, c *Connection) error {
	sockets, err := p.host.socketDir()
	if err != nil {
		return &Error{Plugin: c.title, Reason: StartFailed, Detail: "could not be started", Err: err}
	}
	prog := program{path: p.found.Path}
	if want := p.settings.Checksum; want != "" && !p.found.dev {
		if prog.file, err = openVerified(c.title, prog.path, want); err != nil {
			return err
		}
	}
	c.voice = newVoice(p.logger, p.host.redact)
	run := &childRunner{
		title: c.title, prog: prog, voice: c.voice, grace: p.host.opts.Limits.Grace, ctx: ctx, released: make(chan struct{}),
	}
	c.client = plugin.NewClient(p.clientConfig(run, sockets))
	_, err = c.client.Start()
	c.child, c.dir = run.child, run.prog.scratch
	if err != nil {
		close(run.released)
		_ = prog.file.Close() // for when it was not even tried
		c.discard()
		return startErrorOf(c.title, err)
	}
	conn, err := c.connect(ctx)
	close(run.released)
	go c.watchChild()
	if err != nil {
		return c.abandon(c.startFailure(ctx, err))
	}
	c.conn = conn
	return nil
}

// clientConfig is what go-plugin is given: the handshake's values, our runner, and where what the plugin prints goes
// once go-plugin's server has taken its standard output and error away from it.
func (p *Plugin) clientConfig(run *childRunner, sockets string) *plugin.ClientConfig {
	return &plugin.ClientConfig{
		HandshakeConfig:  protocol.Handshake,
		VersionedPlugins: protocol.Set(nil),
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		GRPCDialOptions:  protocol.DialOptions(),
		RunnerFunc:       run.runnerFunc(p.host.environ, p.settings.Env, ownEnv(p.logLevel())),
		SkipHostEnv:      true,
		StartTimeout:     p.host.opts.Limits.Start,
		UnixSocketConfig: &plugin.UnixSocketConfig{TempDir: sockets},
		SyncStdout:       run.voice.stray("stdout"),
		SyncStderr:       run.voice.stray("stderr"),
		Logger:           quiet{p.logger.Named("go-plugin")},
	}
}

// startErrorOf makes sure that an error of go-plugin's, too, is an *Error.
func startErrorOf(title string, err error) error {
	var e *Error
	if errors.As(err, &e) {
		return err
	}
	return &Error{Plugin: title, Reason: StartFailed, Detail: "could not be started", Err: err}
}

// connect has go-plugin make the connection. It takes no context and waits for the plugin to speak, so it is done
// aside, and the process is killed when it does not.
func (c *Connection) connect(ctx context.Context) (*grpc.ClientConn, error) {
	type result struct {
		conn *grpc.ClientConn
		err  error
	}
	done := make(chan result, 1)
	go func() {
		conn, err := c.dispense()
		done <- result{conn, err}
	}()
	select {
	case r := <-done:
		return r.conn, r.err
	case <-ctx.Done():
		c.child.kill() // ends what dispense waits for
		return nil, ctx.Err()
	}
}

func (c *Connection) dispense() (*grpc.ClientConn, error) {
	client, err := c.client.Client()
	if err != nil {
		return nil, err
	}
	raw, err := client.Dispense(protocol.Name)
	if err != nil {
		return nil, err
	}
	conn, ok := raw.(*grpc.ClientConn)
	if !ok {
		return nil, fmt.Errorf("go-plugin gave a %T for a connection", raw)
	}
	return conn, nil
}

// reattach connects to a process that a developer runs. go-plugin could do so, too, but it would then stay until that
// process ends, and never close the connection.
func (c *Connection) reattach(at reattachment) error {
	addr, err := at.addr()
	if err != nil {
		return &Error{Plugin: c.title, Reason: BadSettings, Detail: "has no good address", Err: err}
	}
	target := "passthrough:///" + addr.String()
	if addr.Network() == "unix" {
		target = "unix:" + addr.String()
	}
	// A connection that is lost is the end of this Connection; it must not become idle for any other reason.
	c.conn, err = grpc.NewClient(target, append(protocol.DialOptions(), grpc.WithIdleTimeout(0))...)
	if err != nil {
		return &Error{Plugin: c.title, Reason: StartFailed, Detail: "can't be connected to at " + addr.String(), Err: err}
	}
	c.conn.Connect()
	go c.watchReattached()
	return nil
}

// startFailure explains why a process that had printed its handshake was not ready.
func (c *Connection) startFailure(ctx context.Context, err error) error {
	var e *Error
	if !errors.As(c.Explain(ctx, "Describe", err), &e) {
		return err
	}
	out := *e
	switch {
	case status.Code(err) == codes.Unimplemented:
		out.Reason, out.Detail, out.Err = NotAPlugin, "is no plugin of Runner: it does not serve runner.plugin.v1.Plugin", nil
	case e.Reason == Ended && c.child != nil:
		out.Reason, out.Detail = ExitedAtStart, e.Detail+" before it was ready"
	case e.Reason == Ended:
		out.Reason = StartFailed
	case e.Reason == Hangs:
		out.Reason, out.Detail = HungAtStart, "was not ready in time: it printed its handshake, then did not answer, and was killed"
	}
	return &out
}

// checkDescription says why a plugin is not the one that was asked for.
func checkDescription(found Found, description *pluginv1.DescribeResponse) error {
	service, traits := pluginv1.Processor_ServiceDesc.ServiceName, description.GetProcessor() != nil
	if found.Kind == Source {
		service, traits = pluginv1.Source_ServiceDesc.ServiceName, description.GetSource() != nil
	}
	if slices.Contains(description.GetServices(), service) && traits {
		return nil
	}
	return &Error{
		Plugin: found.title(), Reason: WrongKind,
		Detail: fmt.Sprintf("is no %s: it calls itself %s and serves %s", found.Kind,
			printable(shorten(description.GetName(), 100)), printable(shorten(fmt.Sprint(description.GetServices()), 300))),
		Advice: "Install the right program under this name.",
	}
}

// checkSame says why a process can't take the place of the one before it: its program was replaced by one that core would
// have to treat in another way, and all that was made of the first description goes on as it is. A processor that has come to
// need secrets would find none to redact, and a source that takes no packed logs would answer to lines that it has not seen.
func checkSame(found Found, first, now *pluginv1.DescribeResponse) error {
	for _, trait := range []struct {
		name     string
		was, now bool
	}{
		{"redacts", first.GetProcessor().GetRedacts(), now.GetProcessor().GetRedacts()},
		{"needs_secrets", first.GetProcessor().GetNeedsSecrets(), now.GetProcessor().GetNeedsSecrets()},
		{"packed_logs", first.GetSource().GetPackedLogs(), now.GetSource().GetPackedLogs()},
	} {
		if trait.was != trait.now {
			return &Error{
				Plugin: found.title(), Reason: WrongKind,
				Detail: fmt.Sprintf("was replaced while core runs by a program whose %s is %v and not %v", trait.name, trait.now, trait.was),
				Advice: "Restart core, or put back the program that it was started with.",
			}
		}
	}
	return nil
}

// abandon kills a process that was never ready for use, cleans up after it, and adds what it wrote to the reason.
func (c *Connection) abandon(reason error) error {
	c.condemn(&Error{Plugin: c.title, Reason: StartFailed, Detail: "was killed by core at its start"})
	timer := time.NewTimer(killTime)
	defer timer.Stop()
	select {
	case <-c.closed:
	case <-timer.C:
	}
	var e *Error
	if errors.As(reason, &e) && e.Output == "" && c.voice != nil {
		e.Output = c.voice.last()
	}
	return reason
}

// discard cleans up after a process that printed no good handshake; there is no connection, and the process is gone.
func (c *Connection) discard() {
	c.voice.close()
	c.cleanUp()
	<-c.closed
}

func (c *Connection) pid() int {
	if c.child == nil {
		return 0
	}
	return c.child.pid()
}

// broken reports whether a call failed because the plugin is gone or does not answer; a status of its own is an answer.
func broken(err error) bool {
	switch status.Code(err) {
	case codes.Unavailable, codes.DeadlineExceeded, codes.Canceled:
		return true
	default:
		return false
	}
}

// cleanStatus returns the text of a status, which is the plugin's, fit for people. Unknown is the code of an error that was
// given none, and would be read as "unknown error".
func (c *Connection) cleanStatus(err error) error {
	text := status.Convert(err).Message()
	text = printable(shorten(string(c.redact([]byte(shorten(text, maxLine)))), 2000))
	if code := status.Code(err); code != codes.Unknown {
		return fmt.Errorf("%s: %s", code, text)
	}
	return errors.New(text)
}
