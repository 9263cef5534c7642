package config

import (
	"os"
	"time"
)

// defaultPipeline is the name of the pipeline that is meant when nobody names one.
const defaultPipeline = "default"

// Builtin returns the configuration of a machine with no runner.hcl: it finds outcome variables and masks secrets.
func Builtin() *Config {
	s := &source{scope: newScope(".")}
	return &Config{
		Runner: defaultRunner(),
		source: s,
		Pipelines: []*Pipeline{{
			Name: defaultPipeline,
			Processors: []*Processor{
				{Use: Use{Name: "outcome", source: s}, OnError: OnErrorFail},
				{Use: Use{Name: "sanitize", source: s}, OnError: OnErrorFail},
			},
			Deliver: defaultDeliver(),
			Local:   defaultLocal(),
		}},
	}
}

func defaultRunner() Runner {
	// A host with no name is still a host; the name serves people only.
	name, err := os.Hostname()
	if err != nil || name == "" {
		name = "runner"
	}
	return Runner{Name: name, Concurrency: 3}
}

func defaultDeliver() Deliver {
	return Deliver{MaxBytes: 1_000_000, MaxInterval: 30 * time.Second}
}

func defaultLocal() Local {
	return Local{
		Shell:    "/bin/sh",
		Workdir:  "/jobs",
		Lifetime: time.Hour,
		XTrace:   true,
		Grace:    3 * time.Second,
	}
}
