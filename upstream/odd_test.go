package upstream_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/upstream"
	"github.com/entrepot-io/entrepot/upstream/upstreamtest"
)

func TestOtherStatusesKeepEndpointHealthy(t *testing.T) {
	for _, status := range []int{400, 404, 405, 406, 410, 416, 451, 501, 505, 507, 511} {
		bubble(t, alone, func(t *testing.T, n *network, c client) {
			n.set(origin, answers(status))
			for range 12 {
				for _, ask := range []func() error{c.head, c.get, c.blob, c.referrers, c.tags} {
					_ = ask()
				}
			}
			assert.Equal(t, upstream.StateHealthy, c.state(0), status)
			n.set(origin, answers(200))
			require.NoError(t, c.get())
		})
	}
}

func TestFailingKindHoldsBackNoOther(t *testing.T) {
	for name, broken := range map[string]behaviour{"503": answers(503), "hangs up": hangsUp} {
		for kind, ask := range map[string]func(client) error{
			"HEAD": client.head, "referrers": client.referrers, "tags": client.tags, "blobs": client.blob,
		} {
			t.Run(kind+" "+name, func(t *testing.T) {
				bubble(t, alone, func(t *testing.T, n *network, c client) {
					method, path := http.MethodGet, kind
					if kind == "HEAD" {
						method, path = http.MethodHead, "manifests"
					}
					n.set(origin, on(method, path, broken, answers(200)))
					for range 12 {
						_ = ask(c)
					}
					n.count(origin)
					_ = ask(c)
					if kind != "HEAD" {
						assert.Zero(t, n.count(origin), "requests of the failing kind are held back")
						assert.NotZero(t, c.Status()[0].Until)
					}
					assert.Equal(t, upstream.StateHealthy, c.state(0))
					assert.NoError(t, c.Trouble())
					require.NoError(t, c.get())
				})
			})
		}
	}
}

func hangsUp(*http.Request) (*http.Response, error) { return nil, io.ErrUnexpectedEOF }

func (c client) referrers() error {
	_, err := c.Referrers(c.t.Context(), repository(c.t, "app"), digest.FromString(""), nil)
	return err
}

func (c client) tags() error {
	_, err := c.Tags(c.t.Context(), repository(c.t, "app"), nil)
	return err
}

func TestHeadIsOnlyAHint(t *testing.T) {
	for name, odd := range map[string]behaviour{
		"404": answers(404), "401": answers(401), "403": answers(403), "405": answers(405), "501": answers(501),
		"503": answers(503), "hangs up": hangsUp,
		"no digest":      answers(200, "Docker-Content-Digest: none"),
		"a wrong digest": answers(200, "Docker-Content-Digest: "+digest.FromString("other").String()),
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, alone, func(t *testing.T, n *network, c client) {
				n.set(origin, on(http.MethodHead, "manifests", odd, answers(200)))
				ask := func() int { // like a mirror, which sends a GET if HEAD gives no valid digest
					d, err := c.HeadManifest(t.Context(), repository(t, "app"), tag(t, "1"))
					require.NoError(t, err)
					if d.Digest != digest.FromString("{}") {
						require.NoError(t, c.get())
					}
					return n.count(origin)
				}
				assert.Equal(t, 2, ask())
				for range 3 {
					ask()
				}
				assert.Equal(t, 1, ask(), "the client now skips HEAD")
				assert.Equal(t, upstream.StateHealthy, c.state(0))
				n.set(origin, answers(200))
				time.Sleep(time.Hour)
				assert.Equal(t, 1, ask())
				assert.Equal(t, http.MethodHead, n.last, "HEAD is tried again")
			})
		})
	}
}

func TestOutageSaysNothingAboutHead(t *testing.T) {
	bubble(t, alone, func(t *testing.T, n *network, c client) {
		n.set(origin, answers(404))
		for range 5 {
			require.Error(t, c.revalidate())
		}
		n.set(origin, answers(200))
		require.NoError(t, c.revalidate())
		assert.Equal(t, http.MethodHead, n.last, "HEAD was right about the deleted tag")
	})
}

