//go:build e2e

package cluster_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/entrepot-io/entrepot/infra/testenv"
)

// A balancer is a running load balancer with the configuration from docs/load-balancer.md.
type balancer struct {
	name    string
	addr    string
	process *testenv.Process
}

// nginxMain is the main configuration, which a distribution's nginx.conf provides in production.
const nginxMain = `
daemon off;
user root;
worker_processes 1;
pid %[1]s/nginx.pid;
error_log stderr warn;
events { worker_connections 1024; }
http {
    log_format tries '$time_iso8601 $status $body_bytes_sent "$request" to=$upstream_addr status=$upstream_status took=$upstream_response_time agent="$http_user_agent"';
    access_log /dev/stdout tries;
    client_body_temp_path %[1]s/body;
    proxy_temp_path %[1]s/proxy;
    fastcgi_temp_path %[1]s/fastcgi;
    uwsgi_temp_path %[1]s/uwsgi;
    scgi_temp_path %[1]s/scgi;
    include %[2]s;
}
`

func startNginx(t *testing.T, replicas []string) *balancer {
	t.Helper()
	b := &balancer{name: "nginx", addr: testenv.FreeAddr(t, "127.0.0.1")}
	folder := t.TempDir()
	site := write(t, folder, "entrepot.conf", documented(t, "nginx", "listen 80;", "listen "+b.addr+";", replicas))
	main := write(t, folder, "nginx.conf", fmt.Sprintf(nginxMain, folder, site))
	b.process = testenv.Start(quiet{t}, b.name, nil, testenv.Tool(t, "nginx"), "-p", folder, "-c", main)
	b.process.WaitHTTP(t, "http://"+b.addr+"/v2/")
	return b
}

// haproxyMain is the global section, which a distribution's haproxy.cfg provides in production.
const haproxyMain = `
global
    log stdout format raw local0
    maxconn 1024
`

func startHAProxy(t *testing.T, replicas []string) *balancer {
	t.Helper()
	b := &balancer{name: "haproxy", addr: testenv.FreeAddr(t, "127.0.0.1")}
	folder := t.TempDir()
	main := write(t, folder, "main.cfg", haproxyMain)
	site := write(t, folder, "site.cfg", documented(t, "haproxy", "bind :80", "bind "+b.addr, replicas))
	b.process = testenv.Start(quiet{t}, b.name, nil, testenv.Tool(t, "haproxy"), "-db", "-f", main, "-f", site)
	b.process.WaitHTTP(t, "http://"+b.addr+"/v2/")
	return b
}

// documented returns a balancer's configuration from docs/load-balancer.md, with this test's addresses.
func documented(t *testing.T, language, listen, here string, replicas []string) string {
	t.Helper()
	path := filepath.Join(testenv.Root(), "docs", "load-balancer.md")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, after, found := strings.Cut(string(text), "```"+language+"\n")
	config, _, ended := strings.Cut(after, "\n```\n")
	if !found || !ended {
		t.Fatalf("%s has no %s code block", path, language)
	}
	swap := []string{listen, here}
	for i, addr := range replicas {
		swap = append(swap, fmt.Sprintf("entrepot-%d:5000", i+1), addr)
	}
	for i := 0; i < len(swap); i += 2 {
		if strings.Count(config, swap[i]) != 1 {
			t.Fatalf("%s: the %s code block must contain %q exactly once", path, language, swap[i])
		}
	}
	return strings.NewReplacer(swap...).Replace(config) + "\n"
}

func write(t *testing.T, folder, name, text string) string {
	t.Helper()
	path := filepath.Join(folder, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// quiet suppresses the output of each process when the test fails. The journal has the relevant part.
type quiet struct{ testing.TB }

func (quiet) Failed() bool { return false }
