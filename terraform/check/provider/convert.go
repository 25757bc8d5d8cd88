package main

import (
	"encoding/json"
	"fmt"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tftypes"

	"github.com/entrepot-io/entrepot/terraform/check/schema"
)

func convertAll(all map[string]*schema.Block) (map[string]*tfprotov6.Schema, error) {
	converted := map[string]*tfprotov6.Schema{}
	for name, b := range all {
		s, err := convert(b)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		converted[name] = s
	}
	return converted, nil
}

func convert(b *schema.Block) (*tfprotov6.Schema, error) {
	block, err := convertBlock(b)
	return &tfprotov6.Schema{Block: block}, err
}

var nestings = map[string]tfprotov6.SchemaNestedBlockNestingMode{
	"single": tfprotov6.SchemaNestedBlockNestingModeSingle,
	"list":   tfprotov6.SchemaNestedBlockNestingModeList,
	"set":    tfprotov6.SchemaNestedBlockNestingModeSet,
}

func convertBlock(b *schema.Block) (*tfprotov6.SchemaBlock, error) {
	block := &tfprotov6.SchemaBlock{}
	for name, a := range b.Attributes {
		text, err := json.Marshal(a.Type)
		if err != nil {
			return nil, err
		}
		t, err := tftypes.ParseJSONType(text) //nolint:staticcheck // deprecated for others, but the text has the format of Terraform's own JSON
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		block.Attributes = append(block.Attributes, &tfprotov6.SchemaAttribute{
			Name: name, Type: t, Required: a.Required, Optional: a.Optional, Computed: a.Computed, WriteOnly: a.WriteOnly,
		})
	}
	for name, n := range b.Blocks {
		inner, err := convertBlock(n.Block)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		nesting, ok := nestings[n.Nesting]
		if !ok {
			return nil, fmt.Errorf("%s: unknown nesting mode %q", name, n.Nesting)
		}
		block.BlockTypes = append(block.BlockTypes, &tfprotov6.SchemaNestedBlock{
			TypeName: name, Nesting: nesting, MinItems: n.Min, MaxItems: n.Max, Block: inner,
		})
	}
	return block, nil
}
