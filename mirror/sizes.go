package mirror

import (
	"github.com/maypok86/otter/v2"
	"github.com/opencontainers/go-digest"

	"github.com/entrepot-io/entrepot/bounded"
	"github.com/entrepot-io/entrepot/upstream"
)

// sizes remembers the sizes of blobs that manifests state. A client that gets a manifest requests its blobs next, and a fill whose
// size is known can start on all its connections at once. The sizes are hints: nobody has verified them.
type sizes struct {
	of *otter.Cache[digest.Digest, int64] // bytes
}

const (
	// maxSizes limits the remembered sizes in bytes.
	maxSizes = 8 << 20
	// maxOfManifest limits the number of sizes from one manifest.
	maxOfManifest = 1000
	// maxDigest limits a digest in bytes. Those of sha512 are the longest.
	maxDigest = len("sha512:") + 128
)

func newSizes() sizes {
	return sizes{otter.Must(&otter.Options[digest.Digest, int64]{
		MaximumWeight: maxSizes,
		Weigher:       func(d digest.Digest, _ int64) uint32 { return uint32(len(d)) + 128 },
	})}
}

// learn remembers the sizes in a manifest. Other documents have none.
func (s sizes) learn(m *Manifest) {
	left := maxOfManifest
	take := func(descriptor bounded.JSON) error {
		if left--; left < 0 {
			return bounded.ErrEnough
		}
		s.take(descriptor)
		return nil
	}
	manifest, err := bounded.Parse(m.Body)
	if err != nil {
		return
	}
	_ = manifest.Fields(func(name string, value bounded.JSON) error { // an error means that the body is no object
		switch name {
		case "config":
			return take(value)
		case "layers", "blobs":
			_ = value.Elements(take)
		}
		return nil
	})
}

// take remembers the size in a descriptor.
func (s sizes) take(descriptor bounded.JSON) {
	var d digest.Digest
	var size int64
	err := descriptor.Fields(func(name string, value bounded.JSON) error {
		switch name {
		case "digest":
			text, _ := value.Text(maxDigest)
			d, _ = upstream.ParseDigest(text)
		case "size":
			size, _ = value.Number()
		}
		return nil
	})
	if err == nil && d != "" && size > 0 {
		s.of.Set(d, size)
	}
}

// hint returns a blob's size in bytes, or 0 if it is unknown.
func (s sizes) hint(d digest.Digest) int64 {
	size, _ := s.of.GetIfPresent(d)
	return size
}
