package upstream

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// challenge describes the authorization that an endpoint requires.
type challenge struct {
	scheme  string   // bearer or basic
	realm   *url.URL // of the token service
	service string
	scopes  []string // required
	allow   reach    // the addresses that the token service may have
}

// maxParameter limits in bytes each parameter of a challenge.
const maxParameter = 2 << 10

// readChallenges returns the supported challenges of a 401, Bearer before Basic, the order that containerd and Docker
// prefer.
func readChallenges(resp *http.Response, base *url.URL, allow reach) []*challenge {
	if resp.StatusCode != http.StatusUnauthorized {
		return nil
	}
	var all []*challenge
	for _, header := range resp.Header.Values("WWW-Authenticate") {
		for _, p := range parseChallenges(header) {
			if c := newChallenge(p, base, allow); c != nil {
				all = append(all, c)
			}
		}
	}
	slices.SortStableFunc(all, func(a, b *challenge) int { return -cmp.Compare(a.scheme, b.scheme) })
	return all
}

// newChallenge returns nil if the challenge is not supported.
func newChallenge(p parsedChallenge, base *url.URL, allow reach) *challenge {
	for _, value := range p.parameters {
		if len(value) > maxParameter {
			return nil
		}
	}
	c := &challenge{scheme: p.scheme, allow: allow}
	switch p.scheme {
	case "basic":
		return c
	case "bearer":
		realm, err := base.Parse(p.parameters["realm"])
		if err != nil || p.parameters["realm"] == "" || realm.Host == "" {
			return nil
		}
		realm.User, realm.Fragment = nil, ""
		c.realm, c.service, c.scopes = realm, p.parameters["service"], strings.Fields(p.parameters["scope"])
		return c
	}
	return nil
}

// parsedChallenge is one challenge of a WWW-Authenticate header. Names are in lower case.
type parsedChallenge struct {
	scheme     string
	parameters map[string]string
}

// parseChallenges reads all challenges of one header, RFC 9110 section 11.6.1. It is more liberal than the RFC: values
// without quotes may contain any character, in a scope even commas, and spaces may replace commas.
func parseChallenges(header string) []parsedChallenge {
	var all []parsedChallenge
	open := "" // the parameter that the next word may belong to
	for rest := header; ; {
		rest = strings.TrimLeft(rest, " \t,")
		if rest == "" {
			return all
		}
		end := strings.IndexAny(rest, " \t,=")
		if end < 0 {
			end = len(rest)
		}
		word := rest[:end]
		rest = rest[end:]
		after := strings.TrimLeft(rest, " \t")
		switch {
		case strings.HasPrefix(after, "=") && len(all) > 0:
			name := strings.ToLower(word)
			value, quoted, left := parameterValue(strings.TrimLeft(after[1:], " \t"))
			if former := all[len(all)-1].parameters[name]; name == "scope" && former != "" {
				value = former + " " + value
			}
			all[len(all)-1].parameters[name] = value
			rest, open = left, ""
			if !quoted && name == "scope" {
				open = name
			}
		case open != "" && (after == "" || after[0] == ','):
			all[len(all)-1].parameters[open] += "," + word
		case word == "": // a stray =
			rest = rest[1:]
		default:
			all = append(all, parsedChallenge{strings.ToLower(word), map[string]string{}})
			open = ""
		}
	}
}

// parameterValue reads a value, quoted or not, and returns the rest of the header.
func parameterValue(s string) (value string, quoted bool, rest string) {
	if !strings.HasPrefix(s, `"`) {
		end := strings.IndexAny(s, " \t,")
		if end < 0 {
			end = len(s)
		}
		return s[:end], false, s[end:]
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '"':
			return b.String(), true, s[i+1:]
		case s[i] == '\\' && i+1 < len(s):
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String(), true, ""
}
