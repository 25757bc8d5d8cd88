package testenv

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"
)

// A Registry is a server of the reference implementation, distribution, with its content in a folder of the test. It
// accepts pushes and deletes without credentials.
type Registry struct {
	Addr string // host:port, plain HTTP

	process *Process
}

// StartRegistry starts an empty registry on a free port of host, an address such as 127.0.0.2.
func StartRegistry(t testing.TB, host string) *Registry {
	t.Helper()
	tool := Tool(t, "registry")
	folder := t.TempDir()
	r := &Registry{Addr: FreeAddr(t, host)}
	config := filepath.Join(folder, "config.yml")
	// Allow manifests with foreign layers, which a mirror must pass on.
	text := fmt.Sprintf(`version: 0.1
log: {level: warn, accesslog: {disabled: false}}
storage:
  filesystem: {rootdirectory: %q}
  delete: {enabled: true}
http: {addr: %q, secret: test}
validation: {manifests: {urls: {allow: ["^https?://"]}}}
`, filepath.Join(folder, "content"), r.Addr)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	r.process = Start(t, "registry", []string{"OTEL_TRACES_EXPORTER=none"}, tool, "serve", config)
	r.process.WaitHTTP(t, r.URL()+"/v2/")
	return r
}

// URL returns the registry's URL, without a trailing slash.
func (r *Registry) URL() string { return "http://" + r.Addr }

// An Answer is a request that a registry has served.
type Answer struct {
	Method string
	Path   string // including the query
	Status int
	Bytes  int64 // size of the response body
}

// accessLine matches a line of the access log, in Apache's format: ... "GET /v2/ HTTP/1.1" 200 2 "" "agent".
var accessLine = regexp.MustCompile(`(?m)"([A-Z]+) (\S+) HTTP/[0-9.]+" (\d{3}) (\d+) `)

// Answers returns the requests that the registry has served so far, oldest first.
func (r *Registry) Answers(t testing.TB) []Answer {
	t.Helper()
	var answers []Answer
	for _, match := range accessLine.FindAllStringSubmatch(r.process.Output(t), -1) {
		answer := Answer{Method: match[1], Path: match[2]}
		answer.Status, _ = strconv.Atoi(match[3])            // the expression matches only digits
		answer.Bytes, _ = strconv.ParseInt(match[4], 10, 64) // likewise
		answers = append(answers, answer)
	}
	return answers
}

// Stop kills the registry and fails the test if its address still accepts connections.
func (r *Registry) Stop(t testing.TB) {
	t.Helper()
	r.process.Kill()
	if conn, err := net.DialTimeout("tcp", r.Addr, time.Second); err == nil {
		conn.Close()
		t.Fatalf("%s still accepts connections after the registry stopped", r.Addr)
	}
}
