package schema

import (
	"fmt"
	"io"
	"regexp"
	"strings"
)

// Pulumi returns a reader for @pulumi/minio, since no package has the schema of terraform-provider-minio itself. The
// package is generated from that schema, and the reader reverts its renames as far as it can: names of repeated blocks are
// plural in the package, and names that Pulumi can generate are optional. The package has its own version, so version is
// the provider's.
func Pulumi(version string) func(tarball string) (*Provider, error) {
	return func(tarball string) (*Provider, error) {
		p := &Provider{Name: "minio", Version: version, Resources: map[string]*Block{}, Data: map[string]*Block{}}
		interfaces := map[string]string{}
		err := files(tarball, func(name string, content io.Reader) error {
			if !strings.HasSuffix(name, ".d.ts") || name == "types/output.d.ts" {
				return nil
			}
			text, err := io.ReadAll(content)
			for _, m := range declared.FindAllStringSubmatch(string(text), -1) {
				interfaces[m[1]] = m[2]
			}
			return err
		})
		if err != nil {
			return nil, err
		}
		for name, body := range interfaces {
			resource, ok := strings.CutSuffix(name, "Args")
			state, has := interfaces[resource+"State"]
			if resource == "Provider" {
				p.Config, err = pulumiBlock(interfaces, body, "")
			} else if ok && has {
				p.Resources["minio_"+snake(resource)], err = pulumiBlock(interfaces, body, state)
			}
			if err != nil {
				return nil, fmt.Errorf("%s: %s: %w", tarball, name, err)
			}
		}
		if p.Config == nil || len(p.Resources) == 0 {
			return nil, fmt.Errorf("%s: not a provider package", tarball)
		}
		return p, nil
	}
}

var (
	declared = regexp.MustCompile(`(?ms)^export interface (\w+) \{\n(.*?)^\}`)
	property = regexp.MustCompile(`(?ms)^    (\w+)(\??): (.*?);$`)
	inputs   = regexp.MustCompile(`inputs\.(\w+)`)
	capital  = regexp.MustCompile(`([a-z0-9])([A-Z])`)
)

func snake(camel string) string {
	return strings.ToLower(capital.ReplaceAllString(camel, "${1}_${2}"))
}

// pulumiBlock reads the arguments of a resource or block. state, if not empty, adds the computed attributes.
func pulumiBlock(interfaces map[string]string, args, state string) (*Block, error) {
	b := &Block{Attributes: map[string]*Attribute{}, Blocks: map[string]*Nested{}}
	for _, m := range property.FindAllStringSubmatch(args, -1) {
		name, required := snake(m[1]), m[2] == ""
		if block := inputs.FindStringSubmatch(m[3]); block != nil {
			body, ok := interfaces[block[1]]
			if !ok {
				return nil, fmt.Errorf("no interface %s", block[1])
			}
			inner, err := pulumiBlock(interfaces, body, "")
			if err != nil {
				return nil, err
			}
			n := &Nested{Nesting: "list", Block: inner, Max: 1}
			if strings.Contains(m[3], "[]") {
				n.Max, name = 0, strings.TrimSuffix(name, "s")
			}
			if required {
				n.Min = 1
			}
			b.Blocks[name] = n
			continue
		}
		b.Attributes[name] = &Attribute{Type: pulumiType(m[3]), Required: required, Optional: !required}
	}
	for _, m := range property.FindAllStringSubmatch(state, -1) {
		name := snake(m[1])
		if set, ok := b.Attributes[name]; ok {
			set.Computed = set.Optional // not in the package
		} else if !inputs.MatchString(m[3]) {
			b.Attributes[name] = &Attribute{Type: pulumiType(m[3]), Computed: true}
		}
	}
	if state != "" {
		b.Attributes["id"] = &Attribute{Type: "string", Computed: true}
	}
	return b, nil
}

func pulumiType(text string) Type {
	of := "string"
	for _, name := range []string{"boolean", "number"} {
		if strings.Contains(text, "<"+name) {
			of = scalars[name]
		}
	}
	switch {
	case strings.Contains(text, "[key: string]"):
		return []any{"map", of}
	case strings.Contains(text, "[]"):
		return list(of)
	}
	return of
}
