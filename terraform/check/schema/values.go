package schema

import (
	"regexp"
	"slices"
	"strings"
)

var (
	// described is an argument in an interface of the generated source, with the provider's own description of it.
	described = regexp.MustCompile(`(?s)/\*\*(.*?)\*/\s*readonly \w+`)
	// called is its name, in the link to the provider's documentation.
	called = regexp.MustCompile(`/docs/\S+#(\w+) `)
	// enumerated is how Google's provider says which values there are.
	enumerated = regexp.MustCompile(`Possible values: \[([^\]]*)\]|Supported values include: ([^.]*)\.`)
	word       = regexp.MustCompile(`[\w-]+`)
)

// values are those that the descriptions of an interface's arguments list, by the arguments.
func values(text string) map[string][]string {
	all := map[string][]string{}
	for _, m := range described.FindAllStringSubmatch(text, -1) {
		name, list := called.FindStringSubmatch(m[1]), enumerated.FindStringSubmatch(m[1])
		if name == nil || list == nil {
			continue
		}
		words := word.FindAllString(strings.Join(list[1:], ""), -1)
		all[name[1]] = slices.DeleteFunc(words, func(w string) bool { return w == "and" || w == "or" })
	}
	return all
}
