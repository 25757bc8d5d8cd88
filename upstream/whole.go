package upstream

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot-io/entrepot/bounded"
)

const (
	// MaxWhole limits in bytes the pages of a list that is fetched whole.
	MaxWhole = 4 << 20
	// maxPages limits their number.
	maxPages = 1000
	// pageSize is the largest page that most registries allow: Docker Hub, ghcr.io, Amazon ECR and distribution.
	pageSize = 1000
	// maxListName, maxTag and maxDigest limit the name in a list, a tag and a digest in bytes.
	maxListName = 1024
	maxTag      = 128
	maxDigest   = 256
	// maxIndex limits in bytes an index without its manifests.
	maxIndex = 64 << 10
	// maxBarren limits how many pages in a row may add nothing. Registries that filter after paging send some empty ones.
	maxBarren = 3
)

// ErrNotWhole is the cause of an error if a list cannot be fetched whole: it is too large, takes too many pages or too
// long, or its pages lead to another list. Its pages can still be fetched one by one.
var ErrNotWhole = errors.New("the list cannot be fetched whole")

// ErrTooSlow wraps ErrNotWhole: the upstream responds, but time ran out before the last page.
var ErrTooSlow = fmt.Errorf("%w in time", ErrNotWhole)

// ErrNoIndex is the cause of an error if the response to a request for referrers is not an image index. A registry without
// this API may send a web page, for example.
var ErrNoIndex = errors.New("not an image index")

// TagList is all tags of a repository, in the upstream's order.
type TagList struct {
	Name string
	// Tags are JSON strings, separated by commas. They need no escapes.
	Tags []byte
}

// AllTags fetches all tags of a repository, page by page. It skips invalid tags. known says that something can be served if
// the upstream does not respond. Errors: ErrNotWhole, *Error, bounded.ErrFull.
func (r *Registry) AllTags(ctx context.Context, repo Repository, known bool) (TagList, error) {
	var all TagList
	seen := newSeen(r.memory)
	defer seen.forget()
	q := request{method: http.MethodGet, repo: repo, path: "tags/list", optional: known}
	err := r.pages(ctx, q, true, func(page bounded.JSON) (added int, err error) {
		var name string
		var tags bounded.JSON
		err = page.Fields(func(field string, value bounded.JSON) error {
			switch field {
			case "name":
				name, _ = value.Text(maxListName)
			case "tags":
				tags = value
			}
			return nil
		})
		if err != nil {
			return 0, err
		}
		if name == "" && (tags == nil || tags.IsNull()) { // some registries write this for an empty list
			return 0, errors.New("not a list of tags")
		}
		if all.Name == "" {
			all.Name = name
		}
		if tags == nil {
			return 0, nil
		}
		err = tags.Elements(func(value bounded.JSON) error {
			if !value.IsText() {
				return errors.New("a tag is not a string")
			}
			tag, _ := value.Text(maxTag)
			if !tagGrammar.MatchString(tag) {
				return nil
			}
			isNew, err := seen.add(ctx, tag)
			if err == nil && isNew {
				added++
				all.Tags, err = r.join(ctx, all.Tags, []byte(strconv.Quote(tag)))
			}
			return err
		})
		return added, err
	})
	return all, err
}

// ReferrerList is all manifests that refer to a digest, in the upstream's order.
type ReferrerList struct {
	Index     []byte // the index without its manifests
	Manifests []byte // descriptors, separated by commas
}

// AllReferrers fetches all manifests that refer to a digest, of any artifact type, page by page. For known, see AllTags.
// Errors: ErrNotWhole, bounded.ErrFull, and *Error, which wraps ErrNoIndex if the response is not an image index.
func (r *Registry) AllReferrers(ctx context.Context, repo Repository, d digest.Digest, known bool) (ReferrerList, error) {
	var all ReferrerList
	seen := newSeen(r.memory)
	defer seen.forget()
	q := request{method: http.MethodGet, repo: repo, path: "referrers/" + d.String(), optional: known}
	err := r.pages(ctx, q, false, func(page bounded.JSON) (added int, err error) {
		var manifests bounded.JSON
		err = page.Fields(func(field string, value bounded.JSON) error {
			if field == "manifests" {
				manifests = value
			}
			return nil
		})
		if err != nil {
			return 0, fmt.Errorf("%w: %w", ErrNoIndex, err)
		}
		err = manifests.Elements(func(value bounded.JSON) error {
			d, err := digestIn(value)
			if err != nil {
				return err
			}
			isNew, err := seen.add(ctx, d)
			if err == nil && isNew {
				added++
				all.Manifests, err = r.join(ctx, all.Manifests, value)
			}
			return err
		})
		if err == nil && all.Index == nil {
			if all.Index, err = page.Without("manifests", maxIndex); errors.Is(err, bounded.ErrTooLarge) {
				err = fmt.Errorf("%w: the index without its manifests is %w", ErrNotWhole, err)
			}
		}
		return added, err
	})
	return all, err
}

