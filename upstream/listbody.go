package upstream

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/entrepot-io/entrepot/bounded"
)

// readList reads a page of tags or referrers of at most most bytes, and rejects anything else, such as a sign-in page.
// Errors: ErrBadContent, with errLargePage or ErrNoIndex as another cause; bounded.ErrFull.
func (r *Registry) readList(ctx context.Context, resp *http.Response, kind string, most int64) ([]byte, error) {
	body, err := readBody(ctx, r.memory, resp, most)
	if errors.Is(err, bounded.ErrTooLarge) {
		return nil, fmt.Errorf("%w: %w: %w", ErrBadContent, errLargePage, err)
	}
	if err != nil {
		return nil, err
	}
	name, other := "tags", ErrBadContent
	if kind == "referrers" {
		name, other = "manifests", fmt.Errorf("%w: %w", ErrBadContent, ErrNoIndex)
	}
	var list bounded.JSON
	failed := false
	document, err := bounded.Parse(body)
	if err == nil {
		err = document.Fields(func(field string, value bounded.JSON) error {
			switch field {
			case name:
				list = value
			case "errors":
				failed = true
			}
			return nil
		})
	}
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: a page of %s that is not a JSON object", other, kind)
	case list == nil && failed:
		return nil, fmt.Errorf("%w: errors instead of a page of %s", other, kind)
	case list != nil && !list.IsArray() && !list.IsNull():
		return nil, fmt.Errorf("%w: a page of %s whose %s are not a list", ErrBadContent, kind, name)
	case kind == "referrers" && !list.IsArray():
		return withManifests(document)
	}
	return body, nil
}

// withManifests adds an empty list of manifests to an index without one, for clients and for filters.
func withManifests(index bounded.JSON) ([]byte, error) {
	rest, err := index.Without("manifests", maxIndex)
	if err != nil {
		return nil, fmt.Errorf("%w: an index without manifests: %w", ErrBadContent, err)
	}
	if len(rest) == len("{}") {
		return []byte(`{"manifests":[]}`), nil
	}
	return append(rest[:len(rest)-1], `,"manifests":[]}`...), nil
}
