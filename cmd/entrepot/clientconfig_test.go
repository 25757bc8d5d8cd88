package main_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/infra/testenv"
)

// checks is what checking commands print as JSON.
type checks struct {
	Checks []struct {
		Subject, Check, Result, Detail, Consequence, Remedy string
	}
	Broken, Warnings int
}

// runChecks runs a checking command with --output json. Its exit code must match the results.
func (w *cluster) runChecks(t *testing.T, args ...string) checks {
	t.Helper()
	r := w.run(t, append(args, "--output", "json")...)
	var all checks
	require.NoError(t, json.Unmarshal([]byte(r.stdout), &all), "%s\n%s", r.stdout, r.stderr)
	all.check(t)
	if all.Broken == 0 {
		assert.Zero(t, r.exit)
		assert.Empty(t, r.stderr)
	} else {
		assert.Equal(t, 1, r.exit)
		assert.Equal(t, all.Broken, strings.Count(r.stderr, "\n"), "one line per failure: %s", r.stderr)
	}
	return all
}

// check fails the test if a result is incomplete.
func (c checks) check(t *testing.T) {
	t.Helper()
	broken, warnings := 0, 0
	for _, f := range c.Checks {
		assert.NotEmpty(t, f.Subject)
		assert.NotEmpty(t, f.Check)
		assert.NotEmpty(t, f.Detail)
		assert.NotContains(t, f.Detail, "\n")
		assert.Equal(t, f.Result == "ok", f.Consequence == "" && f.Remedy == "", "%+v", f)
		switch f.Result {
		case "broken":
			broken++
		case "warning":
			warnings++
		default:
			assert.Equal(t, "ok", f.Result)
		}
	}
	assert.Equal(t, c.Broken, broken)
	assert.Equal(t, c.Warnings, warnings)
}

// of returns the results by the names of their checks.
func (c checks) of(t *testing.T, check string) (result, detail, remedy string) {
	t.Helper()
	for _, f := range c.Checks {
		if f.Check == check {
			return f.Result, f.Detail, f.Remedy
		}
	}
	t.Fatalf("no check %q in %+v", check, c.Checks)
	return "", "", ""
}

func TestClientConfigPrintsWhatThePageShows(t *testing.T) {
	t.Parallel()
	w := newCluster(t)
	for client, line := range map[string]string{
		"docker":   "## Docker with the containerd image store",
		"podman":   "## Podman, Buildah and CRI-O",
		"crio":     "## Podman, Buildah and CRI-O",
		"buildkit": "## BuildKit",
		"nerdctl":  "## nerdctl",
		"k3s":      "## k3s",
		"rke2":     "## RKE2",
		"talos":    "## Talos",
	} {
		args := []string{"client-config", client, "--url", "http://mirror:5000/", "--upstreams", "docker.io,ghcr.io"}
		snippet := testenv.Snippet(t, "docs/clients.md", line)
		r := w.run(t, args...)
		assert.Zero(t, r.exit, r.stderr)
		assert.Contains(t, r.stdout, "<==\n"+snippet, client)
		var config struct {
			Client, URL string
			Upstreams   []string
			Sections    []struct{ Files []struct{ Path, Text string } }
		}
		w.runJSON(t, &config, args...)
		assert.Equal(t, client, config.Client)
		assert.Equal(t, []string{"docker.io", "ghcr.io"}, config.Upstreams)
		assert.Equal(t, snippet, config.Sections[0].Files[0].Text)
	}
	r := w.run(t, "client-config", "docker", "--url", "http://mirror:5000", "--upstreams", "docker.io,ghcr.io", "--client-version", "20.10")
	assert.Contains(t, r.stdout, "\nNot mirrored: ghcr.io, since this client uses mirrors only for Docker Hub. Pull mirror:5000/ghcr.io/org/app for ghcr.io/org/app.\n")
	assert.NotContains(t, r.stdout, "hosts.toml <==")
}

func TestClientConfigRejectsWrongUsage(t *testing.T) {
	t.Parallel()
	w := newCluster(t)
	for want, args := range map[string][]string{
		"name one client":         {},
		"name the mirror's URL":   {"docker"},
		"is not a known client":   {"rkt", "--url", "http://mirror"},
		"is not a URL":            {"docker", "--url", "mirror:5000"},
		"has a path":              {"docker", "--url", "http://mirror/v2"},
		"is not a version":        {"docker", "--url", "http://mirror", "--client-version", "new"},
		"has no configuration":    {"containerd", "--url", "http://mirror", "--client-version", "1.2"},
		"is not an image":         {"docker", "--url", "http://mirror", "--check", "--image", "app"},
		"is not a registry name":  {"docker", "--url", "http://mirror", "--upstreams", "?"},
		"unknown flag: --version": {"docker", "--version", "1"},
	} {
		r := w.run(t, append([]string{"client-config"}, args...)...)
		assert.Equal(t, 2, r.exit, want)
		assert.Contains(t, r.stderr, want)
		assert.Empty(t, r.stdout)
	}
}

