package main

import (
	"regexp"
	"slices"
	"strings"

	"github.com/caarlos0/env/v11"
)

// testPrefix starts the variables of entrepot's own tests.
const testPrefix = prefix + "TEST_"

// kubernetesVariable matches the variables that Kubernetes sets for a Service named entrepot.
var kubernetesVariable = regexp.MustCompile(`_SERVICE_(HOST|PORT)|^ENTREPOT(_.*)?_PORT(_|$)`)

// unknownVariable is a variable that has the prefix but is no setting, such as a misspelled one.
type unknownVariable struct {
	Variable string `json:"variable"`
	Nearest  string `json:"nearest,omitempty"` // the setting with a similar name; empty: none
}

// attributes returns the attributes of the variable's log event.
func (u unknownVariable) attributes() []any {
	if u.Nearest == "" {
		return []any{"variable", u.Variable}
	}
	return []any{"variable", u.Variable, "nearest", u.Nearest}
}

// unknownVariables returns the unknown variables, sorted.
func unknownVariables(environ []string) []unknownVariable {
	known := map[string]bool{}
	for _, s := range settings() {
		known[s.Variable] = true
	}
	var unknown []unknownVariable
	for name := range env.ToMap(environ) {
		if strings.HasPrefix(name, prefix) && !strings.HasPrefix(name, testPrefix) && !known[name] && !kubernetesVariable.MatchString(name) {
			unknown = append(unknown, unknownVariable{name, nearestSetting(name)})
		}
	}
	slices.SortFunc(unknown, func(a, b unknownVariable) int { return strings.Compare(a.Variable, b.Variable) })
	return unknown
}

// nearestSetting returns the variable that is most similar to a name, or "" if none is similar.
func nearestSetting(name string) string {
	nearest, least := "", max(2, len(strings.TrimPrefix(name, prefix))/4)+1
	for _, s := range settings() {
		if d := editDistance(strings.ToUpper(name), s.Variable); d < least {
			nearest, least = s.Variable, d
		}
	}
	return nearest
}

// editDistance returns the number of bytes to insert, delete or replace that turn a into b (Levenshtein).
func editDistance(a, b string) int {
	row := make([]int, len(b)+1) // distances from a[:i] to each b[:j]
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replace := diagonal
			if a[i] != b[j] {
				replace++
			}
			diagonal = row[j+1]
			row[j+1] = min(replace, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
