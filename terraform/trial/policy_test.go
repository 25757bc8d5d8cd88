//go:build e2e

package trial_test

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/minio/minio-go/v7"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/infra/testenv"
)

// A mirror is a running entrepot whose credentials are limited by a policy.
type mirror struct {
	*testenv.Process
	addr string
}

func start(t *testing.T, server *testenv.S3, bucket, policy, upstream string) mirror {
	t.Helper()
	v := server.Permitted(t, policy)
	addr := testenv.FreeAddr(t, "127.0.0.1")
	p := mirror{testenv.StartProgram(t,
		"ENTREPOT_LISTEN="+addr, "ENTREPOT_STORE=minio+"+server.Endpoint+"/"+bucket, "ENTREPOT_UPSTREAMS=corp="+upstream,
		"AWS_ACCESS_KEY_ID="+v.AccessKeyID, "AWS_SECRET_ACCESS_KEY="+v.SecretAccessKey, "AWS_SESSION_TOKEN="+v.SessionToken,
	), addr}
	p.WaitHTTP(t, p.url("/healthz"))
	return p
}

func (m mirror) url(path string) string { return "http://" + m.addr + path }

func (m mirror) get(t *testing.T, path string) (int, []byte) {
	t.Helper()
	resp, err := http.Get(m.url(path))
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, body
}

// push pushes a blob to a registry. It returns its path in the mirror and its digest in hex.
func push(t *testing.T, registry *testenv.Registry, size int) (path, sum string) {
	t.Helper()
	content := make([]byte, size)
	rand.Read(content)
	repository, err := name.NewRepository(registry.Addr+"/app", name.Insecure)
	require.NoError(t, err)
	require.NoError(t, remote.WriteLayer(repository, static.NewLayer(content, types.OCIUncompressedLayer)))
	hash := sha256.Sum256(content)
	sum = hex.EncodeToString(hash[:])
	return "/v2/app/blobs/sha256:" + sum, sum
}

func TestModulePoliciesAreMinimal(t *testing.T) {
	server := testenv.StartMinIO(t)
	registry := testenv.StartRegistry(t, "127.0.0.2")
	for module, g := range modules(t) {
		t.Run(module, func(t *testing.T) {
			bucket := "trial-" + strings.ToLower(rand.Text())
			server.CreateBucket(t, bucket)
			t.Run("complete", func(t *testing.T) { works(t, server, registry, bucket, g.on(bucket)) })
			actions := 0
			for _, removed := range actionsOf(t, g.on(bucket)) {
				actions++
				t.Run("without "+removed, func(t *testing.T) {
					p := start(t, server, bucket, without(t, g.on(bucket), removed), registry.URL())
					status, body := p.get(t, "/readyz")
					assert.Equal(t, http.StatusServiceUnavailable, status, "%s", body)
					assert.Contains(t, string(body), removed+" is not permitted on arn:aws:s3:::"+bucket)
					assert.Contains(t, p.Output(t), removed+" is not permitted on arn:aws:s3:::"+bucket, "log")
				})
			}
			assert.Equal(t, 6, actions, "granted actions")
		})
	}
}

// works pulls a large blob cold and warm, and checks the bucket's content.
func works(t *testing.T, server *testenv.S3, registry *testenv.Registry, bucket, policy string) {
	p := start(t, server, bucket, policy, registry.URL())
	status, body := p.get(t, "/readyz")
	require.Equal(t, http.StatusOK, status, "%s", body)
	assert.Equal(t, "ready\n", string(body))

	path, sum := push(t, registry, 20<<20) // three segments, so that entrepot composes them
	pull := func(name string) {
		status, body := p.get(t, path)
		require.Equal(t, http.StatusOK, status, "%s: %.200s", name, body)
		hash := sha256.Sum256(body)
		require.Equal(t, sum, hex.EncodeToString(hash[:]), name)
	}
	client := server.Client(t)
	list := func(prefix string) (keys []string) {
		for object := range client.ListObjectsIter(t.Context(), bucket, minio.ListObjectsOptions{Prefix: prefix, Recursive: true}) {
			require.NoError(t, object.Err)
			keys = append(keys, object.Key)
		}
		return keys
	}
	pull("cold")
	require.Eventually(t, func() bool { return len(list("public/blobs/")) == 1 && len(list("public/fills/")) == 0 },
		30*time.Second, 50*time.Millisecond, "blob not stored, or its fill not cleaned up")
	pull("warm")
	require.Eventually(t, func() bool { return len(list("access/")) == 1 }, 30*time.Second, 50*time.Millisecond, "no marker of use")
	assert.NotContains(t, p.Output(t), "not permitted")
}

// TestAllPoliciesGrantSameActions compares the policies in the repository. The e2e tests use only that of the module for
// MinIO.
func TestAllPoliciesGrantSameActions(t *testing.T) {
	read := func(file, bucket string) string {
		text, err := os.ReadFile(filepath.Join(testenv.Root(), file))
		require.NoError(t, err)
		return strings.ReplaceAll(string(text), "arn:aws:s3:::"+bucket, "arn:aws:s3:::images")
	}
	page := regexp.MustCompile("(?s)```json\n(.*?)```").FindStringSubmatch(read("docs/stores.md", "my-bucket"))
	require.NotNil(t, page)
	want := grants(t, modules(t)["minio"].on("images"))
	require.Len(t, want, 6)
	for source, policy := range map[string]string{
		"module bucket-s3": modules(t)["bucket-s3"].on("images"),
		"compose":          read("infra/compose/minio/policy.json", "BUCKET"),
		"docs/stores.md":   page[1],
	} {
		assert.Equal(t, want, grants(t, policy), source)
	}
}

// grants returns the resource of each action in a policy.
func grants(t *testing.T, policy string) map[string]any {
	t.Helper()
	all := map[string]any{}
	for _, s := range parsed(t, policy).Statement {
		resource := s["Resource"]
		if several, ok := resource.([]any); ok && len(several) == 1 {
			resource = several[0]
		}
		for _, action := range s["Action"].([]any) {
			all[fmt.Sprint(action)] = resource
		}
	}
	return all
}

type document struct {
	Version   string
	Statement []map[string]any
}

func parsed(t *testing.T, policy string) (d document) {
	t.Helper()
	require.NoError(t, json.NewDecoder(bytes.NewReader([]byte(policy))).Decode(&d))
	return d
}

func actionsOf(t *testing.T, policy string) (all []string) {
	t.Helper()
	for _, s := range parsed(t, policy).Statement {
		for _, action := range s["Action"].([]any) {
			all = append(all, fmt.Sprint(action))
		}
	}
	return all
}

// without returns the policy without one action.
func without(t *testing.T, policy, removed string) string {
	t.Helper()
	d := parsed(t, policy)
	for _, s := range d.Statement {
		s["Action"] = slices.DeleteFunc(s["Action"].([]any), func(a any) bool { return a == removed })
	}
	text, err := json.Marshal(d)
	require.NoError(t, err)
	return string(text)
}
