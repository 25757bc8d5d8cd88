// Command provider is a Terraform provider that has only a schema. It replaces the real providers on machines that cannot
// download them. `tofu validate` checks modules as with the real ones, and `tofu test` mocks the resources.
//
// It reads the schema from schema.json in the folder of its executable.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6/tf6server"

	"github.com/entrepot-io/entrepot/terraform/check/schema"
)

func main() {
	if err := serve(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func serve() error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Join(filepath.Dir(program), "schema.json"))
	if err != nil {
		return err
	}
	var p schema.Provider
	if err := json.Unmarshal(text, &p); err != nil {
		return err
	}
	s, err := newServer(&p)
	if err != nil {
		return err
	}
	return tf6server.Serve("registry.terraform.io/check/"+p.Name, func() tfprotov6.ProviderServer { return s })
}
