package layout_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/mirror/layout"
)

func TestTagKeysDifferIgnoringCase(t *testing.T) {
	tags := []string{
		"v1", "V1", "v1.0-rc1", "v1.0-RC1", "v1.0-Rc1", "v1.0-rC1", "aB", "Ab", "AB", "ab", "_", "1.2", "latest", "LATEST",
		strings.Repeat("a", 128), strings.Repeat("A", 128), strings.Repeat("A", 127), strings.Repeat("A", 127) + "a",
	}
	for name, key := range map[string]func(registry, repository, tag string) string{
		"records": layout.Public.Tag, "leases": layout.Public.TagLease,
	} {
		seen := map[string]string{}
		for _, tag := range tags {
			k := key("docker.io", "library/app", tag)
			require.Equal(t, strings.ToLower(k), k, name)
			require.Emptyf(t, seen[k], "%s of %s and %s", name, tag, seen[k])
			seen[k] = tag
			require.LessOrEqual(t, len(k[strings.LastIndex(k, "/")+1:]), 255, "limit of file systems")
		}
	}
	require.Equal(t, "public/tags/docker.io/library/app/_/!v1.0-!r!c1", layout.Public.Tag("docker.io", "library/app", "V1.0-RC1"))
}

func TestTagKeyAllocatesOnce(t *testing.T) {
	require.LessOrEqual(t, testing.AllocsPerRun(100, func() { layout.Public.Tag("docker.io", "library/app", "v1.2.3-rc.1") }), 1.0)
}
