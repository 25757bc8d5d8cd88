package upstream_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/bounded"
	"github.com/entrepot-io/entrepot/upstream"
	"github.com/entrepot-io/entrepot/upstream/upstreamtest"
)

// tagged gives one image many tags.
func tagged(reg *upstreamtest.Registry, n int) {
	image := reg.Image("library/app", "tag-00000", 100)
	for i := range n {
		reg.Tag("library/app", fmt.Sprintf("tag-%05d", i), image.Digest)
	}
}

// list decodes JSON strings that are separated by commas.
func list(t *testing.T, separated []byte) (all []string) {
	t.Helper()
	require.NoError(t, json.Unmarshal(slices.Concat([]byte("["), separated, []byte("]")), &all))
	return all
}

func TestAllTagsComeInFewRequests(t *testing.T) {
	for name, test := range map[string]struct {
		options  upstreamtest.Options
		requests int
	}{
		"all at once": {upstreamtest.Options{}, 1},
		"a thousand at most, a hundred by default": {upstreamtest.Options{PageSize: 1000, DefaultPage: 100, StrictPages: true}, 4},
		"a hundred at most":                        {upstreamtest.Options{PageSize: 100}, 25},
		"a hundred at most, strictly":              {upstreamtest.Options{PageSize: 100, StrictPages: true}, 26},
		"links to an unknown host":                 {upstreamtest.Options{PageSize: 1000, LinkHost: "registry.internal:5000"}, 3},
	} {
		t.Run(name, func(t *testing.T) {
			reg := upstreamtest.Start(t, test.options)
			tagged(reg, 2500)
			all, err := connect(t, nil, reg.URL()).AllTags(t.Context(), repository(t, "app"), false)
			require.NoError(t, err)
			assert.Len(t, list(t, all.Tags), 2500)
			assert.Equal(t, "library/app", all.Name)
			assert.Equal(t, test.requests, reg.Counts().Requests[upstreamtest.Tags])
		})
	}
}

// respond returns an upstream that answers every request for a list with a function.
func respond(t *testing.T, answer func(req *http.Request) (header http.Header, body string)) *upstream.Registry {
	t.Helper()
	return respondIn(t, nil, answer)
}

// respondIn is respond with a share of memory.
func respondIn(t *testing.T, memory *bounded.Share, answer func(req *http.Request) (header http.Header, body string)) *upstream.Registry {
	t.Helper()
	base, err := url.Parse("http://registry.example")
	require.NoError(t, err)
	r, err := upstream.New(upstream.Config{Name: "x", Memory: memory, Endpoints: []*url.URL{base}, Transport: roundTrip(func(req *http.Request) (*http.Response, error) {
		recorder := &http.Response{StatusCode: http.StatusOK, Request: req, Header: http.Header{}, Body: http.NoBody}
		if strings.HasSuffix(req.URL.Path, "/v2/") {
			return recorder, nil
		}
		assert.Equal(t, "registry.example", req.URL.Host)
		header, body := answer(req)
		if err := req.Context().Err(); err != nil {
			return nil, err
		}
		recorder.Header, recorder.Body = header, readCloser{strings.NewReader(body)}
		return recorder, nil
	})})
	require.NoError(t, err)
	return r
}

type readCloser struct{ *strings.Reader }

func (readCloser) Close() error { return nil }

func link(target string) http.Header {
	return http.Header{"Link": {"<" + target + `>; rel="next"`}}
}

func TestListEndsEvenIfItsLinksDoNot(t *testing.T) {
	for name, test := range map[string]struct {
		answer func(n int, req *http.Request) (http.Header, string)
		tags   int
	}{
		"to the same page": {func(_ int, req *http.Request) (http.Header, string) {
			return link(req.URL.RequestURI()), `{"name":"app","tags":["a"]}`
		}, 1},
		"round and round": {func(n int, _ *http.Request) (http.Header, string) {
			return link(fmt.Sprintf("?last=%d", n%2)), fmt.Sprintf(`{"name":"app","tags":["t%d"]}`, n%2)
		}, 2},
		"to other pages with the same tags": {func(n int, _ *http.Request) (http.Header, string) {
			return link(fmt.Sprintf("?next_page=%d", n)), `{"name":"app","tags":["a"]}`
		}, 1},
		"over an empty page": {func(n int, _ *http.Request) (http.Header, string) {
			if n == 4 {
				return nil, `{"name":"app","tags":["b"]}`
			}
			return link(fmt.Sprintf("?next_page=%d", n)), []string{`{"name":"app","tags":["a"]}`, `{"name":"app","tags":null}`, `{"name":"app","tags":[]}`, `{"name":"app","tags":["c"]}`}[n]
		}, 3},
	} {
		t.Run(name, func(t *testing.T) {
			n := 0
			r := respond(t, func(req *http.Request) (http.Header, string) {
				defer func() { n++ }()
				return test.answer(n, req)
			})
			all, err := r.AllTags(t.Context(), repository(t, "app"), false)
			require.NoError(t, err)
			assert.Len(t, list(t, all.Tags), test.tags)
			assert.Less(t, n, 10)
		})
	}
}

