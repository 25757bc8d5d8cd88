package clientconfig

import (
	"embed"
	"strings"
	"text/template"
)

//go:embed files
var files embed.FS

// templates are the files' texts. Their data is a Mirror.
var templates = template.Must(template.ParseFS(files, "files/*"))

// file returns the text of a file.
func (m Mirror) file(name string) string { return execute(templates.Lookup(name), m) }

// fill returns a text with the mirror's names in place of the template's.
func (m Mirror) fill(text string) string {
	return execute(template.Must(template.New("").Parse(text)), m)
}

func execute(t *template.Template, m Mirror) string {
	var b strings.Builder
	if err := t.Execute(&b, m); err != nil {
		panic(err) // all templates are part of the program, and a test executes them
	}
	return b.String()
}

// Insecure reports whether the mirror is without TLS. Templates call it.
func (m Mirror) Insecure() bool { return m.URL.Scheme == "http" }

// Registries returns the upstreams that an image's name can begin with. Templates call it.
func (m Mirror) Registries() []string {
	var names []string
	for _, name := range m.Upstreams {
		if isRegistry(name) {
			names = append(names, name)
		}
	}
	return names
}
