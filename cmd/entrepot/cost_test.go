package main_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/upstream/upstreamtest"
)

// push pushes an image of this shape under the tag 1 and returns it.
func (i imageShape) push(r *upstreamtest.Registry) upstreamtest.Image {
	var sizes []int64
	for _, segments := range i.layers {
		sizes = append(sizes, int64(segments-1)*fillSegment+3000)
	}
	if i.index {
		return r.Index(fillRepo, "1", sizes...).Images[0]
	}
	return r.Image(fillRepo, "1", sizes...)
}

func TestPullCostsDocumentedRequests(t *testing.T) {
	t.Parallel()
	shapes := map[string]imageShape{
		"one layer":                     {layers: []int{1}},
		"index, three layers":           {index: true, layers: []int{1, 1, 1}},
		"layer of two segments":         {layers: []int{2}},
		"index, small and large layers": {index: true, layers: []int{1, 2, 4, 1, 3}},
	}
	type pulled struct {
		imageShape
		scheme string
	}
	cases := map[string]pulled{}
	for name, shape := range shapes {
		cases[name+", by minio-go"] = pulled{shape, "minio"}
		cases[name+", by aws-sdk-go-v2"] = pulled{shape, "s3"}
	}
	atOnce(t, 2, cases, func(t *testing.T, image pulled) {
		w := newCluster(t)
		image.push(w.upstream)
		forLong := []string{"ENTREPOT_TAG_TTL=1h", "ENTREPOT_PRESENCE_TTL=1h"}
		first := w.counted(t, image.scheme, forLong...)
		by := func(g *countedReplica) func() { return func() { require.NoError(t, pull(t, g.replica)) } }
		assert.Equal(t, probe.requests.plus(1, firstReadiness.requests), first.take(t).replica, "to start")

		began := time.Now()
		// A large blob's lease is written a second time with the blob's size, and renewed every 5 s.
		cold := image.cold().plus(1, image.markers()).plus(-image.large(), requests{putObject: 1})
		passed := first.during(t, cold, func() {
			by(first)()
			w.bucket.nothingLeft(t)
		})
		assert.GreaterOrEqual(t, passed.renewals, image.large())
		assert.LessOrEqual(t, passed.renewals, image.large()+image.blobs()*(1+int(time.Since(began)/(5*time.Second))))
		assert.LessOrEqual(t, passed.behind, image.blobs()+image.segmentsOfLarge())
		assert.LessOrEqual(t, passed.clients.of(getObject), image.blobs())

		downloads := requests{}.plus(image.blobs(), clientsDownload.requests)
		assert.Equal(t, downloads, first.during(t, hot.requests, by(first)).clients)

		second := w.counted(t, image.scheme, forLong...)
		second.take(t)
		passed = second.during(t, image.warm().plus(1, image.markers()), by(second))
		assert.Equal(t, counts{replica: passed.replica, clients: downloads}, passed)
		passed = second.during(t, hot.requests, by(second))
		assert.Equal(t, counts{replica: requests{}, clients: downloads}, passed)
		first.during(t, hot.requests, by(first))
	})
}

func TestUseCostsDocumentedRequests(t *testing.T) {
	t.Parallel()
	const tagTTL, presenceTTL = 12 * time.Second, 4 * time.Second
	w := newCluster(t)
	image := imageShape{layers: []int{1}}
	layer := "/v2/" + fillRepo + "/blobs/" + image.push(w.upstream).Layers[0].Digest.String()
	env := []string{"ENTREPOT_TAG_TTL=" + tagTTL.String(), "ENTREPOT_PRESENCE_TTL=" + presenceTTL.String(), "ENTREPOT_RECORD_USE=false", "ENTREPOT_ACCESS_LOG=false"}
	a, b := w.counted(t, "minio", env...), w.counted(t, "minio", env...)
	a.take(t) // the requests of the start
	a.during(t, coldTag.requests, func() { a.tag(t) })
	known := time.Now()
	b.take(t)
	b.during(t, warmTag.requests, func() { b.tag(t) })

	t.Run("presence of a blob", func(t *testing.T) {
		a.during(t, coldSmallBlob.requests, func() {
			require.Equal(t, http.StatusOK, a.status(t, http.MethodGet, layer))
			w.bucket.nothingLeft(t)
		})
		began := time.Now()
		sent := 0
		for time.Since(began) < 2*presenceTTL {
			require.Equal(t, http.StatusTemporaryRedirect, a.status(t, http.MethodGet, layer))
			sent++
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(200 * time.Millisecond) // the last check may not have begun
		passed := a.take(t)
		looks := passed.replica.of(headObject) / look.requests.of(headObject)
		assert.Equal(t, counts{replica: requests{}.plus(looks, look.requests), clients: requests{}}, passed)
		limit := int(time.Since(began)/(presenceTTL*3/4)) + 1
		t.Logf("%d requests for a blob, %d checks in the bucket", sent, looks)
		assert.GreaterOrEqual(t, looks, 1)
		assert.LessOrEqual(t, looks, limit)
		assert.Greater(t, sent, 10*limit)
	})
	t.Run("revalidation of a tag", func(t *testing.T) {
		// S3's times are in whole seconds, so the record may seem up to a second younger to the replica that read it.
		time.Sleep(time.Until(known.Add(tagTTL + time.Second)))
		a.during(t, revalidation.requests, func() { a.tag(t) })
		b.during(t, revalidated.requests, func() { b.tag(t) })
		known = time.Now()
	})
	t.Run("revalidation of a moved tag", func(t *testing.T) {
		imageShape{layers: []int{1, 1}}.push(w.upstream)
		time.Sleep(time.Until(known.Add(tagTTL + time.Second)))
		a.during(t, movedTag.requests, func() { a.tag(t) })
	})
	t.Run("readiness", func(t *testing.T) {
		time.Sleep(time.Second)
		began := time.Now()
		passed := a.during(t, requests{}, func() {
			for range 20 {
				require.Equal(t, http.StatusOK, a.status(t, http.MethodGet, "/readyz"))
			}
		})
		assert.GreaterOrEqual(t, passed.health, readiness.requests.of(getObject))
		assert.LessOrEqual(t, passed.health, 1+int(time.Since(began)/time.Second))
	})
}
