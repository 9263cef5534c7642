package telemetry

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
)

// alive answers that the process is there.
func alive(w http.ResponseWriter, _ *http.Request) {
	header(w, "text/plain; charset=utf-8")
	_, _ = io.WriteString(w, "ok\n")
}

// readiness answers whether the runner can do its work.
type readiness struct {
	health *Health
	redact func(string) string
}

// answer is the body in JSON.
type answer struct {
	Ready  bool          `json:"ready"`
	Checks []checkAnswer `json:"checks"`
}

type checkAnswer struct {
	Name string `json:"name"`
	OK   bool   `json:"ok"`
	// Why says what is wrong.
	Why string `json:"why,omitempty"`
}

func (h *readiness) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a := h.ask(r)
	code := http.StatusOK
	if !a.Ready {
		code = http.StatusServiceUnavailable
	}
	if strings.Contains(r.Header.Get("Accept"), "application/json") {
		header(w, "application/json")
		w.WriteHeader(code)
		_ = json.NewEncoder(w).Encode(a)
		return
	}
	header(w, "text/plain; charset=utf-8")
	w.WriteHeader(code)
	_, _ = io.WriteString(w, a.text())
}

func (h *readiness) ask(r *http.Request) answer {
	a := answer{Ready: true, Checks: []checkAnswer{}}
	for _, s := range h.health.States(r.Context()) {
		c := checkAnswer{Name: s.Name, OK: s.Err == nil}
		if !c.OK {
			a.Ready = false
			c.Why = s.Err.Error()
			if h.redact != nil {
				c.Why = h.redact(c.Why)
			}
		}
		a.Checks = append(a.Checks, c)
	}
	return a
}

// text is the body as people read it: a line for each check, or "ok" when there are none.
func (a answer) text() string {
	if len(a.Checks) == 0 {
		return "ok\n"
	}
	var b strings.Builder
	for _, c := range a.Checks {
		why := c.Why
		if c.OK {
			why = "ok"
		}
		b.WriteString(c.Name + ": " + why + "\n")
	}
	return b.String()
}

// header is what all answers have: a state of now is not to be kept.
func header(w http.ResponseWriter, contentType string) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
}
