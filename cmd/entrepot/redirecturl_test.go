package main_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"encoding/xml"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	miniocredentials "github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/infra/testenv"
)

// redirectOf requests a blob until it is stored, and returns the URL of the redirect.
func (p program) redirectOf(t *testing.T, path string) *url.URL {
	t.Helper()
	client := &http.Client{
		Transport:     patient.Transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	var location *url.URL
	p.WaitUntil(t, "redirects", func() error {
		resp, err := client.Get(p.url(path))
		if err != nil {
			return err
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusTemporaryRedirect {
			return fmt.Errorf("status %s", resp.Status)
		}
		location, err = resp.Location()
		return err
	})
	return location
}

// noKeys keeps the program from finding credentials on the machine.
var noKeys = []string{"AWS_ACCESS_KEY_ID=", "AWS_SECRET_ACCESS_KEY=", "AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null", "AWS_EC2_METADATA_DISABLED=true"}

// asKeys provides credentials in the environment, without an expiry.
func asKeys(_ *testing.T, v miniocredentials.Value) []string {
	return append(noKeys, "AWS_ACCESS_KEY_ID="+v.AccessKeyID, "AWS_SECRET_ACCESS_KEY="+v.SecretAccessKey, "AWS_SESSION_TOKEN="+v.SessionToken)
}

func onLambda(t *testing.T, v miniocredentials.Value) []string {
	return append(asKeys(t, v), "AWS_LAMBDA_FUNCTION_NAME=mirror")
}

// inContainer provides credentials by an agent, as ECS and EKS do.
func inContainer(t *testing.T, v miniocredentials.Value) []string {
	agent := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{
			"AccessKeyId": v.AccessKeyID, "SecretAccessKey": v.SecretAccessKey, "Token": v.SessionToken, "Expiration": v.Expiration,
		})
	}))
	t.Cleanup(agent.Close)
	return append(noKeys, "AWS_CONTAINER_CREDENTIALS_FULL_URI="+agent.URL)
}

// byWebIdentity provides credentials by a token service, for the token of a workload.
func byWebIdentity(t *testing.T, v miniocredentials.Value) []string {
	type issued struct{ AccessKeyId, SecretAccessKey, SessionToken, Expiration string }
	type answer struct {
		XMLName     xml.Name `xml:"https://sts.amazonaws.com/doc/2011-06-15/ AssumeRoleWithWebIdentityResponse"`
		Credentials issued   `xml:"AssumeRoleWithWebIdentityResult>Credentials"`
	}
	sts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("Action") != "AssumeRoleWithWebIdentity" || r.FormValue("WebIdentityToken") != "a token" {
			http.Error(w, "unexpected request", http.StatusBadRequest)
			return
		}
		_ = xml.NewEncoder(w).Encode(answer{Credentials: issued{v.AccessKeyID, v.SecretAccessKey, v.SessionToken, v.Expiration.Format(time.RFC3339)}})
	}))
	t.Cleanup(sts.Close)
	token := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(token, []byte("a token"), 0o600))
	return append(noKeys, "AWS_WEB_IDENTITY_TOKEN_FILE="+token, "AWS_ROLE_ARN=arn:aws:iam::123456789012:role/mirror", "AWS_ENDPOINT_URL_STS="+sts.URL)
}

func TestURLsExpireWithTemporaryCredentials(t *testing.T) {
	t.Parallel()
	server := sharedBucket(t)
	upstream := testenv.StartRegistry(t, "127.0.0.2")
	stores := map[string]func(*testenv.S3) []string{"minio": minioStore, "s3": s3Store}
	for name, find := range map[string]func(*testing.T, miniocredentials.Value) []string{
		"keys": asKeys, "Lambda": onLambda, "container": inContainer, "web identity": byWebIdentity,
	} {
		for kind, store := range stores {
			t.Run(name+" for "+kind, func(t *testing.T) {
				t.Parallel()
				issued := server.AssumeRole(t)
				path, digest := pushBlob(t, upstream, "app", 1000)
				env := append(store(server), find(t, issued)...)
				earliest, latest := 10*time.Minute, 15*time.Minute
				if name == "keys" { // their expiry is unknown
					earliest, latest = 59*time.Minute, time.Hour
					env = append(env, "ENTREPOT_PRESIGN_MIN_LEFT=59m")
				}
				p := start(t, append(env, "ENTREPOT_UPSTREAMS=corp="+upstream.URL())...)
				p.WaitUntil(t, "answers", func() error { return answers(p.url("/v2/"), http.StatusOK) })
				u := p.redirectOf(t, path)
				q := u.Query()
				assert.Equal(t, issued.SessionToken, q.Get("X-Amz-Security-Token"))
				at, err := time.Parse("20060102T150405Z", q.Get("X-Amz-Date"))
				require.NoError(t, err)
				seconds, err := strconv.Atoi(q.Get("X-Amz-Expires"))
				require.NoError(t, err)
				end := at.Add(time.Duration(seconds) * time.Second)
				assert.WithinRange(t, end, time.Now().Add(earliest-2*time.Second), time.Now().Add(latest))
				p.getBlob(t, path, digest)
			})
		}
	}
}

func TestCDNRedirectIsSignedOnce(t *testing.T) {
	t.Parallel()
	server := sharedBucket(t)
	upstream := testenv.StartRegistry(t, "127.0.0.2")
	path, digest := pushBlob(t, upstream, "app", 1000)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "key.pem")
	require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}), 0o600))
	admin := testenv.FreeAddr(t, "127.0.0.1")
	p := start(t, append(s3Store(server), "ENTREPOT_STORE=s3://"+bucket+"/mirror", "ENTREPOT_UPSTREAMS=corp="+upstream.URL(), "ENTREPOT_ADMIN_LISTEN="+admin,
		"ENTREPOT_PRESIGN_EXPIRY=168h", // the window must not end during the test
		"ENTREPOT_CDN_URL=https://d111.cloudfront.net", "ENTREPOT_CDN_KEY_ID=K1", "ENTREPOT_CDN_KEY_FILE="+file)...)
	p.WaitUntil(t, "answers", func() error { return answers(p.url("/v2/"), http.StatusOK) })
	first := p.redirectOf(t, path)
	for range 20 {
		assert.Equal(t, first, p.redirectOf(t, path))
	}
	assert.Equal(t, "K1", first.Query().Get("Key-Pair-Id"))
	first.RawQuery = ""
	assert.Equal(t, "https://d111.cloudfront.net/mirror/public/blobs/sha256/"+strings.TrimPrefix(digest, "sha256:"), first.String())
	_, metrics, err := program{p.Process, admin}.get(t, "/metrics")
	require.NoError(t, err)
	assert.Contains(t, string(metrics), "\nentrepot_presign_signatures_total 1\n")
}
