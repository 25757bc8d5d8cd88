//go:build e2e

package e2e_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// request is a line of the access log.
type request struct {
	Message    string    `json:"msg"`
	Time       time.Time `json:"time"`
	Method     string    `json:"method"`
	Path       string    `json:"path"`
	Status     int       `json:"status"`
	Bytes      int64     `json:"bytes"`
	Registry   string    `json:"registry"`
	Repository string    `json:"repository"`
	Served     string    `json:"served"`
	Agent      string    `json:"agent"`
}

// parseAccessLog returns the requests in the program's output, which also has the banner and other log events.
func parseAccessLog(t testing.TB, output string) []request {
	t.Helper()
	var requests []request
	for line := range strings.Lines(output) {
		if !strings.HasSuffix(line, "\n") {
			break // still being written
		}
		if !strings.HasPrefix(line, "{") {
			continue
		}
		var r request
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Errorf("log line is not JSON: %q", line)
			continue
		}
		if r.Message == "request" {
			requests = append(requests, r)
		}
	}
	return requests
}

// blobDigest returns the digest of the requested blob, or false if r is not a GET of a blob.
func (r request) blobDigest() (string, bool) {
	_, digest, found := strings.Cut(r.Path, "/blobs/")
	return digest, found && r.Method == "GET"
}
