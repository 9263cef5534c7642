package engine

import (
	"math/rand/v2"
	"testing"

	pluginv1 "github.com/podrunner/runner/sdk/proto/runner/plugin/v1"
)

// peer is the source's side of a lane: what it knows comes in messages that may be on their way for a while.
type peer struct {
	lane *lane
	// credits are on their way to the source, answers on their way from it.
	credits []*pluginv1.JobsRequest_Credit
	answers []any // *pluginv1.JobsResponse_Claims, or offer
	// What the source knows.
	credit *pluginv1.JobsRequest_Credit
	made   uint64
	open   uint64
}

type offered struct{}

func newPeer(s *slots, most int) *peer {
	p := &peer{credit: &pluginv1.JobsRequest_Credit{}}
	p.lane = s.lane(most, func() {})
	return p
}

// flush sends the Credit that is due.
func (p *peer) flush() {
	if c := p.lane.credit(); c != nil {
		p.credits = append(p.credits, c)
	}
}

// learn has the source take the next Credit, and answer it.
func (p *peer) learn() {
	if len(p.credits) == 0 {
		return
	}
	p.credit, p.credits = p.credits[0], p.credits[1:]
	p.claims()
}

func (p *peer) claims() {
	p.answers = append(p.answers, &pluginv1.JobsResponse_Claims{Credit: p.credit.GetNumber(), OffersMade: p.made, Open: uint32(p.open)})
}

// claim begins to take a job, if the source may.
func (p *peer) claim() bool {
	if p.made+p.open >= p.credit.GetOffersSeen()+uint64(p.credit.GetSlots()) {
		return false
	}
	p.open++
	return true
}

// drop ends a claim with nothing, offer with a job.
func (p *peer) drop() {
	if p.open == 0 {
		return
	}
	p.open--
	if p.made+p.open >= p.credit.GetOffersSeen()+uint64(p.credit.GetSlots()) {
		p.claims()
	}
}

func (p *peer) offer() {
	if p.open == 0 {
		return
	}
	p.open--
	p.made++
	p.answers = append(p.answers, offered{})
}

// hear has core take the next answer.
func (p *peer) hear(t *testing.T) {
	if len(p.answers) == 0 {
		return
	}
	answer := p.answers[0]
	p.answers = p.answers[1:]
	switch m := answer.(type) {
	case offered:
		if !p.lane.offered(true) {
			t.Fatal("an offer that core had granted has no slot")
		}
	case *pluginv1.JobsResponse_Claims:
		p.lane.claims(m)
	}
}

// settle has everything that is on its way arrive.
func settle(t *testing.T, peers ...*peer) {
	for range 10 {
		for _, p := range peers {
			p.flush()
			for len(p.credits) > 0 {
				p.learn()
			}
			for len(p.answers) > 0 {
				p.hear(t)
			}
		}
	}
}

func granted(peers ...*peer) (out []int) {
	for _, p := range peers {
		_, credit := p.lane.state()
		out = append(out, credit)
	}
	return out
}

func TestSlotsAreShared(t *testing.T) {
	s := newSlots(10)
	a, b := newPeer(s, 10), newPeer(s, 10)
	a.lane.opened()
	settle(t, a, b)
	if got := granted(a, b); got[0] != 10 || got[1] != 0 {
		t.Fatalf("with one stream the credit is %v", got)
	}
	b.lane.opened()
	settle(t, a, b)
	if got := granted(a, b); got[0] != 5 || got[1] != 5 {
		t.Fatalf("with two streams the credit is %v", got)
	}
	for range 9 {
		if !a.claim() {
			t.Fatalf("a busy source gets no more than %v", granted(a, b))
		}
		a.offer()
		settle(t, a, b)
	}
	if got := granted(a, b); got[0] != 0 || got[1] != 1 {
		t.Errorf("when one source has taken all it can, the credit is %v", got)
	}
	a.lane.freed()
	settle(t, a, b)
	if got := granted(a, b); got[0] != 1 || got[1] != 1 {
		t.Errorf("after the end of a job the credit is %v", got)
	}
	a.lane.closed()
	settle(t, b)
	if got := granted(a, b); got[0] != 0 || got[1] != 2 {
		t.Errorf("after the loss of a stream the credit is %v", got)
	}
}

