package presign_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/backend/minio"
	"github.com/entrepot-io/entrepot/infra/testenv"
	"github.com/entrepot-io/entrepot/presign"
)

const keyID = "K2JCJMDEHXQW5F"

func newRSAKey(t testing.TB) (crypto.PublicKey, []byte) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	return key.Public(), pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
}

func newECKey(t testing.TB) (crypto.PublicKey, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	return key.Public(), inPKCS8(t, key)
}

func inPKCS8(t testing.TB, key any) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// signedURL matches a URL with a canned policy.
var signedURL = regexp.MustCompile(`^([^?]+)\?Expires=(\d+)&Signature=([A-Za-z0-9~_-]+)&Key-Pair-Id=(\w+)$`)

// verify checks a URL as CloudFront documents it, and returns when the URL expires.
func verify(public crypto.PublicKey, u string, now time.Time) (time.Time, error) {
	m := signedURL.FindStringSubmatch(u)
	if m == nil {
		return time.Time{}, fmt.Errorf("%s is not a signed URL", u)
	}
	if m[4] != keyID {
		return time.Time{}, fmt.Errorf("unknown key %s", m[4])
	}
	signature, err := base64.StdEncoding.DecodeString(strings.NewReplacer("-", "+", "_", "=", "~", "/").Replace(m[3]))
	if err != nil {
		return time.Time{}, err
	}
	policy := fmt.Sprintf(`{"Statement":[{"Resource":"%s","Condition":{"DateLessThan":{"AWS:EpochTime":%s}}}]}`, m[1], m[2])
	hash := sha1.Sum([]byte(policy))
	switch public := public.(type) {
	case *rsa.PublicKey:
		err = rsa.VerifyPKCS1v15(public, crypto.SHA1, hash[:], signature)
	case *ecdsa.PublicKey:
		if !ecdsa.VerifyASN1(public, hash[:], signature) {
			err = errors.New("wrong signature")
		}
	}
	if err != nil {
		return time.Time{}, err
	}
	seconds, err := strconv.ParseInt(m[2], 10, 64)
	if until := time.Unix(seconds, 0); err != nil || !now.Before(until) {
		return until, fmt.Errorf("expired at %s", until)
	}
	return time.Unix(seconds, 0), nil
}

// startCDN runs a proxy with a bucket as its origin. With a public key it only accepts signed URLs. It uses presigned URLs to
// reach the bucket, as CloudFront uses origin access control.
func startCDN(t *testing.T, server *testenv.S3, bucket string, public crypto.PublicKey) *httptest.Server {
	t.Helper()
	client := server.Client(t)
	var cdn *httptest.Server
	cdn = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if public != nil {
			if _, err := verify(public, cdn.URL+r.URL.RequestURI(), time.Now()); err != nil {
				http.Error(w, err.Error(), http.StatusForbidden)
				return
			}
		}
		origin, err := client.PresignedGetObject(r.Context(), bucket, strings.TrimPrefix(r.URL.Path, "/"), time.Minute, nil)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		(&httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) {
			p.Out.URL, p.Out.Host = origin, origin.Host
		}}).ServeHTTP(w, r)
	}))
	t.Cleanup(cdn.Close)
	return cdn
}

func fetch(t *testing.T, url string) (status int, body string) {
	t.Helper()
	resp, err := http.Get(url)
	require.NoError(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(b)
}

func TestFetchThroughCDN(t *testing.T) {
	server := testenv.StartMinIO(t)
	server.CreateBucket(t, "images")
	store, err := minio.Open(minio.Config{
		Endpoint: server.Addr, Insecure: true, Bucket: "images", Prefix: "team a/mirror",
		Credentials: credentials.NewStaticV4(server.AccessKey, server.SecretKey, ""),
	})
	require.NoError(t, err)
	const key = "public/blobs/a:b+c"
	_, err = store.Put(t.Context(), key, strings.NewReader("content"), 7, backend.PutOptions{})
	require.NoError(t, err)

	for name, newKey := range map[string]func(testing.TB) (crypto.PublicKey, []byte){"RSA": newRSAKey, "ECDSA": newECKey, "no key": nil} {
		t.Run(name, func(t *testing.T) {
			var public crypto.PublicKey
			var cdnKey *presign.CDNKey
			if newKey != nil {
				var text []byte
				public, text = newKey(t)
				private, err := presign.ParseCDNKey(text)
				require.NoError(t, err)
				cdnKey = &presign.CDNKey{ID: keyID, Private: private}
			}
			proxy := startCDN(t, server, "images", public)
			cdn := presign.NewCDN(parse(t, proxy.URL), "team a/mirror", cdnKey)
			u := newURLs(store, presign.Config{Expiry: time.Hour, MinLeft: 10 * time.Minute, CDN: cdn}).get(t, key)
			assert.True(t, strings.HasPrefix(u, proxy.URL+"/team%20a/mirror/public/blobs/a%3Ab%2Bc"), u)
			status, body := fetch(t, u)
			assert.Equal(t, http.StatusOK, status, body)
			assert.Equal(t, "content", body)
			if newKey == nil {
				assert.NotContains(t, u, "?")
				return
			}
			for _, other := range []string{strings.Replace(u, "a%3Ab", "other", 1), strings.Replace(u, "Expires=1", "Expires=2", 1), strings.Split(u, "?")[0]} {
				status, _ = fetch(t, other)
				assert.Equal(t, http.StatusForbidden, status, other)
			}
		})
	}
}

func TestCDNURLsChangeInWindows(t *testing.T) {
	for name, newKey := range map[string]func(testing.TB) (crypto.PublicKey, []byte){"RSA": newRSAKey, "ECDSA": newECKey} {
		t.Run(name, func(t *testing.T) {
			public, text := newKey(t)
			private, err := presign.ParseCDNKey(text)
			require.NoError(t, err)
			clock := testenv.NewClock()
			c := presign.Config{
				Expiry: time.Hour, MinLeft: 10 * time.Minute, Now: clock.Now,
				CDN: presign.NewCDN(parse(t, "https://d111.cloudfront.net/v2"), "", &presign.CDNKey{ID: keyID, Private: private}),
			}
			one, other := newURLs(nil, c), newURLs(nil, c)
			distinct := map[string]bool{}
			for range 60 {
				u := one.get(t, "a")
				assert.Equal(t, u, other.get(t, "a"), "another replica")
				until, err := verify(public, u, clock.Now())
				require.NoError(t, err)
				assert.GreaterOrEqual(t, until.Sub(clock.Now()), 10*time.Minute)
				distinct[u] = true
				clock.Advance(5 * time.Minute) // 5 hours in total
			}
			assert.InDelta(t, 6.5, len(distinct), 0.6)
			assert.Equal(t, len(distinct), one.signatures(t))
			assert.True(t, strings.HasPrefix(one.get(t, "a"), "https://d111.cloudfront.net/v2/a?"))
		})
	}
}

func TestParseCDNKeyRefusesUnsupportedKeys(t *testing.T) {
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	require.NoError(t, err)
	for want, text := range map[string][]byte{
		"no private key in PEM format": []byte("MIIEvQ"),
		"P-384":                        inPKCS8(t, p384),
		"PEM block is a PUBLIC KEY":    pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: []byte{1}}),
		"asn1":                         pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte{1}}),
	} {
		_, err := presign.ParseCDNKey(text)
		assert.ErrorContains(t, err, want)
	}
}
