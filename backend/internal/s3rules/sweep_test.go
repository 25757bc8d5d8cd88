package s3rules_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/backend/internal/s3rules"
)

// pages are the pages of a listing of uploads, in order.
type pages struct {
	pages   []s3rules.Uploads
	markers []string
	aborted []string
}

func (p *pages) Uploads(_ context.Context, _, keyMarker, idMarker string) (s3rules.Uploads, error) {
	p.markers = append(p.markers, keyMarker+","+idMarker)
	return p.pages[min(len(p.markers), len(p.pages))-1], nil
}

func (p *pages) Abort(_ context.Context, key, id string) error {
	p.aborted = append(p.aborted, key+" "+id)
	return nil
}

func TestSweepFindsUploadsWithEncodedKeys(t *testing.T) {
	p := &pages{pages: []s3rules.Uploads{
		{Found: []s3rules.FoundUpload{{Key: "root/x y:0", ID: "plain"}, {Key: "root/x%20y%3A0", ID: "ceph"}}, More: true, KeyMarker: "root%2Fx%20y%3A0", IDMarker: "ceph"},
		{Found: []s3rules.FoundUpload{{Key: "root/x+y%3A0", ID: "form"}, {Key: "root%2Fx%20y:0", ID: "all"}}, More: true, KeyMarker: "root/x y:0", IDMarker: "all"},
		{Found: []s3rules.FoundUpload{{Key: "root/x y:01", ID: "longer"}, {Key: "root/x%20y%3A01", ID: "longer"}, {Key: "x y:0", ID: "outside"}}},
	}}
	require.NoError(t, s3rules.Sweep(t.Context(), p, "root/", "x y:0"))
	require.Equal(t, []string{"x y:0 plain", "x y:0 ceph", "x y:0 form", "x y:0 all"}, p.aborted)
	require.Equal(t, []string{",", "root/x y:0,ceph", "root/x y:0,all"}, p.markers)
}

func TestSweepEndsIfListingDoesNotAdvance(t *testing.T) {
	for _, page := range []s3rules.Uploads{{More: true}, {More: true, KeyMarker: "a", IDMarker: "b"}} {
		p := &pages{pages: []s3rules.Uploads{page}}
		require.ErrorContains(t, s3rules.Sweep(t.Context(), p, "", "a"), "does not advance")
	}
}

func TestNoUploads(t *testing.T) {
	cause := errors.New("cause")
	_, err := s3rules.NoUploads(s3rules.Failure{Status: 404, Code: "NoSuchUpload"}, "a", cause)
	require.NoError(t, err)
	_, err = s3rules.NoUploads(s3rules.Failure{Status: 404, Code: "NoSuchBucket"}, "a", cause)
	require.ErrorIs(t, err, backend.ErrNoBucket)
	_, err = s3rules.NoUploads(s3rules.Failure{Status: 501, Code: "NotImplemented"}, "a", cause)
	require.ErrorIs(t, err, cause)
}
