package capture_test

import (
	"fmt"
	"testing"

	"github.com/podrunner/runner/plugins/processor-outcome/internal/capture"
)

func feed(s *capture.State, lines ...string) {
	s.Enter("job")
	for _, line := range lines {
		s.Piece([]byte(line), false)
	}
}

func TestNothingToRememberIsNoCheckpoint(t *testing.T) {
	var s capture.State
	feed(&s, "plain", "+ echo", end)
	if got := s.Checkpoint(); got != nil {
		t.Errorf("checkpoint %q", got)
	}
}

func TestCheckpointOfAnUnchangedStateIsTheSameBytes(t *testing.T) {
	var s capture.State
	feed(&s, set+"a=1", start+"m", "x")
	first := s.Checkpoint()
	feed(&s, "+ printed by the shell")
	if second := s.Checkpoint(); &first[0] != &second[0] {
		t.Error("encoded anew")
	}
	if n := testing.AllocsPerRun(10, func() { s.Checkpoint() }); n > 0 {
		t.Errorf("%v allocations", n)
	}
	feed(&s, "y")
	if second := s.Checkpoint(); string(first) == string(second) {
		t.Error("a new line is not in the checkpoint")
	}
}

func TestTheLargestCheckpointFitsAMessage(t *testing.T) {
	const largest = 2 << 20 // what package sdk takes
	var s capture.State
	for i := range 3 {
		feed(&s, fmt.Sprint(set, i, "=", longest))
	}
	for range capture.MaxHeldBytes / 2 / len(start+"m\n") {
		feed(&s, start+"m")
	}
	for range capture.MaxHeldBytes / 4 {
		feed(&s, "")
	}
	s.Piece([]byte(longest[:capture.MaxValueBytes/2]), true)
	got := len(s.Checkpoint())
	if got < largest/2 {
		t.Errorf("the checkpoint is %d bytes, and not a large one", got)
	}
	for _, line := range []string{"f<<E", longest[:capture.MaxValueBytes/2-1]} {
		s.File([]byte(line), false)
	}
	s.File([]byte(longest[:capture.MaxValueBytes/2]), true)
	got = max(got, len(s.Checkpoint()))
	s.Piece([]byte(longest), true)
	if got = max(got, len(s.Checkpoint())); got > largest {
		t.Errorf("%d bytes", got)
	}
}

func TestALineThatPassesIsNotInTheCheckpoint(t *testing.T) {
	var s capture.State
	s.Piece([]byte("::set-outcome-var a="+longest), true)
	held := len(s.Checkpoint())
	s.Piece([]byte("!"), true)
	if got := len(s.Checkpoint()); got > 200 || held < len(longest) {
		t.Errorf("%d bytes while the line is held, %d when it passes", held, got)
	}
}

func TestDamagedCheckpointsAreRefused(t *testing.T) {
	var s capture.State
	feed(&s, set+"a=1", start+"m<<E", "x", "E", start+"m", "x")
	s.Enter("next")
	s.File([]byte("none"), false)
	s.File([]byte("f<<E"), false)
	s.File([]byte("half"), true)
	good := s.Checkpoint()
	if _, err := capture.Restore(good); err != nil {
		t.Fatal(err)
	}
	for n := 1; n < len(good); n++ {
		if _, err := capture.Restore(good[:n]); err == nil {
			t.Errorf("the first %d of %d bytes are taken", n, len(good))
		}
	}
	if _, err := capture.Restore(append([]byte{1}, good[1:]...)); err == nil {
		t.Error("another version is taken")
	}
	if _, err := capture.Restore(append(append([]byte(nil), good...), 0)); err == nil {
		t.Error("a byte too many is taken")
	}
}

// FuzzRestore restores any bytes and goes on: a State that was restored takes any line.
func FuzzRestore(f *testing.F) {
	var s capture.State
	f.Add([]byte(nil))
	feed(&s, set+"a=1", start+"m", "x", start+longKey)
	f.Add(append([]byte(nil), s.Checkpoint()...))
	s.Piece([]byte("piece"), true)
	f.Add(append([]byte(nil), s.Checkpoint()...))
	s = capture.State{}
	feed(&s, start+"d<<E", "x", "::stop-commands::1234567890")
	f.Add(append([]byte(nil), s.Checkpoint()...))
	feed(&s, "E", "::stop-commands::1234567890")
	s.File([]byte("none"), false)
	s.File([]byte("f<<E"), false)
	s.File([]byte("piece"), true)
	f.Add(append([]byte(nil), s.Checkpoint()...))
	f.Fuzz(func(t *testing.T, saved []byte) {
		s, err := capture.Restore(saved)
		if err != nil {
			return
		}
		feed(s, "plain", set+"a=2", start+"m", "y", end, end, end, start+"d<<E", "y", "E")
		for _, line := range []string{"", "a=1", "b<<E", "y", "E"} {
			s.File([]byte(line), false)
		}
		s.Enter("other")
		s.Finish()
	})
}
