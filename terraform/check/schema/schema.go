// Package schema reads what arguments and blocks the resources of a provider have, from packages of the npm registry
// that were generated from the providers' own schemas. The result has the form of `terraform providers schema -json`.
package schema

// Provider is all that is known of a provider.
type Provider struct {
	Name      string            `json:"name"`
	Version   string            `json:"version"`
	Config    *Block            `json:"config"`
	Resources map[string]*Block `json:"resources"`
	Data      map[string]*Block `json:"data"`
}

// Block is the inside of a resource, or of a block in one.
type Block struct {
	Attributes map[string]*Attribute `json:"attributes,omitempty"`
	Blocks     map[string]*Nested    `json:"block_types,omitempty"`
}

// Attribute is an argument, or what can be read of a resource.
type Attribute struct {
	Type      Type `json:"type"`
	Required  bool `json:"required,omitempty"`
	Optional  bool `json:"optional,omitempty"`
	Computed  bool `json:"computed,omitempty"`
	WriteOnly bool `json:"write_only,omitempty"`
	// Values are the only ones, where the provider's description lists them.
	Values []string `json:"values,omitempty"`
}

// Nested is a block in a block.
type Nested struct {
	Nesting string `json:"nesting_mode"` // single, list or set
	Min     int64  `json:"min_items,omitempty"`
	Max     int64  `json:"max_items,omitempty"`
	Block   *Block `json:"block"`
}

// Type is a type as Terraform writes it in JSON: "string", ["list","string"], ["object",{...}].
type Type any

func list(of Type) Type { return []any{"list", of} }

// object is the type of an attribute that has the inside of a block.
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