func TestListNotFetchedWhole(t *testing.T) {
	for name, answer := range map[string]func(n int) (http.Header, string){
		"continues in another repository": func(int) (http.Header, string) {
			return link("/v2/library/other/tags/list?last=a"), `{"name":"app","tags":["a"]}`
		},
		"too large": func(n int) (http.Header, string) {
			var tags []string
			for i := range 20_000 {
				tags = append(tags, fmt.Sprintf(`"%100d"`, n*20_000+i))
			}
			return link(fmt.Sprintf("?last=%d", n)), `{"name":"app","tags":[` + strings.Join(tags, ",") + `]}`
		},
		"endless": func(n int) (http.Header, string) {
			return link(fmt.Sprintf("?last=%d", n)), fmt.Sprintf(`{"name":"app","tags":["t%d"]}`, n)
		},
	} {
		t.Run(name, func(t *testing.T) {
			n := 0
			r := respond(t, func(*http.Request) (http.Header, string) {
				defer func() { n++ }()
				return answer(n)
			})
			_, err := r.AllTags(t.Context(), repository(t, "app"), false)
			require.ErrorIs(t, err, upstream.ErrNotWhole)
			require.NotErrorIs(t, err, upstream.ErrTooSlow)
			assert.LessOrEqual(t, n, 1001)
		})
	}
}

func TestSlowListIsNoUpstreamFailure(t *testing.T) {
	n := 0
	r := respond(t, func(*http.Request) (http.Header, string) {
		time.Sleep(time.Second)
		n++
		return link(fmt.Sprintf("?last=%d", n)), fmt.Sprintf(`{"name":"app","tags":["t%d"]}`, n)
	})
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 7500*time.Millisecond)
		defer cancel()
		_, err := r.AllTags(ctx, repository(t, "app"), false)
		require.ErrorIs(t, err, upstream.ErrTooSlow)
		require.NoError(t, r.Trouble())
	})
}

func TestHangingPageIsUpstreamFailure(t *testing.T) {
	n := 0
	r := respond(t, func(req *http.Request) (http.Header, string) {
		if n++; n > 1 {
			<-req.Context().Done()
		}
		return link("?last=a"), `{"name":"app","tags":["a"]}`
	})
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 7500*time.Millisecond)
		defer cancel()
		_, err := r.AllTags(ctx, repository(t, "app"), false)
		require.NotErrorIs(t, err, upstream.ErrNotWhole)
		require.Error(t, r.Trouble())
	})
}

func TestIndexWithoutManifestsIsEmpty(t *testing.T) {
	for body, failed := range map[string]bool{
		`{"schemaVersion":2}`:                  false,
		`{"schemaVersion":2,"manifests":null}`: false,
		`{"schemaVersion":2,"manifests":[]}`:   false,
		`{"errors":[{"code":"UNSUPPORTED"}]}`:  true,
		`<html>Sign in</html>`:                 true,
		`null`:                                 true,
		``:                                     true,
		`[]`:                                   true,
	} {
		r := respond(t, func(*http.Request) (http.Header, string) { return nil, body })
		all, err := r.AllReferrers(t.Context(), repository(t, "app"), digest.FromString("x"), false)
		assert.Empty(t, all.Manifests)
		if failed {
			assert.ErrorIs(t, err, upstream.ErrNoIndex, body)
		} else {
			assert.NoError(t, err, body)
		}
	}
}

func TestListReleasesItsRoom(t *testing.T) {
	t.Parallel()
	tags := []string{`"x"`}
	for i := range 30_000 {
		tags = append(tags, fmt.Sprintf(`"%x"`, i))
	}
	page := `{"name":"app","tags":[` + strings.Join(tags, ",") + `]}`
	memory := bounded.NewBudget(4 << 20)
	r := respondIn(t, memory.Share(memory.Size()), func(*http.Request) (http.Header, string) { return nil, page })
	for range 5 { // each needs more than a quarter of the memory
		all, err := r.AllTags(t.Context(), repository(t, "app"), false)
		require.NoError(t, err)
		assert.Len(t, list(t, all.Tags), len(tags))
	}
	assert.Zero(t, memory.Refused())
	small := bounded.NewBudget(800 << 10)
	r = respondIn(t, small.Share(small.Size()), func(*http.Request) (http.Header, string) { return nil, page })
	for range 3 {
		_, err := r.AllTags(t.Context(), repository(t, "app"), false)
		require.ErrorIs(t, err, bounded.ErrFull)
		require.NotErrorIs(t, err, upstream.ErrNotWhole, "it is not the list's fault")
	}
	require.NoError(t, r.Trouble(), "it is not the upstream's fault")
}

func TestDuplicateAndInvalidTagsDropped(t *testing.T) {
	r := respond(t, func(*http.Request) (http.Header, string) {
		return nil, `{"tags":["b","\u0061","b" ,"a", "no tag","\"","` + strings.Repeat("x", 129) + `"], "name":"app"}`
	})
	all, err := r.AllTags(t.Context(), repository(t, "app"), false)
	require.NoError(t, err)
	assert.Equal(t, `"b","a"`, string(all.Tags))
	assert.Equal(t, "app", all.Name)
	r = respond(t, func(*http.Request) (http.Header, string) { return nil, `{"name":"app","tags":["a",1]}` })
	_, err = r.AllTags(t.Context(), repository(t, "app"), false)
	require.ErrorIs(t, err, upstream.ErrBadContent)
}

func TestLongIndexNotFetchedWhole(t *testing.T) {
	r := respond(t, func(*http.Request) (http.Header, string) {
		return nil, `{"manifests":[],"annotations":{"x":"` + strings.Repeat("x", 100_000) + `"}}`
	})
	_, err := r.AllReferrers(t.Context(), repository(t, "app"), digest.FromString("x"), false)
	require.ErrorIs(t, err, upstream.ErrNotWhole)
}
