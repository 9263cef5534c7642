// Serve is an OpsLevel API for a desk: it hands out jobs, prints their logs and outcomes as they come, and fails on demand.
//
//	serve                             the API, and beside it a door for the commands below
//	serve push -f job.yaml -n 3       has three jobs wait for a runner
//	serve fail -every 3               has one request in three fail; -every 0 none
//	serve down -for 30s               is away for half a minute
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/podrunner/runner/plugins/source-opslevel/opsleveltest"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "opslevel:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	command := ""
	if len(args) > 0 && args[0][0] != '-' {
		command, args = args[0], args[1:]
	}
	flags := flag.NewFlagSet("serve "+command, flag.ExitOnError)
	door := flags.String("door", "127.0.0.1:7431", "address of the door")
	switch command {
	case "":
		address := flags.String("address", "127.0.0.1:7430", "address of the API")
		token := flags.String("token", opsleveltest.Token, "API token")
		if err := flags.Parse(args); err != nil {
			return err
		}
		return serve(*address, *door, *token)
	case "push":
		file := flags.String("f", "examples/job.yaml", "job file")
		n := flags.Int("n", 1, "how many")
		if err := flags.Parse(args); err != nil {
			return err
		}
		body, err := os.ReadFile(*file)
		if err != nil {
			return err
		}
		return knock(*door, "push", url.Values{"n": {strconv.Itoa(*n)}}, body)
	case "fail":
		every := flags.Int("every", 3, "one request in so many; 0: none")
		if err := flags.Parse(args); err != nil {
			return err
		}
		return knock(*door, "fail", url.Values{"every": {strconv.Itoa(*every)}}, nil)
	case "down":
		how := flags.Duration("for", 30*time.Second, "how long")
		if err := flags.Parse(args); err != nil {
			return err
		}
		return knock(*door, "down", url.Values{"for": {how.String()}}, nil)
	default:
		return fmt.Errorf("there is no command %q; there are push, fail and down", command)
	}
}

// knock asks the server of another process for something.
func knock(door, what string, query url.Values, body []byte) error {
	u := url.URL{Scheme: "http", Host: door, Path: "/" + what, RawQuery: query.Encode()}
	answer, err := http.Post(u.String(), "application/yaml", bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("%w; is `make dev-opslevel` running?", err)
	}
	defer answer.Body.Close() //nolint:errcheck // it was only read
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK {
		return errors.New(string(text))
	}
	fmt.Print(string(text))
	return nil
}

// server is the API, and its door.
type server struct {
	api *opsleveltest.Server
	// every: one request in so many fails.
	every, seen atomic.Int64
}

func serve(address, door, token string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	api, err := opsleveltest.Start(opsleveltest.Options{Address: address, Token: token})
	if err != nil {
		return err
	}
	defer api.Close() //nolint:errcheck // it has nothing to lose
	s := &server{api: api}
	api.Judge(s.judge)
	mux := http.NewServeMux()
	mux.HandleFunc("POST /push", s.push)
	mux.HandleFunc("POST /fail", s.fail)
	mux.HandleFunc("POST /down", s.down)
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", door)
	if err != nil {
		return err
	}
	side := &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	defer side.Close() //nolint:errcheck // as above
	go func() { _ = side.Serve(listener) }()
	fmt.Println("An OpsLevel API is at", api.URL())
	s.print(ctx)
	return nil
}

// judge fails one request in so many: in turns with a status, and with no answer.
func (s *server) judge(*opsleveltest.Request) *opsleveltest.Fault {
	every := s.every.Load()
	if every <= 0 {
		return nil
	}
	switch n := s.seen.Add(1); {
	case n%every != 0:
		return nil
	case n/every%2 == 0:
		return &opsleveltest.Fault{Status: http.StatusInternalServerError}
	default:
		return &opsleveltest.Fault{Drop: true}
	}
}

// job is a job file.
type job struct {
	Image        string   `json:"image"`
	Commands     []string `json:"commands"`
	InitImage    string   `json:"initImage"`
	InitCommands []string `json:"initCommands"`
	Variables    []struct {
		Key       string `json:"key"`
		Value     string `json:"value"`
		Sensitive bool   `json:"sensitive"`
		Scope     string `json:"scope"`
	} `json:"variables"`
	Files []struct {
		Name     string `json:"name"`
		Contents string `json:"contents"`
	} `json:"files"`
}

func (s *server) push(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 16<<20))
	var in job
	if err == nil {
		err = yaml.Unmarshal(body, &in)
	}
	n, wrong := strconv.Atoi(r.URL.Query().Get("n"))
	if err = errors.Join(err, wrong); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	out := opsleveltest.Job{Image: in.Image, Commands: in.Commands, InitImage: in.InitImage, InitCommands: in.InitCommands}
	for _, v := range in.Variables {
		out.Variables = append(out.Variables, opsleveltest.Variable{Key: v.Key, Value: v.Value, Sensitive: v.Sensitive, Scope: v.Scope})
	}
	for _, f := range in.Files {
		out.Files = append(out.Files, opsleveltest.File{Name: f.Name, Contents: f.Contents})
	}
	for range n {
		s.api.Add(out)
	}
	fmt.Fprintf(w, "%d jobs wait for a runner\n", n)
}

func (s *server) fail(w http.ResponseWriter, r *http.Request) {
	every, err := strconv.ParseInt(r.URL.Query().Get("every"), 10, 32)
	if err != nil || every < 0 {
		http.Error(w, "every is a number, 0 for none", http.StatusBadRequest)
		return
	}
	s.every.Store(every)
	if every == 0 {
		fmt.Fprintln(w, "no request fails")
		return
	}
	fmt.Fprintf(w, "one request in %d fails\n", every)
}

func (s *server) down(w http.ResponseWriter, r *http.Request) {
	d, err := time.ParseDuration(r.URL.Query().Get("for"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.api.Down()
	time.AfterFunc(d, func() {
		if err := s.api.Up(); err != nil {
			fmt.Fprintln(os.Stderr, "opslevel:", err)
			os.Exit(1)
		}
	})
	fmt.Fprintf(w, "away for %s\n", d)
}

// print prints the logs and outcomes of the jobs as they come, on stderr, since nobody reads stdout beyond its first line.
// It returns when ctx has ended.
func (s *server) print(ctx context.Context) {
	lines, done := map[string]int{}, map[string]bool{}
	_ = s.api.Wait(ctx, func() bool {
		for _, j := range s.api.Jobs() {
			all := j.Lines()
			for _, line := range all[lines[j.ID]:] {
				fmt.Fprintf(os.Stderr, "%s | %s\n", j.Number(), line)
			}
			lines[j.ID] = len(all)
			if j.Status == "complete" && !done[j.ID] {
				done[j.ID] = true
				fmt.Fprintf(os.Stderr, "%s = %s %v\n", j.Number(), j.Outcome, j.OutcomeVariables)
			}
		}
		return false
	})
}
