package scale

import (
	"net/http"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestTimes: those of opslevel-runner, and a dead leader is found out within 20 s, whatever the elector's own jitter.
func TestTimes(t *testing.T) {
	d := defaultTimes
	if d.lease != 15*time.Second || d.renew != 10*time.Second || d.retry != 2*time.Second {
		t.Errorf("the times are %+v", d)
	}
	if worst := d.lease + 2*d.look + d.call/2; worst > 20*time.Second {
		t.Errorf("a dead leader is found out after %s", worst)
	}
}

// TestOneLeads: of several runners one leads, and alone scales; when it is told to stop, another one leads at once.
func TestOneLeads(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3)
	first, second := &opinion{n: 3}, &opinion{n: 3}
	a := c.run(c.newRunner("a", source(first)))
	c.leads("a")
	b := c.run(c.newRunner("b", source(second)))
	time.Sleep(3 * time.Second) // longer than the lease
	if n := len(second.questions()); n > 0 {
		t.Errorf("the source of a runner that does not lead was asked %d times", n)
	}
	if !strings.Contains(b.log.String(), "another runner scales the Deployment: deployment=runner leader=a") {
		t.Errorf("b has said\n%s", b.log)
	}
	begun := time.Now()
	a.stop()
	c.leads("b")
	if took := time.Since(begun); took > a.times.lease*3/4 { // a lease that is not given back
		t.Errorf("it took %s", took)
	}
	asked := len(first.questions())
	time.Sleep(100 * time.Millisecond)
	if n := len(first.questions()); n > asked {
		t.Errorf("a runner that was told to stop has asked %d times more", n-asked)
	}
}

// TestLeaderDies: another one leads when the lease has expired, not before, and soon after.
func TestLeaderDies(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3)
	a := c.run(c.newRunner("a", source(&opinion{n: 3})))
	c.leads("a")
	b := c.newRunner("b", source(&opinion{n: 3}))
	b.times.retry = time.Second / 2 // as slow as it may be
	c.run(b)
	c.until("b looks", func() bool { return strings.Contains(b.log.String(), "leader=a") })
	a.away.Store(true)
	begun := time.Now()
	c.leads("b")
	if took := time.Since(begun); took < a.times.lease-a.times.retry-500*time.Millisecond || took > a.times.lease+1500*time.Millisecond {
		t.Errorf("it took %s", took)
	}
	if text := a.log.String(); !strings.Contains(text, "this runner has lost the lease") || !strings.Contains(text, "could not update the Lease") {
		t.Errorf("a has said\n%s", text)
	}
	a.away.Store(false)
	b.stop()
	c.leads("a") // it has sought the lease all the time
}

// TestLeaseIsTakenAway: a leader that has lost its lease stops scaling, and leads again when it gets the lease back.
func TestLeaseIsTakenAway(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3)
	o := &opinion{n: 3}
	a := c.newRunner("a", source(o))
	a.times.lease, a.times.renew = 2*time.Minute, time.Minute
	c.run(a)
	c.until("it scales", func() bool { return len(o.questions()) > 0 })
	thief, seconds := "thief", int32(1) // less than the time for which it would try to renew
	c.do(func() {
		c.lease.Spec.HolderIdentity, c.lease.Spec.LeaseDurationSeconds = &thief, &seconds
		c.lease.Spec.RenewTime = &metav1.MicroTime{Time: time.Now()}
		c.lease.ResourceVersion = c.next()
	})
	c.until("it knows", func() bool { return strings.Contains(a.log.String(), "this runner has lost the lease") })
	asked := len(o.questions())
	c.leads("a")
	c.until("it scales again", func() bool { return len(o.questions()) > asked })
}

// TestLeaseIsDeleted: whoever leads makes it anew.
func TestLeaseIsDeleted(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3)
	c.run(c.newRunner("a", source(&opinion{n: 3})))
	c.leads("a")
	c.do(func() { c.lease = nil })
	c.leads("a")
}

// TestNoRightToElect: a runner that may not have the lease says so, and why.
func TestNoRightToElect(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3)
	c.fault = func(request string) int {
		if strings.HasSuffix(request, "/leases") {
			return http.StatusForbidden
		}
		return 0
	}
	r := c.run(c.newRunner("a", source(&opinion{n: 3})))
	c.until("it says so", func() bool {
		return strings.Contains(r.log.String(), "could not read the Lease; it is tried again: deployment=runner error=\"core's account lacks a right: ")
	})
}
