package distribution

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// tree is a mapping of the configuration. A value is a string, nil or a tree. A sequence is a tree with the keys 0, 1 and so
// on. Scalars keep their text, so that a bucket named 0123 stays one.
type tree map[string]any

// maxNodes bounds a configuration: aliases of aliases can make a short text huge.
const maxNodes = 10_000

// parse parses a YAML document. Its errors contain nothing of the text.
func parse(text []byte) (any, error) {
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil {
		return nil, fmt.Errorf("not valid YAML%s", line(err))
	}
	if len(document.Content) == 0 {
		return nil, nil
	}
	left := maxNodes
	return convert(document.Content[0], &left)
}

var lineNumber = regexp.MustCompile(`^yaml: (line \d+):`)

// line returns the line that an error of the library names: the rest may contain parts of the text.
func line(err error) string {
	if match := lineNumber.FindStringSubmatch(err.Error()); match != nil {
		return ", " + match[1]
	}
	return ""
}

func convert(node *yaml.Node, left *int) (any, error) {
	if *left--; *left < 0 {
		return nil, errors.New("too many values")
	}
	switch node.Kind {
	case yaml.AliasNode:
		return convert(node.Alias, left)
	case yaml.MappingNode:
		return convertMapping(node, left)
	case yaml.SequenceNode:
		t := tree{}
		for i, element := range node.Content {
			value, err := convert(element, left)
			if err != nil {
				return nil, err
			}
			t[strconv.Itoa(i)] = value
		}
		return t, nil
	case yaml.ScalarNode:
		if node.ShortTag() != "!!null" {
			return node.Value, nil
		}
	}
	return nil, nil
}

func convertMapping(node *yaml.Node, left *int) (any, error) {
	own, merged := tree{}, tree{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		value, err := convert(node.Content[i+1], left)
		if err != nil {
			return nil, err
		}
		if node.Content[i].ShortTag() != "!!merge" {
			own[node.Content[i].Value] = value
			continue
		}
		from, _ := value.(tree)
		if node.Content[i+1].Kind != yaml.SequenceNode {
			from = tree{"0": from}
		}
		for i := range len(from) { // the first mapping has precedence
			mapping, _ := from[strconv.Itoa(i)].(tree)
			for key, value := range mapping {
				if _, has := merged[key]; !has {
					merged[key] = value
				}
			}
		}
	}
	maps.Copy(merged, own)
	return merged, nil
}

// at returns the value at a path.
func (t tree) at(path ...string) (value any, found bool) {
	value, found = any(t), true
	for _, key := range path {
		mapping, _ := value.(tree)
		if value, found = mapping[key]; !found {
			return nil, false
		}
	}
	return value, found
}

// remove removes the value at a path, and the mappings that are empty then.
func (t tree) remove(path ...string) {
	if len(path) > 1 {
		below, ok := t[path[0]].(tree)
		if !ok {
			return
		}
		if below.remove(path[1:]...); len(below) > 0 {
			return
		}
	}
	delete(t, path[0])
}

// leaves returns the paths of all values that are no mappings, or empty ones, sorted. A sequence counts as one.
func (t tree) leaves() []string {
	var all []string
	for key, value := range t {
		below, _ := value.(tree)
		if _, isSequence := below["0"]; isSequence || len(below) == 0 {
			all = append(all, key)
			continue
		}
		for _, path := range below.leaves() {
			all = append(all, key+"."+path)
		}
	}
	slices.Sort(all)
	return all
}

// split splits a dotted path.
func split(key string) []string { return strings.Split(key, ".") }
