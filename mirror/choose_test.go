package mirror_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/mirror"
	"github.com/entrepot-io/entrepot/upstream/upstreamtest"
)

func TestUpstreamIsChosenByNsThenPathThenDefault(t *testing.T) {
	r := startReplica(t, newStore(t), upstreamtest.Start(t, upstreamtest.Options{}))
	for _, c := range []struct{ ns, name, want string }{
		{"", "alpine", "docker.io/library/alpine"},
		{"", "library/alpine", "docker.io/library/alpine"},
		{"", "bitnami/redis", "docker.io/bitnami/redis"},
		{"", "docker.io/alpine", "docker.io/library/alpine"},
		{"", "index.docker.io/alpine", "docker.io/library/alpine"},
		{"", "registry-1.docker.io/bitnami/redis", "docker.io/bitnami/redis"},
		{"", "ghcr.io/org/app", "ghcr.io/org/app"},
		{"", "corp:5000/app", "corp:5000/app"},
		{"docker.io", "library/alpine", "docker.io/library/alpine"},
		{"registry-1.docker.io", "library/alpine", "docker.io/library/alpine"},
		{"ghcr.io", "org/app", "ghcr.io/org/app"},
		{"ghcr.io", "ghcr.io/org/app", "ghcr.io/org/app"}, // as with containerd's override_path
		{"ghcr.io", "docker.io/app", "ghcr.io/docker.io/app"},
		{"", "ghcr.io", "docker.io/library/ghcr.io"}, // a name of one part names no registry
	} {
		repo, err := r.Choose(c.ns, c.name)
		require.NoError(t, err, "%+v", c)
		assert.Equal(t, c.want, repo.String(), "%+v", c)
	}
	for _, c := range []struct{ ns, name string }{
		{"evil.example", "library/alpine"}, // neither the default's content nor a dial
		{"127.0.0.1:1", "library/alpine"},
		{"GHCR.IO", "org/app"},
		{"", "evil.example/org/app"},
		{"", "localhost:5000/app"},
	} {
		_, err := r.Choose(c.ns, c.name)
		assert.ErrorIs(t, err, mirror.ErrNotMirrored, "%+v", c)
	}
	for _, name := range []string{"", "a//b", "UPPER", "a/../b", "ghcr.io/"} {
		_, err := r.Choose("", name)
		assert.ErrorIs(t, err, mirror.ErrName, "%q", name)
	}
}
