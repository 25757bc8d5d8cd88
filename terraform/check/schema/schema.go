// Package schema reads the schemas of Terraform providers from npm packages that are generated from them. The result has
// the format of `terraform providers schema -json`.
package schema

// Provider is the schema of a provider.
type Provider struct {
	Name      string            `json:"name"`
	Version   string            `json:"version"`
	Config    *Block            `json:"config"`
	Resources map[string]*Block `json:"resources"`
	Data      map[string]*Block `json:"data"`
}

// Block is the content of a resource or of a nested block.
type Block struct {
	Attributes map[string]*Attribute `json:"attributes,omitempty"`
	Blocks     map[string]*Nested    `json:"block_types,omitempty"`
}

// Attribute is an argument or a computed attribute.
type Attribute struct {
	Type      Type `json:"type"`
	Required  bool `json:"required,omitempty"`
	Optional  bool `json:"optional,omitempty"`
	Computed  bool `json:"computed,omitempty"`
	WriteOnly bool `json:"write_only,omitempty"`
	// Values are the valid values, if the provider's description lists them.
	Values []string `json:"values,omitempty"`
}

// Nested is a nested block.
type Nested struct {
	Nesting string `json:"nesting_mode"` // single, list or set
	Min     int64  `json:"min_items,omitempty"`
	Max     int64  `json:"max_items,omitempty"`
	Block   *Block `json:"block"`
}

// Type is a type as Terraform writes it in JSON: "string", ["list","string"], ["object",{...}].
type Type any

func list(of Type) Type { return []any{"list", of} }

// object returns the object type with the block's attributes and nested blocks.
func (b *Block) object() Type {
	fields := map[string]Type{}
	for name, a := range b.Attributes {
		fields[name] = a.Type
	}
	for name, n := range b.Blocks {
		fields[name] = list(n.Block.object())
	}
	return []any{"object", fields}
}