// digestIn returns the digest in a descriptor.
func digestIn(descriptor bounded.JSON) (d string, err error) {
	err = descriptor.Fields(func(field string, value bounded.JSON) error {
		if field == "digest" {
			d, _ = value.Text(maxDigest)
		}
		return nil
	})
	if err == nil && d == "" {
		err = errors.New("a descriptor has no digest")
	}
	return d, err
}

// join appends a value to a list separated by commas.
func (r *Registry) join(ctx context.Context, values, value []byte) ([]byte, error) {
	if len(values) == 0 {
		return r.memory.Append(ctx, values, value)
	}
	return r.memory.Append(ctx, values, []byte(","), value)
}

// pages fetches the pages of a list and calls take for each, which returns the number of new entries. If large is set,
// pages after the first are requested as large as registries allow.
func (r *Registry) pages(ctx context.Context, q request, large bool, take func(page bounded.JSON) (added int, err error)) error {
	asked := map[string]bool{q.query.Encode(): true}
	left := int64(MaxWhole)
	barren := 0
	for n := range maxPages {
		began := time.Now()
		p, err := r.page(ctx, q, large && n > 0, left)
		if errors.Is(err, errRefusesSize) {
			large = false
			p, err = r.page(ctx, q, false, left)
		}
		switch {
		case err == nil:
		case n > 0 && errors.Is(context.Cause(ctx), context.DeadlineExceeded) && time.Since(began) < r.budget:
			return fmt.Errorf("%w: %d pages arrived in time", ErrTooSlow, n)
		default:
			return err
		}
		if n == 0 {
			ctx = bounded.Holding(ctx) //nolint:fatcontext // once
		}
		added, err := take(bounded.JSON(p.Body))
		if errors.Is(err, bounded.ErrFull) || errors.Is(err, ErrNotWhole) {
			return err
		}
		if err != nil {
			return r.badList(p, fmt.Errorf("%w: %s of %s: %w", ErrBadContent, q.path, q.repo, err))
		}
		left -= int64(len(p.Body))
		if barren++; added > 0 {
			barren = 0
		}
		if p.Next == nil || asked[p.Next.Encode()] || barren == maxBarren {
			return nil
		}
		if !p.leadsOn(q) {
			return fmt.Errorf("%w: the next page is at another path", ErrNotWhole)
		}
		q.query = p.Next
		asked[p.Next.Encode()] = true
	}
	return fmt.Errorf("%w: it has more than %d pages", ErrNotWhole, maxPages)
}

// errRefusesSize means that the upstream rejected the requested page size.
var errRefusesSize = errors.New("page size rejected")

// page fetches one page of at most most bytes. If large is set, it requests a large one. Errors: ErrNotWhole if it exceeds
// most, errRefusesSize, *Error.
func (r *Registry) page(ctx context.Context, q request, large bool, most int64) (listPage, error) {
	if n, err := strconv.Atoi(q.query.Get("n")); large && (err != nil || n < pageSize) {
		query := url.Values(http.Header(q.query).Clone())
		query.Set("n", strconv.Itoa(pageSize))
		q.query = query
	} else {
		large = false
	}
	p, err := r.getPage(ctx, q, most)
	if failed := new(Error); large && errors.As(err, &failed) {
		switch failed.Status {
		case http.StatusBadRequest, http.StatusMethodNotAllowed, http.StatusRequestedRangeNotSatisfiable, http.StatusUnprocessableEntity:
			return listPage{}, errRefusesSize
		}
	}
	if errors.Is(err, errLargePage) {
		return listPage{}, fmt.Errorf("%w: it has more than %d bytes", ErrNotWhole, MaxWhole)
	}
	return p, err
}
