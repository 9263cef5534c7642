package kubernetes

import (
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/podrunner/runner/core/internal/executor"
	"github.com/podrunner/runner/core/internal/record"
)

// TestTornOutcomeFile: a log that is taken up in the middle of an outcome file has nothing of it.
func TestTornOutcomeFile(t *testing.T) {
	batch := func(flags record.Flags, texts ...string) *record.Batch {
		var b record.Builder
		for i, text := range texts {
			b.Add("job", record.Record{Flags: flags, Time: int64(i), Text: []byte(text)})
		}
		return b.Take()
	}
	log, file := batch(0, "a", "b"), batch(record.Outcome, "part of a value", "k=v")
	piece, empty := batch(record.Outcome|record.Partial, "k=v"), batch(record.Outcome, "")
	for _, tt := range []struct {
		name     string
		partial  bool
		in, want []*record.Batch
	}{
		{"whole", false, []*record.Batch{file, log, file}, []*record.Batch{file, log, file}},
		{"taken up in the log", true, []*record.Batch{log, file}, []*record.Batch{log, file}},
		{"taken up in the file", true, []*record.Batch{file, piece, file}, []*record.Batch{batch(record.Outcome, "", ""), empty, batch(record.Outcome, "", "")}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := &stepRun{}
			s.evidence.Partial = tt.partial
			for i, b := range tt.in {
				got := s.untorn(b)
				if got.Len() != b.Len() {
					t.Errorf("batch %d: %d records, want %d", i, got.Len(), b.Len())
				}
				if diff := cmp.Diff(records(tt.want[i]), records(got)); diff != "" {
					t.Errorf("batch %d (-want +got):\n%s", i, diff)
				}
			}
		})
	}
}

func records(b *record.Batch) (list []record.Record) {
	for _, r := range b.All {
		r.Text = append([]byte{}, r.Text...)
		list = append(list, r)
	}
	return list
}

// TestResultWhileTheEndIsDelivered: what is delivered last is acknowledged while the result is asked for. An acknowledgement
// starts the note about it, for which it takes the run's lock, while it holds that of the place.
func TestResultWhileTheEndIsDelivered(t *testing.T) {
	r := runOf(t, executorOf(t, cluster(t), nil))
	close(r.supervised)
	r.conclude(executor.Lost("x"))
	r.place.mu.Lock()
	got := make(chan error, 1)
	go func() {
		_, err := r.Result(t.Context())
		got <- err
	}()
	time.Sleep(50 * time.Millisecond) // the result is waited for by then
	noted := make(chan struct{})
	go func() {
		r.start(func() {})
		close(noted)
	}()
	select {
	case <-noted:
	case <-time.After(5 * time.Second):
		t.Error("the acknowledgement and the result wait for each other")
	}
	r.place.mu.Unlock()
	if err := <-got; err != nil {
		t.Error(err)
	}
	<-noted
}

// TestNotesComeInOrder has an API server that takes its time for a note: the next one does not overtake it.
func TestNotesComeInOrder(t *testing.T) {
	e := executorOf(t, cluster(t), nil)
	r := runOf(t, e)
	var under atomic.Int64
	begun := make(chan struct{}, 2)
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		if under.Add(1) > 1 {
			t.Error("two notes are under way")
		}
		begun <- struct{}{}
		time.Sleep(200 * time.Millisecond)
		under.Add(-1)
	}))
	defer server.Close()
	var err error
	if e.client, err = kubernetes.NewForConfig(&rest.Config{Host: server.URL}); err != nil {
		t.Fatal(err)
	}
	var notes sync.WaitGroup
	notes.Go(r.noteDelivered)
	<-begun
	r.place.mu.Lock()
	r.place.noted = time.Time{} // time enough has passed
	r.place.mu.Unlock()
	notes.Go(r.noteDelivered)
	notes.Wait()
	if len(begun) != 1 {
		t.Error("the second note was not made")
	}
}
