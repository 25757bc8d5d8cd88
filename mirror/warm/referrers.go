package warm

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot-io/entrepot/mirror"
	"github.com/entrepot-io/entrepot/mirror/document"
	"github.com/entrepot-io/entrepot/upstream"
)

// standIns returns the tags that stand in for referrers of a manifest: that of the distribution spec ("Referrers Tag Schema"),
// and cosign's.
func standIns(d digest.Digest) []string {
	name := string(d.Algorithm()) + "-" + d.Encoded()
	return []string{name, name + ".sig", name + ".att", name + ".sbom"}
}

// referrers lands what refers to a manifest, with its own referrers, and the list of them.
func (i *image) referrers(ctx context.Context, of digest.Digest) error {
	list, err := i.Mirror.Referrers(ctx, i.repo, of, mirror.ListQuery{})
	switch {
	case err == nil:
		var body bytes.Buffer
		for piece := range list.Body.Pieces {
			body.Write(piece)
		}
		index, err := document.Parse(body.Bytes())
		if err != nil {
			return fmt.Errorf("read referrers of %s: %w", of, err)
		}
		if err := i.all(ctx, index.Manifests); err != nil {
			return err
		}
	case !i.isAbsent(err):
		return fmt.Errorf("referrers of %s: %w", of, err)
	}
	for _, tag := range standIns(of) {
		ref, err := mirror.ParseReference(tag)
		if err != nil {
			return err
		}
		standIn, doc, err := i.manifest(ctx, ref)
		if i.isAbsent(err) {
			continue
		}
		if err != nil {
			return fmt.Errorf("referrers of %s: tag %s: %w", of, tag, err)
		}
		if err := i.all(ctx, doc.Manifests); err != nil {
			return err
		}
		doc.Manifests = nil
		if err := i.content(ctx, standIn.Digest, doc); err != nil {
			return err
		}
	}
	return nil
}

// all lands manifests with their content and their referrers.
func (i *image) all(ctx context.Context, referrers []document.Descriptor) error {
	for _, r := range referrers {
		if !i.isNew(r.Digest) {
			continue
		}
		_, doc, err := i.manifest(ctx, upstream.ByDigest(r.Digest))
		if err != nil {
			return err
		}
		if err := i.content(ctx, r.Digest, doc); err != nil {
			return err
		}
		if err := i.referrers(ctx, r.Digest); err != nil {
			return err
		}
	}
	return nil
}

func (w *Warmer) isAbsent(err error) bool {
	failed := new(mirror.UpstreamError)
	return errors.As(err, &failed) && failed.NotFound() || w.Taker != nil && errors.Is(err, upstream.ErrOffline)
}
