package doctor

import (
	"context"
	"errors"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/mirror/lease"
)

// checksum finds out whether the store verifies the SHA-256 that comes with a write.
func (c *storeCheck) checksum(ctx context.Context) {
	if !c.written {
		return
	}
	err := try(ctx, func(ctx context.Context) error {
		_, err := c.Backend.Put(ctx, c.key+"-sum", strings.NewReader(c.body), int64(len(c.body)), backend.PutOptions{
			SHA256: digest.FromString("other bytes").Encoded(),
		})
		return err
	})
	switch {
	case errors.Is(err, backend.ErrChecksum):
		c.OK("checksums", "a write with another checksum was refused")
	case err == nil:
		c.Warn("checksums", "a write with another checksum was stored", "only entrepot verifies content; damage on the way to the store is not noticed",
			"none: entrepot works without")
	default:
		c.report("checksums", "", err, "blobs cannot be stored")
	}
}

// conditions finds out whether the store honors conditional writes.
func (c *storeCheck) conditions(ctx context.Context) {
	if !c.written {
		return
	}
	var support lease.Support
	err := try(ctx, func(ctx context.Context) (err error) {
		support, err = lease.Probe(ctx, c.Backend, c.Prefix)
		return err
	})
	const consequence = "replicas cannot share a fill: every replica fetches cold content for itself"
	switch {
	case err != nil:
		c.Warn("conditional writes", brief(err), consequence, storeRemedy(err))
	case !support.Able:
		c.Warn("conditional writes", support.Reason, consequence, "run one replica, or use a store that honors If-None-Match and If-Match (docs/stores.md)")
	case support.Unquoted:
		c.OK("conditional writes", "honored; If-Match only without quotes")
	default:
		c.OK("conditional writes", "honored")
	}
}

// compose finds out whether the store copies objects.
func (c *storeCheck) compose(ctx context.Context) {
	composer, ok := c.Backend.(backend.Composer)
	if !ok || !c.written || c.object.ETag == "" {
		return
	}
	err := try(ctx, func(ctx context.Context) error {
		_, err := composer.Compose(ctx, c.key+"-copy", []backend.Object{c.object}, backend.PutOptions{})
		return err
	})
	switch {
	case errors.Is(err, backend.ErrUnable):
		c.Warn("copies", err, "blobs of several segments pass through entrepot once more", "none: entrepot works without")
	case isPermission(err):
		// Another check names the permission.
	default:
		c.report("copies", "an object was copied into another", err, "large blobs cannot be stored")
	}
}

// abort makes a copy fail, so that there is an upload to abort.
func (c *storeCheck) abort(ctx context.Context) {
	composer, ok := c.Backend.(backend.Composer)
	if _, uploads := c.Backend.(backend.Sweeper); !ok || !uploads || !c.written {
		return
	}
	changed := c.object
	changed.Key, changed.Size = c.key, int64(len(c.body))
	changed.ETag = `"00000000000000000000000000000000"`
	err := try(ctx, func(ctx context.Context) error {
		_, err := composer.Compose(ctx, c.key+"-copy", []backend.Object{changed}, backend.PutOptions{})
		return err
	})
	if missing, ok := errors.AsType[*backend.PermissionError](err); ok && missing.Action == "s3:AbortMultipartUpload" {
		c.Break("abort uploads", missing, "parts of failed uploads stay in the bucket and cost money", storeRemedy(missing))
		return
	}
	c.OK("abort uploads", "a copy that failed left nothing behind")
}

func (c *storeCheck) uploads(ctx context.Context) {
	sweeper, ok := c.Backend.(backend.Sweeper)
	if !ok {
		return
	}
	err := try(ctx, func(ctx context.Context) error { return sweeper.Sweep(ctx, c.key+"-copy") })
	c.report("list uploads", "unfinished uploads were listed", err, "parts that killed replicas left behind stay in the bucket and cost money")
}