func TestClientConfigChecksTheMirror(t *testing.T) {
	t.Parallel()
	w := newCluster(t)
	w.upstream.Image("library/app", "1", 1000)
	r := w.start(t, "ENTREPOT_UPSTREAMS=docker.io="+w.upstream.URL()+",corp.example="+w.upstream.URL())
	address := "http://" + r.program.addr
	check := func(client string, args ...string) checks {
		return w.runChecks(t, append([]string{"client-config", client, "--check", "--url", address, "--upstreams", "docker.io,corp.example",
			"--image", "docker.io/library/app:1", "--image", "corp.example/library/app:1"}, args...)...)
	}
	for _, client := range []string{"containerd", "podman"} {
		all := check(client)
		assert.Zero(t, all.Broken+all.Warnings, "%+v", all)
		_, detail, _ := all.of(t, "resolve from corp.example")
		assert.Contains(t, detail, "library/app:1 is sha256:")
		_, detail, _ = all.of(t, "pull from corp.example")
		assert.Contains(t, detail, " came from "+w.bucket.server.Addr)
		_, detail, _ = all.of(t, "readiness")
		assert.Equal(t, "ready", detail)
	}
	assert.Len(t, check("docker", "--client-version", "20").Checks, 4, "only Docker Hub")

	result, _, remedy := check("containerd", "--upstreams", "docker.io,other.example", "--image", "other.example/app").of(t, "resolve from other.example")
	assert.Equal(t, "broken", result)
	assert.Contains(t, remedy, "add other.example to ENTREPOT_UPSTREAMS")
	result, _, remedy = check("containerd", "--upstreams", "docker.io,other.example").of(t, "resolve from other.example")
	assert.Equal(t, "warning", result)
	assert.Contains(t, remedy, "--image")
	result, _, remedy = check("containerd", "--url", "https://"+r.program.addr).of(t, "API")
	assert.Equal(t, "broken", result)
	assert.Contains(t, remedy, "write http://")
	result, _, remedy = check("containerd", "--url", "http://"+testenv.FreeAddr(t, "127.0.0.1")).of(t, "API")
	assert.Equal(t, "broken", result)
	assert.Contains(t, remedy, "start entrepot")

	hidden := w.start(t, "ENTREPOT_STORE_PUBLIC_ENDPOINT=http://"+testenv.FreeAddr(t, "127.0.0.1"))
	result, _, remedy = check("containerd", "--url", "http://"+hidden.program.addr, "--upstreams", "docker.io").of(t, "pull from docker.io")
	assert.Equal(t, "broken", result)
	assert.Contains(t, remedy, "ENTREPOT_STORE_PUBLIC_ENDPOINT")

	secure := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(secure.Close)
	result, _, remedy = check("containerd", "--url", secure.URL).of(t, "API")
	assert.Equal(t, "broken", result)
	assert.Contains(t, remedy, "certificate")
	result, _, remedy = check("containerd", "--url", "http://"+strings.TrimPrefix(secure.URL, "https://")).of(t, "API")
	assert.Equal(t, "broken", result)
	assert.Contains(t, remedy, "write https://")

	text := w.run(t, "client-config", "containerd", "--check", "--url", address, "--upstreams", "docker.io", "--image", "docker.io/library/app:1")
	assert.Zero(t, text.exit, text.stderr)
	assert.Contains(t, text.stdout, "  ok       API")
	assert.Contains(t, text.stdout, "\n4 checks, 0 broken, 0 with warnings\n")
}

func TestInterruptedCheckEndsSoon(t *testing.T) {
	t.Parallel()
	hangs := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		closeOnce(hangs)
		<-r.Context().Done()
	}))
	t.Cleanup(server.Close)
	p := testenv.Start(t, "check", nil, testenv.Program(t), "client-config", "containerd", "--check", "--url", server.URL)
	<-hangs
	began := time.Now()
	p.Signal(t, os.Interrupt)
	p.Wait(t, time.Second)
	assert.Less(t, time.Since(began), time.Second)
}