func TestSlotsOfOnePipeline(t *testing.T) {
	s := newSlots(10)
	a := newPeer(s, 2)
	a.lane.opened()
	settle(t, a)
	if got := granted(a); got[0] != 2 {
		t.Fatalf("the credit is %v, and the pipeline's concurrency 2", got)
	}
	a.lane.drain()
	settle(t, a)
	if got := granted(a); got[0] != 0 || a.lane.pending() {
		t.Errorf("a drained lane has the credit %v, pending is %v", got, a.lane.pending())
	}
}

// TestClaimsHoldASlot: a slot that is taken back while the source is asking for a job stays its own until it knows.
func TestClaimsHoldASlot(t *testing.T) {
	s := newSlots(2)
	a, b := newPeer(s, 2), newPeer(s, 2)
	a.lane.opened()
	settle(t, a)
	a.claim()
	a.claim()
	b.lane.opened()
	settle(t, a, b)
	if got := granted(a, b); got[0] != 1 || got[1] != 0 {
		t.Fatalf("while the source claims two slots the credit is %v", got)
	}
	a.drop()
	settle(t, a, b)
	if got := granted(a, b); got[0] != 1 || got[1] != 1 {
		t.Fatalf("after the end of a claim the credit is %v", got)
	}
	a.lane.drain()
	settle(t, a, b)
	if !a.lane.pending() {
		t.Error("a claim is open, and nothing is pending")
	}
	a.offer()
	settle(t, a, b)
	if running, _ := a.lane.state(); running != 1 || a.lane.pending() {
		t.Errorf("%d jobs run, pending is %v", running, a.lane.pending())
	}
}

func TestOfferWithoutCredit(t *testing.T) {
	s := newSlots(1)
	a := newPeer(s, 1)
	a.lane.opened()
	settle(t, a)
	if !a.lane.offered(true) || a.lane.offered(true) {
		t.Fatal("of two offers under a credit of 1 the first is good and the second is not")
	}
	if running, _ := a.lane.state(); running != 1 {
		t.Errorf("%d jobs run", running)
	}
	a.lane.freed()
	settle(t, a)
	if got := granted(a); got[0] != 1 {
		t.Errorf("after the job the credit is %v", got)
	}
}

// TestSlotsAtRandom: whatever comes in whatever order, no more jobs run than there are slots, no granted offer is without
// one, and when all is quiet the slots are in use.
func TestSlotsAtRandom(t *testing.T) {
	for seed := range uint64(300) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		total := 3 + rnd.IntN(8)
		s := newSlots(total)
		peers := []*peer{newPeer(s, total), newPeer(s, 1+rnd.IntN(total)), newPeer(s, total)}
		for range 2000 {
			p := peers[rnd.IntN(len(peers))]
			switch rnd.IntN(10) {
			case 0:
				p.flush()
			case 1:
				p.learn()
			case 2:
				p.hear(t)
			case 3, 4:
				p.claim()
			case 5:
				p.drop()
			case 6:
				p.offer()
			case 7:
				if running, _ := p.lane.state(); running > 0 {
					p.lane.freed()
				}
			case 9:
				p.lane.want(rnd.IntN(3))
				p.lane.take()
			case 8:
				if rnd.IntN(20) > 0 {
					continue
				}
				p.credits, p.answers, p.made, p.open = nil, nil, 0, 0
				p.credit = &pluginv1.JobsRequest_Credit{}
				p.lane.closed()
				p.lane.opened()
			}
			running := 0
			for _, p := range peers {
				n, _ := p.lane.state()
				if n > p.lane.most {
					t.Fatalf("seed %d: %d jobs of a pipeline that may have %d", seed, n, p.lane.most)
				}
				running += n
			}
			if running > total {
				t.Fatalf("seed %d: %d jobs in %d slots", seed, running, total)
			}
		}
		for _, p := range peers {
			if !p.lane.open {
				p.lane.opened()
			}
			for p.open > 0 {
				p.drop()
			}
			p.lane.want(0)
		}
		settle(t, peers...)
		sum, most := 0, 0
		for _, credit := range granted(peers...) {
			most = max(most, credit)
		}
		for i, p := range peers {
			n, credit := p.lane.state()
			sum += n + credit
			if n+credit == 0 && most > 1 {
				t.Errorf("seed %d: source %d has nothing: %v", seed, i, granted(peers...))
			}
		}
		if sum != total {
			t.Errorf("seed %d: %d of %d slots are in use: %v", seed, sum, total, granted(peers...))
		}
	}
}

