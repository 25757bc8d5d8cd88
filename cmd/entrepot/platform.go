package main

import (
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/lambdacontext"
)

const (
	// shortDrain and handOverLimit together stay below the 10 s that Cloud Run allows between SIGTERM and SIGKILL. A fill
	// takes at most 3 s to complete its segments, then it releases its lease.
	shortDrain    = "5s"
	handOverLimit = 3500 * time.Millisecond
)

// platform describes the platform that runs the program, such as Cloud Run or AWS Lambda.
type platform struct {
	portVariable string        // variable that sets the address or port to listen on
	handOver     time.Duration // limit for the work after the last response; 0 means no limit
	function     bool          // on AWS Lambda: fetch events, do not listen
	freezes      bool          // the process does not run between requests
}

// detectPlatform detects the platform from the environment, and gives unset settings the platform's defaults.
func detectPlatform(environment map[string]string) (platform, error) {
	p := platform{portVariable: prefix + "LISTEN"}
	if environment[runtimeAPI] != "" {
		p.function, p.freezes = true, lambdacontext.MaxConcurrency() <= 1
		defaultForFunction(environment)
	}
	port := strings.TrimSpace(environment["PORT"])
	short := port != ""
	for _, variable := range []string{"K_SERVICE", "CONTAINER_APP_NAME"} { // Cloud Run and Knative; Azure Container Apps
		short = short || environment[variable] != ""
	}
	if short {
		p.handOver = handOverLimit
		setDefault(environment, prefix+"DRAIN_TIMEOUT", shortDrain)
	}
	if port != "" && environment[p.portVariable] == "" {
		p.portVariable = "PORT"
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return p, wrong("PORT", "%q is not a port; write a number from 1 to 65535, or set ENTREPOT_LISTEN", port)
		}
		environment[prefix+"LISTEN"] = ":" + port
	}
	return p, nil
}

func setDefault(environment map[string]string, variable, value string) {
	if environment[variable] == "" {
		environment[variable] = value
	}
}

// frozenIdleTimeout is how long idle connections are kept on platforms that freeze the process. After a freeze most of them
// are dead, some without a sign of it. net/http measures the time by the wall clock, which includes the freeze.
const frozenIdleTimeout = 3 * time.Second

// idleTimeout returns how long idle connections are kept; 0 means the client's default.
func (p platform) idleTimeout() time.Duration {
	if p.freezes {
		return frozenIdleTimeout
	}
	return 0
}

// finish runs the work that remains after the last response, but returns when the platform's time limit is reached.
func (p platform) finish(work func(), log *slog.Logger) {
	if p.handOver == 0 {
		work()
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		work()
	}()
	select {
	case <-done:
	case <-time.After(p.handOver):
		log.Warn("shutdown deadline exceeded before handover", "timeout", p.handOver)
	}
}
