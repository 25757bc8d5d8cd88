package clientconfig

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// Mirror describes a mirror as its clients see it.
type Mirror struct {
	URL       *url.URL // scheme and host
	Upstreams []string // names of the registries that it mirrors; the first is the default
}

// Naming is how a client tells the mirror which registry it wants.
type Naming string

// All ways of naming.
const (
	ByNS      Naming = "ns"      // by the query parameter ns
	ByPath    Naming = "path"    // by the first segment of the path; none for the default upstream
	ByDefault Naming = "default" // not at all: it wants the default upstream
)

// Section is the configuration of one kind of client. All texts are Markdown.
type Section struct {
	Title    string   `json:"title"`
	Versions string   `json:"versions"` // of the client; empty: all
	About    string   `json:"about"`
	Naming   Naming   `json:"naming"`
	Files    []File   `json:"files"`
	Notes    []string `json:"notes"`
	// NotMirrored are the upstreams that the client does not pull through the mirror by their images' own names.
	NotMirrored []NotMirrored `json:"notMirrored"`
}

// File is a file on the client's machine.
type File struct {
	Path  string `json:"path"`
	Intro string `json:"intro"` // a line that ends with a colon
	Text  string `json:"text"`

	language string
}

// NotMirrored is an upstream that a client cannot mirror.
type NotMirrored struct {
	Upstream string `json:"upstream"`
	Reason   string `json:"reason"`
	Instead  string `json:"instead"` // the image's name to pull in its place; empty: none
}

// Clients returns the names of all clients.
func Clients() []string {
	var names []string
	for _, c := range clients {
		names = append(names, c.name)
	}
	return names
}

// For returns the configuration of a client for a mirror. version selects the files for that version of the client; the zero value
// selects all. It fails if the client is unknown, or if the version cannot use a mirror.
func For(client string, version Version, m Mirror) ([]Section, error) {
	at := slices.IndexFunc(clients, func(c clientEntry) bool { return c.name == client })
	if at < 0 {
		return nil, fmt.Errorf("%q is not a known client; write one of %s", client, strings.Join(Clients(), ", "))
	}
	var sections []Section
	for _, s := range clients[at].sections {
		if made := s.make(version, m); len(made.Files) > 0 {
			sections = append(sections, made)
		}
	}
	if len(sections) == 0 {
		return nil, fmt.Errorf("%s %s has no configuration for mirrors that is known here", client, version)
	}
	return sections, nil
}

// make returns the section for a mirror.
func (s sectionEntry) make(version Version, m Mirror) Section {
	made := Section{
		Title: s.title, Versions: s.versions.String(), About: m.fill(s.about), Naming: s.naming,
		Files: []File{}, Notes: []string{}, NotMirrored: []NotMirrored{},
	}
	for _, f := range s.files {
		if s.versions.include(version) && f.versions.include(version) {
			made.Files = append(made.Files, File{Path: f.path, Intro: m.fill(f.intro), Text: m.file(f.template), language: f.language})
		}
	}
	for _, note := range s.notes {
		if note = m.fill(note); note != "" {
			made.Notes = append(made.Notes, note)
		}
	}
	for _, upstream := range m.Upstreams {
		if reason := m.obstacle(s.naming, upstream); reason != "" {
			made.NotMirrored = append(made.NotMirrored, NotMirrored{Upstream: upstream, Reason: reason, Instead: m.byName(upstream)})
		}
	}
	return made
}

// hub is the only registry that Docker mirrors without its containerd image store.
const hub = "docker.io"

// obstacle returns why a client cannot mirror an upstream, or nothing if it can.
func (m Mirror) obstacle(naming Naming, upstream string) string {
	switch {
	case !isRegistry(upstream):
		return "an image's name cannot begin with it: a registry's name has a dot or a port"
	case naming == ByDefault && upstream != hub:
		return "this client uses mirrors only for Docker Hub"
	case naming == ByDefault && m.Upstreams[0] != hub:
		return "this client does not name the registry, and the mirror's first upstream is " + m.Upstreams[0]
	}
	return ""
}

// isRegistry reports whether clients take the first segment of an image's name for a registry.
func isRegistry(name string) bool { return name == "localhost" || strings.ContainsAny(name, ".:") }

// byName returns the name under which any client can pull an image of an upstream from the mirror.
func (m Mirror) byName(upstream string) string { return m.Location(upstream) + "/org/app" }

// Location returns the mirror's host, followed by the name of an upstream other than the default.
func (m Mirror) Location(upstream string) string {
	if upstream == m.Upstreams[0] {
		return m.URL.Host
	}
	return m.URL.Host + "/" + upstream
}
