package main

import (
	"log/slog"
	"net"
	"os"

	"github.com/entrepot-io/entrepot/handlers"
)

// warnOfBucketHost warns if the bucket's host name keeps some clients from following redirects to it.
func warnOfBucketHost(log *slog.Logger, host, listenAddress string) {
	bucket := handlers.NewBucketHost(host)
	if bucket.Inner() {
		log.Warn("streaming to go-containerregistry clients", "host", host,
			"reason", "clients such as crane, cosign, ko and kaniko do not follow redirects to a private IP address",
			"remedy", "name the bucket's host, here or in ENTREPOT_STORE_PUBLIC_ENDPOINT")
	}
	for _, own := range ownNames(listenAddress) {
		if bucket.Under(own) {
			log.Warn("streaming to clients with credentials", "host", host,
				"reason", "clients that reach this mirror under the bucket's host name send their credentials to the bucket too, which rejects them",
				"remedy", "give the bucket a host name of its own in ENTREPOT_STORE_PUBLIC_ENDPOINT")
			return
		}
	}
}

// ownNames returns the host names and addresses of this machine, under which clients may reach the mirror.
func ownNames(listenAddress string) []string {
	names := []string{"localhost"}
	if host, _, err := net.SplitHostPort(listenAddress); err == nil && host != "" {
		names = append(names, host)
	}
	if name, err := os.Hostname(); err == nil {
		names = append(names, name)
	}
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return names // the names still allow some warnings
	}
	for _, address := range addresses {
		if network, ok := address.(*net.IPNet); ok {
			names = append(names, network.IP.String())
		}
	}
	return names
}
