//go:build e2e

package stores_test

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/minio/minio-go/v7/pkg/signer"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/infra/testenv"
)

// A probe sends raw S3 requests to its own bucket, without the client libraries.
type probe struct {
	*testing.T
	server    *testenv.S3
	bucket    string
	accessKey string
}

func newProbe(t *testing.T, server *testenv.S3) *probe {
	t.Helper()
	p := &probe{T: t, server: server, bucket: "probe-" + strings.ToLower(rand.Text()), accessKey: server.AccessKey}
	server.CreateBucket(t, p.bucket)
	return p
}

type response struct {
	status int
	etag   string
	body   string
}

const unsigned = "UNSIGNED-PAYLOAD"

// request returns a signed request. hash is the value of X-Amz-Content-Sha256.
func (p *probe) request(method, target string, body io.Reader, hash string, header ...string) *http.Request {
	p.Helper()
	req, err := http.NewRequestWithContext(p.Context(), method, p.server.Endpoint+"/"+p.bucket+"/"+target, body)
	require.NoError(p, err)
	req.Header.Set("X-Amz-Content-Sha256", hash)
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	return signer.SignV4(*req, p.accessKey, p.server.SecretKey, "", p.server.Region)
}

// send sends a request. header has pairs of names and values.
func (p *probe) send(method, target, body string, header ...string) response {
	p.Helper()
	return p.sendAs(method, target, body, hashOf(body), header...)
}

// sendAs is like send, but claims a hash for the body.
func (p *probe) sendAs(method, target, body, hash string, header ...string) response {
	p.Helper()
	resp, err := http.DefaultClient.Do(p.request(method, target, strings.NewReader(body), hash, header...))
	require.NoError(p, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(p, err)
	return response{resp.StatusCode, resp.Header.Get("ETag"), string(text)}
}

// put stores an object and returns its ETag without quotes.
func (p *probe) put(key, body string) string {
	p.Helper()
	a := p.send("PUT", key, body)
	require.Equal(p, 200, a.status, a.body)
	return strings.Trim(a.etag, `"`)
}

func (p *probe) has(key string) bool {
	p.Helper()
	return p.send("HEAD", key, "").status == 200
}

func hashOf(body string) string {
	sum := sha256.Sum256([]byte(body))
	return hex.EncodeToString(sum[:])
}

// upload starts a multipart upload and returns the query that names it.
func (p *probe) upload(key string) (query string) {
	p.Helper()
	a := p.send("POST", key+"?uploads=", "")
	id := inXML(a.body, "UploadId")
	require.NotEmpty(p, id, a.body)
	return "uploadId=" + id
}

// complete completes an upload that has one part.
func (p *probe) complete(key, query, etag string, header ...string) response {
	p.Helper()
	return p.send("POST", key+"?"+query, fmt.Sprintf(
		`<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>"%s"</ETag></Part></CompleteMultipartUpload>`, etag), header...)
}

// uploaded starts an upload and sends its only part.
func (p *probe) uploaded(key string) (query, etag string) {
	p.Helper()
	query = p.upload(key)
	a := p.send("PUT", key+"?partNumber=1&"+query, "part")
	require.Equal(p, 200, a.status, a.body)
	return query, strings.Trim(a.etag, `"`)
}

// inXML returns the text of the first element with a name, or "".
func inXML(text, name string) string {
	found := regexp.MustCompile("<" + name + ">([^<]*)</" + name + ">").FindStringSubmatch(text)
	if found == nil {
		return ""
	}
	return strings.Trim(strings.NewReplacer("&#34;", "", "&quot;", "").Replace(found[1]), `"`)
}

// breaking returns a body of n bytes that ends with an error.
func breaking(n int) io.Reader {
	return io.MultiReader(bytes.NewReader(make([]byte, n)), errorReader{})
}

type errorReader struct{}

func (errorReader) Read([]byte) (int, error) { return 0, io.ErrClosedPipe }
