package inventory

import (
	"bytes"
	"encoding/hex"
	"sort"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot-io/entrepot/mirror/layout"
)

// Node is the number of a blob or manifest in an inventory.
type Node int32

// table holds the blobs or the manifests with one digest algorithm, in ascending order of their digests. That is the order
// in which a bucket lists them.
type table struct {
	kind      layout.Content
	algorithm digest.Algorithm
	first     Node // of the table
	width     int  // bytes of a digest
	sums      []byte
	sizes     []int64
	stored    []int64 // seconds since 1970
	used      []int64 // seconds since 1970; 0: no marker of use
}

func (t *table) len() int { return len(t.sizes) }

// add appends an object, whose digest is valid.
func (t *table) add(d digest.Digest, size int64, stored time.Time) {
	sum, _ := hex.DecodeString(d.Encoded())
	t.sums = append(t.sums, sum...)
	t.sizes = append(t.sizes, size)
	t.stored = append(t.stored, stored.Unix())
	t.used = append(t.used, 0)
}

func (t *table) sum(i int) []byte { return t.sums[i*t.width : (i+1)*t.width] }

func (t *table) digest(i int) digest.Digest {
	return digest.NewDigestFromEncoded(t.algorithm, hex.EncodeToString(t.sum(i)))
}

// find returns the index of a digest.
func (t *table) find(d digest.Digest) (int, bool) {
	sum, err := hex.DecodeString(d.Encoded())
	if err != nil || d.Algorithm() != t.algorithm {
		return 0, false
	}
	i := sort.Search(t.len(), func(i int) bool { return bytes.Compare(t.sum(i), sum) >= 0 })
	return i, i < t.len() && bytes.Equal(t.sum(i), sum)
}
