package schema

import (
	"regexp"
	"slices"
	"strings"
)

var (
	// described matches an argument and its description in an interface of the generated source.
	described = regexp.MustCompile(`(?s)/\*\*(.*?)\*/\s*readonly \w+`)
	// called matches the argument's name in the link to the provider's documentation.
	called = regexp.MustCompile(`/docs/\S+#(\w+) `)
	// enumerated matches the list of valid values in descriptions of Google's provider.
	enumerated = regexp.MustCompile(`Possible values: \[([^\]]*)\]|Supported values include: ([^.]*)\.`)
	word       = regexp.MustCompile(`[\w-]+`)
)

// values returns the valid values of an interface's arguments, by argument, if their descriptions list them.
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
