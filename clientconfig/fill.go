package clientconfig

import (
	"embed"
	"fmt"
	"regexp"
	"strings"
)

//go:embed files
var files embed.FS

// insecure is a part of a text that is only for mirrors without TLS.
var insecure = regexp.MustCompile(`(?s)\{\{if \.Insecure\}\}(.*?)\{\{end\}\}`)

// fill returns a text with the mirror's names in place of {{.URL}} and {{.URL.Host}}. The package text/template would do
// more, but makes the program 12 MB larger: with it, the linker keeps every exported method.
func (m Mirror) fill(text string) string {
	kept := ""
	if m.isInsecure() {
		kept = "$1"
	}
	return strings.NewReplacer("{{.URL}}", m.URL.String(), "{{.URL.Host}}", m.URL.Host).Replace(insecure.ReplaceAllString(text, kept))
}

// file returns the text of a file.
func (m Mirror) file(name string) string {
	switch name {
	case "buildkitd.toml":
		return m.buildkitd()
	case "registries.conf":
		return m.registriesConf()
	}
	text, err := files.ReadFile("files/" + name)
	if err != nil {
		panic(err) // all files are part of the program, and a test reads them
	}
	return m.fill(string(text))
}

func (m Mirror) buildkitd() string {
	var b strings.Builder
	for _, name := range m.registries() {
		fmt.Fprintf(&b, "[registry.%q]\n  mirrors = [%q]\n", name, m.URL.Host)
	}
	if m.isInsecure() {
		fmt.Fprintf(&b, "[registry.%q]\n  http = true\n", m.URL.Host)
	}
	return b.String()
}

func (m Mirror) registriesConf() string {
	var entries []string
	for _, name := range m.registries() {
		entry := fmt.Sprintf("[[registry]]\nlocation = %q\n[[registry.mirror]]\nlocation = %q\n", name, m.Location(name))
		if m.isInsecure() {
			entry += "insecure = true\n"
		}
		entries = append(entries, entry)
	}
	return strings.Join(entries, "\n")
}

// isInsecure reports whether the mirror is without TLS.
func (m Mirror) isInsecure() bool { return m.URL.Scheme == "http" }

// registries returns the upstreams that an image's name can begin with.
func (m Mirror) registries() []string {
	var names []string
	for _, name := range m.Upstreams {
		if isRegistry(name) {
			names = append(names, name)
		}
	}
	return names
}
