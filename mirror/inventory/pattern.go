package inventory

import (
	"regexp"
	"strings"
)

// Pattern selects images by name. The zero value selects all.
type Pattern struct{ expression *regexp.Regexp }

// ParsePattern reads a pattern of REGISTRY/REPOSITORY:TAG, REGISTRY/REPOSITORY (all its tags) or
// REGISTRY/REPOSITORY@DIGEST, in which * matches any characters.
func ParsePattern(text string) Pattern {
	// The only special character is quoted, so this always compiles.
	quoted := strings.ReplaceAll(regexp.QuoteMeta(text), `\*`, ".*")
	return Pattern{regexp.MustCompile("^" + quoted + "$")}
}

func (p Pattern) matches(repository, suffix string) bool {
	return p.expression == nil || p.expression.MatchString(repository) || p.expression.MatchString(repository+suffix)
}
