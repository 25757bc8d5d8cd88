package main

import (
	"strings"
	"testing"

	"github.com/entrepot-io/entrepot/infra/testenv"
)

func TestSettingsAreDocumented(t *testing.T) {
	var tables strings.Builder
	writeSettings(&tables)
	testenv.Page(t, "docs/configuration.md", "settings", tables.String())
}

func TestEverySettingIsInAGroup(t *testing.T) {
	seen, last := map[string]bool{}, ""
	for _, s := range settings() {
		switch {
		case s.Group == "" || s.Doc == "":
			t.Errorf("%s needs a group and a doc", s.Variable)
		case s.Group != last && seen[s.Group]:
			t.Errorf("%s: group %q has a second heading", s.Variable, s.Group)
		}
		seen[s.Group], last = true, s.Group
	}
}
