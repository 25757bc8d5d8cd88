package handlers

import (
	"errors"
	"strings"
)

// kind is what a request of the pull API asks for. Its value is used in metrics and logs.
type kind string

const (
	kindUnknown   kind = "unknown"
	kindBase      kind = "base"
	kindManifest  kind = "manifest"
	kindBlob      kind = "blob"
	kindTags      kind = "tags"
	kindReferrers kind = "referrers"
)

// route is a parsed path of the API. Its parts are not yet validated.
type route struct {
	kind kind
	name string // the repository as the client names it, possibly after a registry's name
	ref  string // tag or digest
}

// errNoRoute means that the path is not part of the API.
var errNoRoute = errors.New("no such endpoint")

// parseRoute splits a path from the right, since names contain slashes and may contain the API's words. Distribution spec,
// "Endpoints".
func parseRoute(path string) (route, error) {
	rest, ok := strings.CutPrefix(path, "/v2")
	if !ok {
		return route{}, errNoRoute
	}
	if rest == "" || rest == "/" {
		return route{kind: kindBase}, nil
	}
	rest = rest[1:]
	if name, ok := strings.CutSuffix(rest, "/tags/list"); ok && name != "" {
		return route{kind: kindTags, name: name}, nil
	}
	before, ref, ok := cutLast(rest, "/")
	if !ok || ref == "" {
		return route{}, errNoRoute
	}
	name, word, ok := cutLast(before, "/")
	if !ok || name == "" {
		return route{}, errNoRoute
	}
	switch word {
	case "manifests":
		return route{kindManifest, name, ref}, nil
	case "blobs":
		return route{kindBlob, name, ref}, nil
	case "referrers":
		return route{kindReferrers, name, ref}, nil
	}
	return route{}, errNoRoute
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}
