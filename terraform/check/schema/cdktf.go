package schema

import (
	"fmt"
	"regexp"
	"strings"
)

// CDKTF reads a package such as @cdktf/provider-aws, which has a folder for each resource and data source. It takes the
// properties of arguments from the comments and tables in the generated source.
func CDKTF(tarball string) (*Provider, error) {
	p := &Provider{Resources: map[string]*Block{}, Data: map[string]*Block{}}
	all, err := sources(tarball)
	if err != nil {
		return nil, err
	}
	for folder, source := range all {
		main := mainClass.FindStringSubmatch(source)
		if main == nil {
			return nil, fmt.Errorf("%s: %s: no class of a resource", tarball, folder)
		}
		block, err := parse(source).block(main[1])
		if err != nil {
			return nil, fmt.Errorf("%s: %s: %w", tarball, folder, err)
		}
		kind, name := main[2], ""
		if m := resourceType.FindStringSubmatch(source); m != nil {
			name = m[1]
		}
		if m := providerVersion.FindStringSubmatch(source); m != nil {
			p.Name, p.Version = m[1], m[2]
		}
		switch kind {
		case "TerraformResource":
			p.Resources[name] = block
		case "TerraformDataSource":
			p.Data[name] = block
		case "TerraformProvider":
			p.Config = block
		}
	}
	if p.Config == nil || len(p.Resources) == 0 || p.Version == "" {
		return nil, fmt.Errorf("%s: not a provider package", tarball)
	}
	return p, nil
}

var (
	mainClass       = regexp.MustCompile(`export class (\w+) extends cdktf\.(TerraformResource|TerraformDataSource|TerraformProvider) `)
	resourceType    = regexp.MustCompile(`static readonly tfResourceType = "(\w+)"`)
	providerVersion = regexp.MustCompile(`providerName: '([\w-]+)',\s*providerVersion: '([\d.]+)'`)

	class   = regexp.MustCompile(`(?m)^export class (\w+) extends`)
	form    = regexp.MustCompile(`(?m)^export interface (\w+) `)
	table   = regexp.MustCompile(`(?m)^export function (\w+)ToHclTerraform\(`)
	comment = regexp.MustCompile(`(?m)^ +// (\w+) - computed: (true|false), optional: (true|false), required: (true|false)$`)
	entry   = regexp.MustCompile(`(?s)(\w+): \{\s*value: (.*?),\s*isBlock: (true|false),\s*type: "(\w+)",\s*storageClassType: "(\w+)",\s*\}`)
	nested  = regexp.MustCompile(`new (\w+?)(List|OutputReference|Map)\(this, "`)
	getter  = regexp.MustCompile(`get(\w*?)(List|Set|Map|)Attribute\('`)
)

// file is the generated source of a resource.
type file struct {
	classes map[string]string              // source text by name
	tables  map[string]map[string]entries  // by lower-case class name, then argument
	values  map[string]map[string][]string // enumerations by lower-case interface name, then argument
}

// entries are the properties of an argument in a table.
type entries struct {
	value   string
	kind    string // simple, list, set, map, struct
	storage string // string, stringList, or the name of a class
}

func parse(source string) *file {
	f := &file{classes: map[string]string{}, tables: map[string]map[string]entries{}, values: map[string]map[string][]string{}}
	each := func(start *regexp.Regexp, take func(name, text string)) {
		found := start.FindAllStringSubmatchIndex(source, -1)
		for _, at := range found {
			text := source[at[0]:]
			if end := strings.Index(text, "\n}\n"); end >= 0 {
				text = text[:end]
			}
			take(source[at[2]:at[3]], text)
		}
	}
	read := func(text string) map[string]entries {
		t := map[string]entries{}
		for _, m := range entry.FindAllStringSubmatch(text, -1) {
			t[m[1]] = entries{m[2], m[4], m[5]}
		}
		return t
	}
	each(class, func(name, text string) {
		f.classes[name] = text
		if _, own, ok := strings.Cut(text, "synthesizeHclAttributes()"); ok {
			f.tables[strings.ToLower(name)] = read(own)
		}
	})
	each(table, func(name, text string) { f.tables[strings.ToLower(name)] = read(text) })
	each(form, func(name, text string) { f.values[strings.ToLower(name)] = values(text) })
	return f
}

