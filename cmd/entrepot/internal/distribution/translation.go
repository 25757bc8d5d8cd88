package distribution

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
)

// Translation is the equivalent of a configuration.
type Translation struct {
	Settings []Setting
	Notes    []Note
}

// Setting is a variable with its value, one of entrepot's or of a library that it uses.
type Setting struct{ Variable, Value string }

// Note says why a key of the configuration has no equivalent, or what to do besides.
type Note struct{ Key, Text string }

// Environ returns the settings in the form of os.Environ.
func (t *Translation) Environ() []string {
	var environ []string
	for _, s := range t.Settings {
		environ = append(environ, s.Variable+"="+s.Value)
	}
	return environ
}

// Write writes the settings as a file of variables, with the notes as comments.
func (t *Translation) Write(w io.Writer) error {
	buffered := bufio.NewWriter(w)
	for _, line := range t.Environ() {
		fmt.Fprintln(buffered, line)
	}
	for _, n := range t.Notes {
		fmt.Fprintf(buffered, "# %s: %s\n", printable(n.Key), n.Text)
	}
	return buffered.Flush()
}

// set adds a setting whose value comes from a key.
func (t *Translation) set(key, variable, value string) {
	if strings.ContainsFunc(value, unicode.IsControl) {
		t.note(key, "has a line break or another control character")
		return
	}
	t.Settings = append(t.Settings, Setting{variable, value})
}

// remove removes a setting and reports whether there was one.
func (t *Translation) remove(variable string) bool {
	before := len(t.Settings)
	t.Settings = slices.DeleteFunc(t.Settings, func(s Setting) bool { return s.Variable == variable })
	return len(t.Settings) < before
}

// note adds a note, once.
func (t *Translation) note(key, text string) {
	if n := (Note{key, text}); !slices.Contains(t.Notes, n) {
		t.Notes = append(t.Notes, n)
	}
}

// printable replaces control characters: keys may be any text.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return '?'
		}
		return r
	}, s)
}