// TestSlotsForOthers: a job that no source offers gets the next slot that is free, and no source is granted it.
func TestSlotsForOthers(t *testing.T) {
	s := newSlots(2)
	a, b := newPeer(s, 10), newPeer(s, 10)
	a.lane.opened()
	settle(t, a, b)
	if a.lane.take() {
		t.Fatal("a slot is taken that the source may use")
	}
	a.claim()
	a.lane.want(1)
	settle(t, a, b)
	if got := granted(a); got[0] != 1 {
		t.Fatalf("when one job waits the credit is %v", got)
	}
	select {
	case <-a.lane.vacant:
	default:
		t.Fatal("nobody is told of the free slot")
	}
	if !a.lane.take() || a.lane.take() {
		t.Fatal("there is not one slot")
	}
	a.offer()
	settle(t, a, b)
	if running, credit := a.lane.state(); running != 2 || credit != 0 {
		t.Errorf("%d jobs run, the credit is %d", running, credit)
	}
	a.lane.want(5)
	a.lane.freed()
	settle(t, a, b)
	if got := granted(a, b); got[0] != 0 || got[1] != 0 {
		t.Errorf("while jobs wait the credit is %v", got)
	}
	a.lane.drain()
	if a.lane.take() {
		t.Error("a drained lane takes a slot")
	}
	b.lane.opened()
	settle(t, a, b)
	if got := granted(b); got[0] != 1 {
		t.Errorf("what waits for a drained lane holds up others: %v", got)
	}
}

// TestDrainIsTold: a source whose credit is void already, and that may still be asking for a job, is told that core drains.
func TestDrainIsTold(t *testing.T) {
	s := newSlots(1)
	p := newPeer(s, 1)
	p.lane.opened()
	p.flush()
	p.learn()
	if !p.claim() {
		t.Fatal("there is no credit")
	}
	p.lane.want(1) // a job that waits takes the slot
	p.flush()
	if len(p.credits) != 1 || p.credits[0].GetSlots() != 0 || p.credits[0].GetDraining() {
		t.Fatalf("credits %v", p.credits)
	}
	p.learn()
	p.lane.drain()
	p.flush()
	if len(p.credits) != 1 || p.credits[0].GetSlots() != 0 || !p.credits[0].GetDraining() {
		t.Fatalf("credits %v", p.credits)
	}
}

// TestANewStreamWhileDraining: a source that has jobs which the stream before has lost waits for a slot, and is told that
// there will be none.
func TestANewStreamWhileDraining(t *testing.T) {
	l := newSlots(1).lane(1, func() {})
	l.drain()
	l.opened()
	if c := l.credit(); !c.GetDraining() || c.GetSlots() != 0 || c.GetNumber() != 1 {
		t.Errorf("the source is told %v", c)
	}
	if l.pending() {
		t.Error("an offer is waited for")
	}
}