// block reads the class of a resource, or of a block if its name ends in OutputReference.
func (f *file) block(name string) (*Block, error) {
	text, ok := f.classes[name]
	if !ok {
		return nil, fmt.Errorf("no class %s", name)
	}
	base := strings.TrimSuffix(name, "OutputReference")
	settable, values := f.tables[strings.ToLower(base)], f.values[strings.ToLower(base)]
	if base == name {
		values = f.values[strings.ToLower(base+"Config")]
	}
	b := &Block{Attributes: map[string]*Attribute{}, Blocks: map[string]*Nested{}}
	found := comment.FindAllStringSubmatchIndex(text, -1)
	for i, at := range found {
		end := len(text)
		if i+1 < len(found) {
			end = found[i+1][0]
		}
		m := comment.FindStringSubmatch(text[at[0]:at[1]])
		a := &Attribute{Computed: m[2] == "true", Optional: m[3] == "true", Required: m[4] == "true", Values: values[m[1]]}
		if err := f.argument(b, m[1], a, settable, text[at[1]:end]); err != nil {
			return nil, fmt.Errorf("%s: %s: %w", name, m[1], err)
		}
	}
	return b, nil
}

// argument adds an argument to b as an attribute or a block. text is the source between the argument's comment and the
// next one.
func (f *file) argument(b *Block, name string, a *Attribute, settable map[string]entries, text string) error {
	set, can := settable[name]
	inside := nested.FindStringSubmatch(text)
	if inside == nil || inside[1] == "cdktf.Any" {
		a.Type = typeOf(set, can, text)
		// The packages do not mark write-only arguments, but all providers use this suffix for them.
		a.WriteOnly = strings.HasSuffix(name, "_wo") && !a.Computed
		b.Attributes[name] = a
		return nil
	}
	block, err := f.block(inside[1] + "OutputReference")
	if err != nil {
		return err
	}
	if set.kind == "map" {
		a.Type = unknown
		b.Attributes[name] = a
		return nil
	}
	if !can || strings.Contains(set.value, "listMapperHcl") && strings.Contains(set.value, ", false)(") {
		a.Type = list(block.object())
		b.Attributes[name] = a
		return nil
	}
	n := &Nested{Nesting: set.kind, Block: block}
	if set.kind == "struct" {
		n.Nesting = "single"
	}
	if a.Required {
		n.Min = 1
	}
	if inside[2] == "OutputReference" && n.Nesting != "single" {
		n.Max = 1
	}
	if n.Nesting == "single" {
		n.Min = 0 // OpenTofu rejects a minimum that differs from the maximum
	}
	b.Blocks[name] = n
	return nil
}

// unknown is the type of the few arguments whose type is not in the package. It is string, so that other values are
// errors.
const unknown = "string"

var scalars = map[string]string{"string": "string", "number": "number", "boolean": "bool"}

// typeOf reads the type of an argument from the table, or from its getter if it cannot be set.
func typeOf(set entries, settable bool, text string) Type {
	if settable {
		kind := set.kind
		for suffix, collection := range map[string]string{"List": "list", "Map": "map"} {
			if of, ok := scalars[strings.TrimSuffix(set.storage, suffix)]; ok && strings.HasSuffix(set.storage, suffix) {
				if kind == "simple" {
					kind = collection
				}
				return []any{kind, of}
			}
		}
		if of, ok := scalars[set.storage]; ok {
			return of
		}
		return unknown
	}
	m := getter.FindStringSubmatch(text)
	switch {
	case strings.Contains(text, "new cdktf.StringMap("):
		return []any{"map", "string"}
	case strings.Contains(text, "new cdktf.BooleanMap("):
		return []any{"map", "bool"}
	case m == nil:
		return unknown
	case m[2] == "List" && m[1] == "":
		return list("string")
	case m[2] == "List" && m[1] == "Number":
		return list("number")
	case m[2] == "" && scalars[strings.ToLower(m[1])] != "":
		return scalars[strings.ToLower(m[1])]
	}
	return unknown
}
