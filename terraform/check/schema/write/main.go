// Command write converts an npm package of a provider to a schema file.
//
//	write TARBALL FILE
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/entrepot-io/entrepot/terraform/check/schema"
)

func main() {
	if err := write(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func write(args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("usage: write TARBALL FILE")
	}
	read := schema.CDKTF
	if strings.Contains(args[0], "pulumi") {
		read = schema.Pulumi("3.0.0")
	}
	p, err := read(args[0])
	if err != nil {
		return err
	}
	text, err := json.Marshal(p)
	if err != nil {
		return err
	}
	return os.WriteFile(args[1], text, 0o644)
}
