package upstream_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/upstream"
	"github.com/entrepot-io/entrepot/upstream/upstreamtest"
)

func TestSiteIsRegisteredDomain(t *testing.T) {
	for _, test := range []struct {
		registry, service string
		same              bool
	}{
		{"registry-1.docker.io", "auth.docker.io", true},
		{"registry.gitlab.com", "GitLab.com.", true},
		{"registry.example.co.uk:5000", "auth.example.co.uk", true},
		{"registry.example.com", "registry.example.com:8443", true},
		{"10.0.0.5:5000", "10.0.0.5:5001", true},
		{"registry.local", "registry.local:1", true},
		{"registry.example.com", "auth.example.org", false},
		{"registry.example.co.uk", "auth.other.co.uk", false},
		{"a.github.io", "b.github.io", false},
		{"registry.team-a.svc.cluster.local", "evil.team-b.svc.cluster.local", false},
		{"registry.team-a.svc.cluster.local", "auth.team-a.svc.cluster.local", false},
		{"registry.corp", "auth.corp", false},
		{"registry.prod.internal", "auth.prod.internal", false},
		{"registry.lan", "lan", false},
		{"10.0.0.5", "11.1.0.5", false},
		{"com", "com.", true},
		{"[::1]:5000", "[::2]:5000", false},
		{"registry", "auth", false},
		{"registry.example.com", "", false},
	} {
		assert.Equal(t, test.same, upstream.SameSite(test.registry, test.service), "%s, %s", test.registry, test.service)
	}
}

// secretive is a keychain with a name and password, or a refresh token, for one host.
type secretive struct {
	host string
	authn.AuthConfig
}

func (s secretive) Resolve(r authn.Resource) (authn.Authenticator, error) {
	if r.RegistryStr() != s.host {
		return authn.Anonymous, nil
	}
	return authn.FromConfig(s.AuthConfig), nil
}

// recorder is a server that keeps all requests.
type recorder struct {
	*httptest.Server
	mu  sync.Mutex
	all strings.Builder // the requests
}

func record(t *testing.T, answer http.HandlerFunc) *recorder {
	r := new(recorder)
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body) // as much as arrives
		r.mu.Lock()
		_ = req.Header.Write(&r.all)
		r.all.WriteString(req.Method + " " + req.URL.String() + "\n" + string(body) + "\n")
		r.mu.Unlock()
		answer(w, req)
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *recorder) received() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.all.String()
}

const secret = "hunter2"