func TestBadContentIsEndpointFailure(t *testing.T) {
	page := upstreamtest.Fault{HTML: true}
	login := upstreamtest.Start(t, upstreamtest.Options{Host: "127.0.0.5"})
	login.Image("login", "1", 1)
	login.Faults.Set(page)
	for name, fault := range map[string]upstreamtest.Fault{
		"a page":               page,
		"a redirect to a page": {Status: 302, Header: http.Header{"Location": {login.URL() + "/v2/login/manifests/1"}}},
		"other JSON":           {Body: []byte(`["sign in"]`)},
		"an empty body":        {Body: []byte{}},
		"a forbidden redirect": redirectTo("http://169.254.169.254/"),
		"a malformed redirect": redirectTo("http://[::1/"),
		"an unknown encoding":  {Header: http.Header{"Content-Encoding": {"br"}}},
		"another digest":       {Body: []byte(`{}`), Header: http.Header{"Docker-Content-Digest": {digest.FromString("x").String()}}},
		"a cut body":           {Damage: upstreamtest.Cut, At: 10},
		"a forbidden realm":    {Status: 401, Header: http.Header{"Www-Authenticate": {`Bearer realm="http://169.254.169.254/"`}}},
	} {
		t.Run(name, func(t *testing.T) {
			first := upstreamtest.Start(t, upstreamtest.Options{})
			second := upstreamtest.Start(t, upstreamtest.Options{Host: "127.0.0.4"})
			image := second.Image("library/app", "1", 1000)
			first.Image("library/app", "1", 1000)
			first.Faults.Set(fault)
			r, repo, ctx := connect(t, nil, first.URL(), second.URL()), repository(t, "app"), t.Context()
			for range 7 {
				m, err := r.GetManifest(ctx, repo, tag(t, "1"))
				require.NoError(t, err)
				assert.Equal(t, image.Digest, m.Digest)
				if fault.Damage == "" {
					_, err = r.Tags(ctx, repo, nil)
					require.NoError(t, err)
					_, err = r.Referrers(ctx, repo, image.Digest, nil)
					require.NoError(t, err)
				}
			}
			if name == "other JSON" || fault.Damage != "" {
				return // only the digest of a whole blob reveals these
			}
			blob := r.Blob(repo, image.Layers[0].Digest)
			for range 2 {
				size, err := blob.Size(ctx)
				require.NoError(t, err)
				assert.Equal(t, image.Layers[0].Size, size)
				part, err := blob.Open(ctx, 0, 0)
				require.NoError(t, err)
				got, err := digest.FromReader(part.Body)
				require.NoError(t, err)
				part.Body.Close()
				assert.Equal(t, image.Layers[0].Digest, got)
			}
			assert.Equal(t, upstream.StateHealthy, r.Status()[0].State)
		})
	}
}

func TestListMustBeList(t *testing.T) {
	reg := upstreamtest.Start(t, upstreamtest.Options{})
	image := reg.Image("library/app", "1", 1000)
	r, repo := connect(t, nil, reg.URL()), repository(t, "app")
	for _, body := range []string{`<html>`, ``, `null`, `[]`, `"x"`, `{"tags":{},"manifests":7}`} {
		reg.Faults.Set(upstreamtest.Fault{Body: []byte(body)})
		_, err := r.Tags(t.Context(), repo, nil)
		assert.ErrorIs(t, err, upstream.ErrBadContent, body)
		_, err = r.Referrers(t.Context(), repo, image.Digest, nil)
		assert.ErrorIs(t, err, upstream.ErrBadContent, body)
	}
	for _, body := range []string{`{"schemaVersion":2}`, `{"schemaVersion":2,"manifests":null}`} {
		reg.Faults.Set(upstreamtest.Fault{Body: []byte(body)})
		list, err := r.Referrers(t.Context(), repo, image.Digest, nil)
		require.NoError(t, err)
		assert.JSONEq(t, `{"schemaVersion":2,"manifests":[]}`, string(list.Body))
		list, err = r.Tags(t.Context(), repo, nil)
		require.NoError(t, err)
		assert.Equal(t, body, string(list.Body), "byte for byte")
	}
}

// Quay and Google Artifact Registry redirect to storage on their own hosts.
func TestSignedURLOnSameHostGetsNoAuthorization(t *testing.T) {
	for path, want := range map[string]string{
		"/v2/library/app/blobs/DIGEST":                     "Bearer", // another path of the API itself
		"/v2/library/app/blobs/DIGEST?X-Amz-Signature=1":   "",
		"/v2/library/app/blobs/DIGEST?sig=1&se=2026-11-26": "",
		"/storage/v2/library/app/blobs/DIGEST?Signature=1": "",
		"/_storage_proxy/ZXlKaGJHY2lPaUpTVXpJMU5pSXNJbXQ":  "",
	} {
		d := digest.FromString("hello")
		var got []string
		n := new(network)
		n.set("origin.example", func(req *http.Request) (*http.Response, error) {
			switch {
			case req.URL.Path == "/v2/":
				return answers(401, `WWW-Authenticate: Bearer realm="https://origin.example/token"`)(req)
			case req.URL.Path == "/token":
				resp, err := answers(200)(req)
				resp.Body = io.NopCloser(strings.NewReader(`{"token":"t"}`))
				return resp, err
			case len(got) == 0:
				got = append(got, req.Header.Get("Authorization"))
				return answers(307, "Location: "+strings.ReplaceAll(path, "DIGEST", d.String()))(req)
			}
			got = append(got, req.Header.Get("Authorization"))
			return answers(200)(req)
		})
		c := n.client(t, "origin.example")
		part, err := c.Blob(repository(t, "app"), d).Open(t.Context(), 0, 0)
		require.NoError(t, err)
		part.Body.Close()
		require.Len(t, got, 2, path)
		assert.Equal(t, "Bearer t", got[0])
		if want != "" {
			assert.Equal(t, "Bearer t", got[1], path)
		} else {
			assert.Empty(t, got[1], path)
		}
	}
}
