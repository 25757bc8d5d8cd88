package main

import (
	"fmt"
	"io"
	"net"
	"strings"
	"text/tabwriter"

	"github.com/entrepot-io/entrepot/upstream"
)

// printBanner prints the listen address, the store, the upstreams and sample client configurations.
func printBanner(w io.Writer, cfg config, listening net.Addr, upstreams []*upstream.Registry, canPresign bool) {
	fmt.Fprintf(w, "entrepot %s listens on %s\n\n", programVersion(), listening)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "  store\t%s\t%s\n", cfg.Store, delivery(cfg, canPresign))
	label := "mirrors"
	for i, u := range upstreams {
		note := ""
		if i == 0 {
			note = " (default)"
		}
		fmt.Fprintf(table, "  %s\t%s%s\t%s\n", label, u.Name(), note, strings.Join(u.Endpoints(), ", "))
		label = ""
	}
	table.Flush() // a write error has nowhere to go: w is standard output
	fmt.Fprintf(w, `
  Docker, in /etc/docker/daemon.json:
    { "registry-mirrors": ["http://%[1]s"] }
  containerd, in /etc/containerd/certs.d/_default/hosts.toml:
    [host."http://%[1]s"]
      capabilities = ["pull", "resolve"]
  any client, by name:
    docker pull %[1]s/%[2]s

`, dialAddress(listening.String()), exampleImage(upstreams[0].Name()))
}

// delivery describes how clients get blobs.
func delivery(cfg config, canPresign bool) string {
	if !canPresign {
		return "(blobs are streamed)"
	}
	to := "the bucket"
	if cfg.CDNURL.URL != nil {
		to = cfg.CDNURL.String()
	}
	return fmt.Sprintf("(redirects to %s: %s)", to, cfg.Redirect)
}

// dialAddress returns the address at which a client on this machine reaches a listener's address.
func dialAddress(listening string) string {
	host, port, err := net.SplitHostPort(listening)
	if err != nil {
		return listening
	}
	if host == "" || net.ParseIP(host).IsUnspecified() {
		host = "localhost"
	}
	return net.JoinHostPort(host, port)
}

// exampleImage returns an example of an image's path on this mirror, for an upstream.
func exampleImage(name string) string {
	if name == upstream.DockerHub {
		return "library/alpine"
	}
	return name + "/org/image"
}
