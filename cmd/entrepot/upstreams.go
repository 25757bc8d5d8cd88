package main

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/entrepot-io/entrepot/upstream"
)

// upstreamList is the value of ENTREPOT_UPSTREAMS.
type upstreamList []upstreamSetting

type upstreamSetting struct {
	name      string
	endpoints []*url.URL // empty means https://NAME
}

// registryName matches a registry in an image's name: a host, optionally with a port.
var registryName = regexp.MustCompile(`^[a-z0-9]([a-z0-9._-]*[a-z0-9])?(:[0-9]{1,5})?$`)

// UnmarshalText parses NAME[=ENDPOINT[|ENDPOINT...]],...
func (l *upstreamList) UnmarshalText(text []byte) error {
	seen := map[string]bool{}
	*l = nil
	for entry := range strings.SplitSeq(string(text), ",") {
		if entry = strings.TrimSpace(entry); entry == "" {
			continue
		}
		name, list, hasList := strings.Cut(entry, "=")
		u := upstreamSetting{name: upstream.CanonicalRegistry(strings.TrimSpace(name))}
		if !registryName.MatchString(u.name) {
			return fmt.Errorf("%q is not a registry name; write for example ghcr.io or corp=http://10.0.0.5:5000", name)
		}
		if seen[u.name] {
			return fmt.Errorf("two upstreams are named %s; rename one, or combine their endpoints: %s=URL|URL", u.name, u.name)
		}
		seen[u.name] = true
		if hasList {
			for endpoint := range strings.SplitSeq(list, "|") {
				parsed, err := parseEndpoint(strings.TrimSpace(endpoint))
				if err == nil {
					err = checkAPIPath(parsed)
				}
				if err != nil {
					return fmt.Errorf("upstream %s: %w", u.name, err)
				}
				u.endpoints = append(u.endpoints, parsed)
			}
		}
		*l = append(*l, u)
	}
	if len(*l) == 0 {
		return errors.New("names no upstream; write for example docker.io,ghcr.io")
	}
	return nil
}

// checkAPIPath rejects an endpoint whose path contains /v2/: entrepot adds it, and the part after it belongs to a
// repository's name.
func checkAPIPath(u *url.URL) error {
	segments := strings.Split(strings.Trim(u.Path, "/"), "/")
	at := slices.Index(segments, "v2")
	if at < 0 {
		return nil
	}
	right := *u
	right.Path, right.RawPath = strings.TrimSuffix("/"+strings.Join(segments[:at], "/"), "/"), ""
	if below := strings.Join(segments[at+1:], "/"); below != "" {
		return fmt.Errorf("%q has a path after /v2; write %s, and pull %s/NAME", u, &right, below)
	}
	return fmt.Errorf("%q ends in /v2, which entrepot adds itself; write %s", u, &right)
}

// open returns the clients of all upstreams. base has their common configuration; observe may change each.
func (l upstreamList) open(base upstream.Config, observe func(name string, c *upstream.Config)) ([]*upstream.Registry, error) {
	var all []*upstream.Registry
	for _, u := range l {
		c := base
		c.Name, c.Endpoints = u.name, u.endpoints
		observe(u.name, &c)
		registry, err := upstream.New(c)
		if err != nil {
			return nil, wrong("ENTREPOT_UPSTREAMS", "%w", err)
		}
		all = append(all, registry)
	}
	return all, nil
}
