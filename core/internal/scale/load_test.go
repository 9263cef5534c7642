package scale

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestLoad: the pod shows the number of jobs, from the start and to the end, and not each number in between.
func TestLoad(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	r := c.newRunner("a", source(&opinion{n: 1}))
	r.times.calm = 2 * time.Second // far more than a busy machine takes for a change
	c.run(r)
	costs := func(want ...string) {
		t.Helper()
		c.until("the costs are "+strings.Join(want, ", "), func() bool { return slices.Equal(c.costs["a"], want) })
	}
	costs("0") // what a process before it has left
	begun := time.Now()
	for n := range 50 {
		r.Load(n)
	}
	costs("0", "49")
	if took := time.Since(begun); took < r.times.calm/2 {
		t.Errorf("the second change came after %s", took)
	}
	r.Load(7)
	r.Load(49)
	time.Sleep(2 * r.times.calm)
	costs("0", "49") // it is what it was
	begun = time.Now()
	r.Load(3)
	costs("0", "49", "3")
	if took := time.Since(begun); took > r.times.calm/2 {
		t.Errorf("after a quiet time a change took %s", took)
	}
	r.stop() // it drains
	c.leads("")
	r.Load(0)
	costs("0", "49", "3", "0")
}

// TestLoadThatCannotBeShown: it is tried again, with what is true by then.
func TestLoadThatCannotBeShown(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	tries := 0
	c.fault = func(request string) int {
		if request == "patch pods" && tries < 3 {
			tries++
			return http.StatusInternalServerError
		}
		return 0
	}
	r := c.run(c.newRunner("a", source(&opinion{n: 1})))
	r.Load(5)
	c.until("it is shown", func() bool { return slices.Equal(c.costs["a"], []string{"5"}) })
	lost := c.run(c.newRunner("lost", source(&opinion{n: 1})))
	c.until("it says that there is no such pod", func() bool {
		return strings.Contains(lost.log.String(), "Mend pod or namespace in the block scaling")
	})
	if n := strings.Count(r.log.String(), "could not note the number of jobs on the runner's pod"); n != 1 {
		t.Errorf("it was said %d times:\n%s", n, r.log)
	}
}
