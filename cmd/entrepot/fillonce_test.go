package main_test

import (
	"io"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/stretchr/testify/assert"

	"github.com/entrepot-io/entrepot/upstream/upstreamtest"
)

func TestColdImageFetchedOnceByAllReplicas(t *testing.T) {
	t.Parallel()
	w := newCluster(t)
	index := w.upstream.Index(fillRepo, "1", 3*fillSegment+1234, 2<<20, 3000)
	want := imageBytes(index.Images[0])
	w.throttle(12 << 20)
	replicas := w.replicas(t, 3)

	pullAtOnce(t, replicas, 20)

	counts := w.upstream.Counts()
	t.Logf("upstream sent %d bytes for an image of %d; requests: %v", counts.BlobBytes, want, counts.Requests)
	assert.Equal(t, want, counts.BlobBytes, "bytes of blobs")
	assert.Equal(t, 2, counts.Requests[upstreamtest.ManifestGet], "the index and the image's manifest")
	assert.Empty(t, counts.Violations)
	w.bucket.nothingLeft(t)
	assert.Equal(t, 2+1+3, w.bucket.allVerified(t), "objects in the bucket")
}

// imageBytes returns the total size of an image's blobs.
func imageBytes(image upstreamtest.Image) int64 {
	total := image.Config.Size
	for _, layer := range image.Layers {
		total += layer.Size
	}
	return total
}

// pullAtOnce pulls the tag 1 with several clients concurrently, spread over the replicas.
func pullAtOnce(t *testing.T, replicas []*replica, clients int) {
	t.Helper()
	var wg sync.WaitGroup
	for i := range clients {
		wg.Go(func() {
			if err := pull(t, replicas[i%len(replicas)]); err != nil {
				t.Errorf("client %d: %v", i, err)
			}
		})
	}
	wg.Wait()
}

// pull reads a whole image. The library verifies the digests.
func pull(t *testing.T, r *replica) error {
	t.Helper()
	ref, err := name.ParseReference(r.addr+"/"+fillRepo+":1", name.Insecure)
	if err != nil {
		return err
	}
	image, err := remote.Image(ref, remote.WithContext(t.Context()))
	if err != nil {
		return err
	}
	if _, err := image.RawConfigFile(); err != nil {
		return err
	}
	layers, err := image.Layers()
	if err != nil {
		return err
	}
	errs := make([]error, len(layers))
	var wg sync.WaitGroup
	for i, layer := range layers {
		wg.Go(func() {
			body, err := layer.Compressed()
			if err == nil {
				_, err = io.Copy(io.Discard, body)
				body.Close()
			}
			errs[i] = err
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
