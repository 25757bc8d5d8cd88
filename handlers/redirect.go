package handlers

import (
	"fmt"
	"net/netip"
	"strings"
)

// Redirect says which clients are redirected to the bucket for blobs. Other clients get the bytes. The zero value redirects
// all. It has no effect if the store cannot presign.
type Redirect struct {
	never   bool
	clients []netip.Prefix // empty for all
}

// UnmarshalText reads "always", "never", or a list of client networks.
func (r *Redirect) UnmarshalText(text []byte) error {
	switch s := strings.TrimSpace(string(text)); s {
	case "", "always":
		*r = Redirect{}
	case "never":
		*r = Redirect{never: true}
	default:
		clients, err := ParseNetworks(s)
		if err != nil {
			return fmt.Errorf("%w; write always, never, or a list of client networks such as 10.0.0.0/8,fd00::/8", err)
		}
		*r = Redirect{clients: clients}
	}
	return nil
}

func (r Redirect) String() string {
	switch {
	case r.never:
		return "never"
	case len(r.clients) == 0:
		return "always"
	}
	return fmt.Sprintf("for clients in %v", r.clients)
}

// to reports whether the client at an address is redirected.
func (r Redirect) to(client string) bool {
	return !r.never && (len(r.clients) == 0 || contain(r.clients, client))
}
