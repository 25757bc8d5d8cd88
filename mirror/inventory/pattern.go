package inventory

import (
	"regexp"
	"strings"

	"github.com/opencontainers/go-digest"
)

// Pattern selects images by name. The zero value selects all.
type Pattern struct {
	text       string
	expression *regexp.Regexp
}

// IsAll reports whether the pattern is the zero value.
func (p Pattern) IsAll() bool { return p.expression == nil }

// String returns the pattern's text.
func (p Pattern) String() string { return p.text }

// ParsePattern reads a pattern of REGISTRY/REPOSITORY:TAG, REGISTRY/REPOSITORY (all its tags) or
// REGISTRY/REPOSITORY@DIGEST, in which * matches any characters.
func ParsePattern(text string) Pattern {
	// The only special character is quoted, so this always compiles.
	quoted := strings.ReplaceAll(regexp.QuoteMeta(text), `\*`, ".*")
	return Pattern{text, regexp.MustCompile("^" + quoted + "$")}
}

// Selects reports whether the pattern matches an image's name, its repository or its digest.
func (p Pattern) Selects(i Image) bool {
	return p.matches(i.Digest.String(), "") || i.Tag != "" && p.matchesImage(i.Registry+"/"+i.Repository, i.Tag, i.Digest)
}

// matchesImage reports whether the pattern selects an image with a tag. repository has the registry.
func (p Pattern) matchesImage(repository, tag string, d digest.Digest) bool {
	return p.matches(repository, ":"+tag) || p.matches(repository, "@"+d.String())
}

func (p Pattern) matches(repository, suffix string) bool {
	return p.expression == nil || p.expression.MatchString(repository) || p.expression.MatchString(repository+suffix)
}
