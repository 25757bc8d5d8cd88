package mirror

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/entrepot-io/entrepot/bounded"
)

// ErrPage means that the query for a list is malformed.
var ErrPage = errors.New("invalid number of results requested")

// ListQuery is a client's query for a page of a list.
type ListQuery struct {
	URL        url.Values // from the client, without the parameters meant only for the mirror
	Limit      int64      // bytes of a page; 0 means no limit
	Revalidate bool       // ask the upstream even if the list is fresh
}

// all is the number of entries of a page without a limit.
const all = -1

// page returns n and last, which the distribution spec defines for tags. Referrers take the same.
func (q ListQuery) page() (n int, last string, err error) {
	n = all
	if text := q.URL.Get("n"); text != "" {
		n, err = strconv.Atoi(text)
		if errors.Is(err, strconv.ErrRange) && n > 0 {
			n, err = all, nil
		}
		if err != nil || n < all || text == "-1" {
			return 0, "", fmt.Errorf("%w: n=%q", ErrPage, text)
		}
	}
	return n, q.URL.Get("last"), nil
}

// next returns the query for the page after one that ends with the entry last.
func (q ListQuery) next(n int, last string) url.Values {
	next := url.Values{"last": {last}}
	if n != all {
		next.Set("n", strconv.Itoa(n))
	}
	if types := q.URL["artifactType"]; len(types) > 0 {
		next["artifactType"] = types
	}
	return next
}

// tags returns a page of a tag list.
func (q ListQuery) tags(l tagList) (List, error) {
	n, last, err := q.page()
	if err != nil {
		return List{}, err
	}
	tags := selection{of: l.Tags}
	if last != "" {
		tags = after(l.Tags, last)
	}
	name, err := marshal(l.Name)
	if err != nil {
		return List{}, err
	}
	head := slices.Concat([]byte(`{"name":`), name, []byte(`,"tags":[`))
	list := List{MediaType: "application/json"}
	tags, end := tags.cut(n, newRoom(q.Limit, len(head)+len("]}")))
	if end != nil {
		list.Next = q.next(n, tagIn(end))
	}
	list.Body = bodyOf(head, tags, "]}")
	return list, nil
}

// tagIn returns the tag in a value.
func tagIn(value []byte) string { return string(value[1 : len(value)-1]) }

// after selects the tags after last. If the upstream has deleted that tag, they are the tags that sort after it, by the list's own
// order if it has one.
func after(tags values, last string) selection {
	if quoted := []byte(`"` + last + `"`); !strings.ContainsAny(last, `",\`) {
		if i := bytes.Index(tags, quoted); i >= 0 {
			return selection{of: tags.behind(i + len(quoted))}
		}
	}
	folded := func(a, b string) int { return cmp.Compare(strings.ToLower(a), strings.ToLower(b)) }
	for _, order := range []func(a, b string) int{strings.Compare, folded} {
		if rest, ok := sortedFrom(tags, last, order); ok {
			return selection{of: rest}
		}
	}
	return selection{tags, func(value []byte) bool { return tagIn(value) > last }}
}

// sortedFrom returns the tags that do not sort before from. ok reports whether all tags are in this order.
func sortedFrom(tags values, from string, order func(a, b string) int) (rest values, ok bool) {
	before, found := "", false
	for end, value := range tags.all() {
		tag := tagIn(value)
		if order(before, tag) > 0 {
			return nil, false
		}
		if !found && order(tag, from) >= 0 {
			rest, found = tags[end-len(value):], true
		}
		before = tag
	}
	return rest, true
}

// referrers returns a page of a referrer list.
func (q ListQuery) referrers(l referrerList) (List, error) {
	n, last, err := q.page()
	if err != nil {
		return List{}, err
	}
	list := List{MediaType: v1.MediaTypeImageIndex}
	manifests := selection{of: l.Manifests}
	if last != "" {
		for end, value := range l.Manifests.all() {
			if describe(value).digest == last {
				manifests.of = l.Manifests.behind(end)
				break
			}
		}
	}
	if types := q.URL["artifactType"]; len(types) > 0 {
		manifests.want, list.Filtered = ofTypes(types), true
	}
	head := indexHead(l.Index, true)
	manifests, end := manifests.cut(n, newRoom(q.Limit, len(head)+len("]}")))
	if end != nil {
		list.Next = q.next(n, describe(end).digest)
	}
	list.Body = bodyOf(head, manifests, "]}")
	return list, nil
}

// descriptor holds the fields by which lists are filtered and paged. Unreadable ones are empty.
type descriptor struct{ digest, artifactType string }

// maxText limits the texts of a descriptor in bytes.
const maxText = 1024

func describe(value []byte) (d descriptor) {
	_ = bounded.JSON(value).Fields(func(name string, value bounded.JSON) error { // an error means that value is no object
		switch name {
		case "digest":
			d.digest, _ = value.Text(maxText)
		case "artifactType":
			d.artifactType, _ = value.Text(maxText)
		}
		return nil
	})
	return d
}

// ofTypes returns a filter for the descriptors of some artifact types.
func ofTypes(artifactTypes []string) func(value []byte) bool {
	return func(value []byte) bool {
		return bytes.Contains(value, []byte("artifactType")) && slices.Contains(artifactTypes, describe(value).artifactType)
	}
}

// indexHead returns the part of an index before its first manifest. index has no manifests. If complete, indexHead adds a missing
// version and media type.
func indexHead(index []byte, complete bool) []byte {
	add := func(field, value string) {
		separator := ","
		if len(index) == len("{}") {
			separator = ""
		}
		index = slices.Concat(index[:len(index)-1], []byte(separator+`"`+field+`":`+value+"}"))
	}
	if complete {
		version, mediaType := false, false
		_ = bounded.JSON(index).Fields(func(name string, _ bounded.JSON) error { // it was valid before
			version, mediaType = version || name == "schemaVersion", mediaType || name == "mediaType"
			return nil
		})
		if !version {
			add("schemaVersion", "2")
		}
		if !mediaType {
			add("mediaType", strconv.Quote(v1.MediaTypeImageIndex))
		}
	}
	add("manifests", "[")
	return index[:len(index)-1]
}

// marshal is json.Marshal without the escapes for HTML, which would make a body larger than computed.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// room is the rest of the bytes that a page may have.
type room struct {
	limited bool
	left    int64
}

func newRoom(limit int64, taken int) *room { return &room{limit > 0, limit - int64(taken)} }

// take reserves room for an entry and a comma, and reports whether there was enough. The first entry always fits, so that paging
// ends; the caller then finds that the page is too large.
func (r *room) take(bytes int, first bool) bool {
	r.left -= int64(bytes) + 1
	return !r.limited || r.left >= 0 || first
}
