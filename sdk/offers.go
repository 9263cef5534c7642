package sdk

import (
	"slices"
	"sync"
	"time"

	pluginv1 "github.com/podrunner/runner/sdk/proto/runner/plugin/v1"
)

// offers are those of which core has not said yet what becomes of them. A stream that breaks loses what is on its way in
// either direction, and the job would be nobody's: such an offer is made again on the next stream, unless core has the job.
// Its methods are safe for concurrent use.
type offers struct {
	mu sync.Mutex
	// list has the oldest first.
	list []*offered
	// streams counts the streams.
	streams uint64
}

// offered is an offer that was made.
type offered struct {
	key     JobKey
	message *pluginv1.JobsResponse
	// stream is the number of the one that it was made on last.
	stream uint64
	// until is when the remote system hands the job out again; zero: never.
	until time.Time
	// other says that core has had another attempt of the job since.
	other bool
}

// opened counts a new stream, on which core has said that it runs these jobs.
func (o *offers) opened(running []JobKey) (stream uint64) {
	for _, key := range running {
		o.has(key)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.streams++
	return o.streams
}

// make keeps an offer, and does so before it is sent: the answer may be here before send returns.
func (o *offers) make(key JobKey, offer Offer, message *pluginv1.JobsResponse, stream uint64) *offered {
	made := &offered{key: key, message: message, stream: stream, until: offer.Deadline}
	if offer.Lease > 0 {
		if end := time.Now().Add(offer.Lease); made.until.IsZero() || end.Before(made.until) {
			made.until = end
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.list = append(o.list, made)
	return made
}

// unmake forgets an offer that could not be sent.
func (o *offers) unmake(made *offered) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.list = slices.DeleteFunc(o.list, func(other *offered) bool { return other == made })
}

// answered forgets the oldest offer of a job, as core has answered it on a stream. False says that the answer means
// nothing, because the stream was broken, and the offer has been made again on a later one.
func (o *offers) answered(key JobKey, stream uint64) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	counts := true
	for i, made := range o.list {
		if made.key != key {
			continue
		}
		if made.stream <= stream {
			o.list = slices.Delete(o.list, i, i+1)
			return true
		}
		counts = false
	}
	return counts
}

// has takes note that core has, or had, a job.
func (o *offers) has(key JobKey) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.list = slices.DeleteFunc(o.list, func(made *offered) bool {
		made.other = made.other || made.key.ID == key.ID
		return made.key == key
	})
}

// again returns the oldest offer that is to be made again on a stream, nil when there is none, and takes it as made.
func (o *offers) again(stream uint64) *offered {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, made := range o.list {
		if made.stream < stream {
			made.stream = stream
			return made
		}
	}
	return nil
}

// useless takes out offers that are not to be made again on a stream, and says what has become of them. draining: core takes
// no more jobs.
func (o *offers) useless(stream uint64, draining bool) []Release {
	return o.take(func(made *offered) (Release, bool) {
		switch {
		case made.stream >= stream:
		case made.other:
			return Release{Duplicate: true, Message: "the job has run already"}, true
		case !made.until.IsZero() && time.Now().After(made.until):
			return Release{Message: "the offer was lost on its way to the runner, and the job's time has run out"}, true
		case draining:
			return Release{Message: "the offer was lost on its way to the runner, which takes no more jobs"}, true
		}
		return Release{}, false
	})
}

// all takes out all offers.
func (o *offers) all() []Release {
	return o.take(func(made *offered) (Release, bool) {
		return Release{Duplicate: made.other, Message: "the runner was stopped before it could run the job"}, true
	})
}

func (o *offers) take(is func(*offered) (Release, bool)) (list []Release) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.list = slices.DeleteFunc(o.list, func(made *offered) bool {
		release, ok := is(made)
		if ok {
			release.Job, release.Handle = made.key, made.message.GetOffer().GetJob().GetHandle()
			list = append(list, release)
		}
		return ok
	})
	return list
}