func TestTokenServiceCannotRedirectCredential(t *testing.T) {
	for name, credential := range map[string]authn.AuthConfig{
		"a password":      {Username: "ada", Password: secret},
		"a refresh token": {IdentityToken: secret},
	} {
		for _, status := range []int{301, 302, 303, 307, 308} {
			t.Run(name, func(t *testing.T) {
				elsewhere := record(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"token":"x"}`) })
				service := record(t, func(w http.ResponseWriter, req *http.Request) {
					http.Redirect(w, req, elsewhere.URL+"/token", status)
				})
				reg := upstreamtest.Start(t, upstreamtest.Options{Auth: true, Username: "ada", Password: secret,
					Realm: service.URL + "/token", Host: "127.0.0.1"})
				reg.Image("library/app", "1", 1000)
				_, err := connect(t, secretive{reg.Host(), credential}, reg.URL()).
					GetManifest(t.Context(), repository(t, "app"), tag(t, "1"))
				require.Error(t, err)
				assert.NotEmpty(t, service.received())
				assert.NotContains(t, elsewhere.received(), secret)
				assert.NotContains(t, elsewhere.received(), "Authorization")
				assert.NotContains(t, err.Error(), secret)
			})
		}
	}
}

func TestTokenServiceErrorsHideSecrets(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"an error that repeats the request": func(w http.ResponseWriter, req *http.Request) {
			w.WriteHeader(http.StatusForbidden)
			body, _ := io.ReadAll(req.Body)
			_ = json.NewEncoder(w).Encode(map[string]any{"errors": []map[string]string{{
				"code": "DENIED", "message": string(body) + req.Header.Get("Authorization"),
			}}})
		},
		"no token": func(w http.ResponseWriter, req *http.Request) { _, _ = io.WriteString(w, `{"x":"`+secret+`"}`) },
		"no JSON":  func(w http.ResponseWriter, req *http.Request) { _, _ = io.WriteString(w, secret) },
		"a malformed redirect": func(w http.ResponseWriter, req *http.Request) {
			w.Header().Set("Location", "http://[::1/"+secret)
			w.WriteHeader(307)
		},
		"no HTTP": func(w http.ResponseWriter, req *http.Request) {
			conn, _, _ := http.NewResponseController(w).Hijack()
			_, _ = io.WriteString(conn, secret+" "+secret+" "+secret+"\r\n\r\n")
			conn.Close()
		},
	} {
		for _, credential := range []authn.AuthConfig{{Username: "ada", Password: secret}, {IdentityToken: secret}} {
			t.Run(name, func(t *testing.T) {
				service := record(t, answer)
				reg := upstreamtest.Start(t, upstreamtest.Options{Auth: true, Realm: service.URL + "/token", Host: "127.0.0.1"})
				reg.Image("library/app", "1", 1000)
				_, err := connect(t, secretive{reg.Host(), credential}, reg.URL()).
					GetManifest(t.Context(), repository(t, "app"), tag(t, "1"))
				require.Error(t, err)
				assert.NotEmpty(t, service.received())
				assert.NotContains(t, err.Error(), secret)
				assert.NotContains(t, err.Error(), "Basic")
			})
		}
	}
}

func TestRefreshTokenIsExchanged(t *testing.T) {
	for name, post := range map[string]int{"by POST": 200, "by GET, if POST is 404": 404, "by GET, if POST is 405": 405} {
		t.Run(name, func(t *testing.T) {
			reg := upstreamtest.Start(t, upstreamtest.Options{Host: "127.0.0.1", Auth: true})
			image := reg.Image("library/app", "1", 1000)
			service := record(t, func(w http.ResponseWriter, req *http.Request) {
				if req.Method == http.MethodPost && post != 200 {
					w.WriteHeader(post)
					return
				}
				resp, err := http.Get(reg.URL() + "/token?scope=repository:library/app:pull")
				if assert.NoError(t, err) {
					defer resp.Body.Close()
					_, _ = io.Copy(w, resp.Body)
				}
			})
			named := upstreamtest.Fault{Kind: upstreamtest.Ping, Status: 401,
				Header: http.Header{"Www-Authenticate": {`Bearer realm="` + service.URL + `/token",service="s"`}}}
			reg.Faults.Set(named)
			m, err := connect(t, secretive{reg.Host(), authn.AuthConfig{IdentityToken: secret}}, reg.URL()).
				GetManifest(t.Context(), repository(t, "app"), tag(t, "1"))
			require.NoError(t, err)
			assert.Equal(t, image.Digest, m.Digest)
			assert.Contains(t, service.received(), "grant_type=refresh_token")
			assert.Contains(t, service.received(), "service=s")
		})
	}
}

func TestTokenServiceRetryAfterIsKept(t *testing.T) {
	for header, want := range map[string]time.Duration{
		"17":                            17 * time.Second,
		"Thu, 26 Nov 2026 12:00:30 GMT": 30 * time.Second,
	} {
		reg := upstreamtest.Start(t, upstreamtest.Options{Auth: true})
		reg.Image("library/app", "1", 1000)
		reg.Faults.Set(upstreamtest.Fault{Kind: upstreamtest.Token, Status: 429,
			Header: http.Header{"Retry-After": {header}, "Date": {"Thu, 26 Nov 2026 12:00:00 GMT"}}})
		_, err := connect(t, nil, reg.URL()).GetManifest(t.Context(), repository(t, "app"), tag(t, "1"))
		failed := failure(t, err)
		assert.Equal(t, 429, failed.Status)
		assert.Equal(t, want, failed.RetryAfter)
	}
}

func TestTokenService404DoesNotMeanNoImage(t *testing.T) {
	reg := upstreamtest.Start(t, upstreamtest.Options{Auth: true})
	reg.Image("library/app", "1", 1000)
	reg.Faults.Set(upstreamtest.Fault{Kind: upstreamtest.Token, Status: 404})
	r := connect(t, nil, reg.URL())
	for range 6 {
		_, err := r.GetManifest(t.Context(), repository(t, "app"), tag(t, "1"))
		assert.False(t, failure(t, err).NotFound())
	}
	assert.Equal(t, upstream.StateHealthy, r.Status()[0].State)
}
