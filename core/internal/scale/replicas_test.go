package scale

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// source is a source of the pipeline "default" with an opinion.
func source(o *opinion) Source {
	return Source{Pipeline: "default", Name: "faktory", Concurrency: 3, Recommender: o}
}

// TestReplicas: what comes of the sources' answers.
func TestReplicas(t *testing.T) {
	t.Parallel()
	away := errors.New("the queue is away")
	for name, test := range map[string]struct {
		current  int32
		min, max int
		wishes   []*opinion
		want     []int32
	}{
		"as many as there are":          {3, 1, 10, []*opinion{{n: 3}}, nil},
		"more":                          {3, 1, 10, []*opinion{{n: 5}}, []int32{5}},
		"fewer":                         {3, 1, 10, []*opinion{{n: 2}}, []int32{2}},
		"none, but one at least":        {3, 1, 10, []*opinion{{n: 0}}, []int32{1}},
		"at most":                       {3, 1, 4, []*opinion{{n: 4_000_000_000}}, []int32{4}},
		"at least":                      {3, 2, 4, []*opinion{{n: 1}}, []int32{2}},
		"the least wins":                {3, 6, 4, []*opinion{{n: 3}}, []int32{6}},
		"there are too many":            {12, 1, 10, []*opinion{{n: 12}}, []int32{10}},
		"the greatest of several":       {3, 1, 10, []*opinion{{n: 2}, {n: 6}, {n: 4}}, []int32{6}},
		"one fails, another wants more": {3, 1, 10, []*opinion{{err: away}, {n: 4}}, []int32{4}},
		"one fails, another wants less": {3, 1, 10, []*opinion{{err: away}, {n: 1}}, nil},
		"one is slow":                   {3, 1, 10, []*opinion{{stuck: true}, {n: 4}}, []int32{4}},
		"all fail":                      {3, 1, 10, []*opinion{{err: away}}, nil},
		"all fail, outside the bounds":  {3, 5, 10, []*opinion{{err: away}}, []int32{5}},
		"scaled to nothing by somebody": {0, 1, 10, []*opinion{{n: 5}}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, test.current)
			var sources []Source
			for _, w := range test.wishes {
				sources = append(sources, source(w))
			}
			r := c.newRunner("a", sources...)
			r.Settings.MinReplicas, r.Settings.MaxReplicas = test.min, test.max
			looks := 0
			c.before = func(request string) {
				if request == "get apps/deployments/scale" {
					looks++
				}
			}
			c.run(r)
			c.until("it has looked four times", func() bool { return looks >= 4 })
			c.mu.Lock()
			defer c.mu.Unlock()
			if !slices.Equal(c.writes, test.want) {
				t.Errorf("it has written %v, want %v", c.writes, test.want)
			}
		})
	}
}

// TestQuestion: a source is told how many runners there are, and for how many jobs each is to do.
func TestQuestion(t *testing.T) {
	t.Parallel()
	o := &opinion{n: 4}
	c := newCluster(t, 4)
	begun := time.Now()
	r := c.newRunner("a", source(o))
	r.Settings.Interval = 300 * time.Millisecond
	c.run(r)
	for len(o.questions()) == 0 && time.Since(begun) < patience {
		time.Sleep(time.Millisecond)
	}
	if took := time.Since(begun); took < r.Settings.Interval {
		t.Errorf("the first question came after %s, want one interval", took)
	}
	if q := o.questions(); len(q) == 0 || q[0] != [2]int{4, 300} {
		t.Errorf("the questions are %v", q)
	}
}

// TestConflict: a Deployment that has changed in between is scaled all the same, unless somebody else has scaled it.
func TestConflict(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		meanwhile func(*cluster)
		want      int32
		writes    []int32
		log       string
	}{
		"its status":    {func(c *cluster) { c.scaled++ }, 5, []int32{5}, "scaled the Deployment"},
		"another scale": {func(c *cluster) { c.scale(7) }, 7, nil, "somebody else has scaled the Deployment"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := &opinion{n: 5}
			c := newCluster(t, 3)
			done, looks := false, 0
			c.before = func(request string) {
				if request == "get apps/deployments/scale" {
					looks++
				}
				if request == "patch apps/deployments/scale" && !done {
					done = true
					test.meanwhile(c)
					o.set(int(test.want), nil) // from now on it is content
				}
			}
			r := c.run(c.newRunner("a", source(o)))
			c.until("it has looked twice more", func() bool { return looks >= 4 })
			c.mu.Lock()
			defer c.mu.Unlock()
			if c.replicas != test.want || !slices.Equal(c.writes, test.writes) || !strings.Contains(r.log.String(), test.log) {
				t.Errorf("there are %d, it has written %v and said\n%s", c.replicas, c.writes, r.log)
			}
		})
	}
}

// TestFailuresAreToldOnce: what fails is counted each time, told once, and told when it works again.
func TestFailuresAreToldOnce(t *testing.T) {
	t.Parallel()
	o := &opinion{err: errors.New("the queue is away")}
	c := newCluster(t, 3)
	forbidden := 0
	c.fault = func(request string) int {
		if request == "get apps/deployments/scale" && forbidden < 3 {
			forbidden++
			return http.StatusForbidden
		}
		return 0
	}
	r := c.run(c.newRunner("a", source(o)))
	for range 200 {
		if len(o.questions()) >= 3 {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	o.set(4, nil)
	c.until("it says that it has scaled", func() bool { return strings.Contains(r.log.String(), "scaled the Deployment:") })
	text := r.log.String()
	for want, n := range map[string]int{
		"could not scale the Deployment; it is tried again":                                             1,
		"docs/operations.md has the Role":                                                               1,
		"could scale the Deployment again":                                                              1,
		"could not ask the source faktory of the pipeline default for the number of runners":            1,
		"could ask the source faktory of the pipeline default for the number of runners again":          1,
		`scaled the Deployment: deployment=runner before=3 replicas=4 recommended=4`:                    1,
		"this runner scales the Deployment from now on: deployment=runner leader=a":                     1,
		"this runner has lost the lease":                                                                0,
		`the source has said how many runners there should be: deployment=runner pipeline=default sour`: -1,
	} {
		if got := strings.Count(text, want); got != n && (n >= 0 || got == 0) {
			t.Errorf("it was said %d times, want %d: %s", got, n, want)
		}
	}
	if t.Failed() {
		t.Log(text)
	}
}

// TestMetrics: the numbers are the leader's, and go with its leadership.
func TestMetrics(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3)
	r := c.run(c.newRunner("a", source(&opinion{n: 40})))
	c.until("it has scaled", func() bool { return len(c.writes) == 1 })
	c.leads("a")
	time.Sleep(100 * time.Millisecond)
	const errs = "errors_total{deletion_cost} 0\nerrors_total{elect} 0\nerrors_total{recommend} 0\nerrors_total{scale} 0\n"
	r.wantMetrics(t, errs+"leader 1\nrecommended_replicas 40\nreplicas 10\nwrites_total 1")
	r.stop()
	c.leads("")
	time.Sleep(100 * time.Millisecond)
	r.wantMetrics(t, errs+"leader 0\nwrites_total 1")
}
