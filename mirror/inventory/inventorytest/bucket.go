// Package inventorytest writes a bucket's content as mirror does, for tests of what reads it.
package inventorytest

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/backend/backendtest/memory"
	"github.com/entrepot-io/entrepot/mirror/layout"
)

// Bucket is a bucket in memory.
type Bucket struct {
	*memory.Store
	t testing.TB
}

// New returns an empty bucket.
func New(t testing.TB) Bucket { return Bucket{new(memory.Store), t} }

// Write stores an object.
func (b Bucket) Write(key string, body []byte) {
	b.t.Helper()
	_, err := b.Put(context.Background(), key, bytes.NewReader(body), int64(len(body)), backend.PutOptions{})
	require.NoError(b.t, err)
}

// JSON stores a document under its digest.
func (b Bucket) JSON(key func(digest.Digest) string, document any) v1.Descriptor {
	b.t.Helper()
	body, err := json.Marshal(document)
	require.NoError(b.t, err)
	d := digest.FromBytes(body)
	b.Write(key(d), body)
	return v1.Descriptor{Digest: d, Size: int64(len(body))}
}

// Layer stores a blob of size bytes.
func (b Bucket) Layer(seed byte, size int) v1.Descriptor {
	content := bytes.Repeat([]byte{seed}, size)
	d := digest.FromBytes(content)
	b.Write(layout.Public.Blob(d), content)
	return v1.Descriptor{Digest: d, Size: int64(size), MediaType: v1.MediaTypeImageLayer}
}

// Image stores an image's config and manifest. A subject may be nil.
func (b Bucket) Image(architecture string, subject *v1.Descriptor, layers ...v1.Descriptor) v1.Descriptor {
	config := b.JSON(layout.Public.Blob, v1.Image{Platform: v1.Platform{OS: "linux", Architecture: architecture}})
	return b.JSON(layout.Public.Manifest, v1.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageManifest, Config: config, Layers: layers, Subject: subject,
	})
}

// Tag stores the record of a tag. repository has the registry.
func (b Bucket) Tag(repository, tag string, d digest.Digest) {
	body, err := json.Marshal(map[string]any{"digest": d, "mediaType": v1.MediaTypeImageManifest})
	require.NoError(b.t, err)
	registry, path, _ := strings.Cut(repository, "/")
	b.Write(layout.Public.Tag(registry, path, tag), body)
}

// Keys returns the keys of all objects.
func (b Bucket) Keys() (keys []string) {
	for o, err := range b.List(context.Background(), "", "") {
		require.NoError(b.t, err)
		keys = append(keys, o.Key)
	}
	return keys
}
