package main_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/infra/testenv"
	"github.com/entrepot-io/entrepot/infra/testenv/lambda"
	"github.com/entrepot-io/entrepot/upstream/upstreamtest"
)

const secretARN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:mirror-AbCdEf"

// secretsManager starts a fake AWS Secrets Manager with one secret, or none if text is empty. It returns the environment
// variables with which the program finds it.
func secretsManager(t *testing.T, text string) []string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var request struct{ SecretId string }
		err := json.NewDecoder(r.Body).Decode(&request)
		if err != nil || r.Header.Get("X-Amz-Target") != "secretsmanager.GetSecretValue" ||
			!strings.Contains(r.Header.Get("Authorization"), "/eu-central-1/secretsmanager/aws4_request") {
			http.Error(w, "unexpected request", http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		if request.SecretId != secretARN || text == "" {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = fmt.Fprint(w, `{"__type":"ResourceNotFoundException","Message":"Secrets Manager can't find the specified secret."}`)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]string{"ARN": request.SecretId, "SecretString": text})
	}))
	t.Cleanup(server.Close)
	return []string{"AWS_ENDPOINT_URL_SECRETS_MANAGER=" + server.URL, "AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null"}
}

// newPrivateCluster returns a cluster whose upstream has private repositories, and a config.json with credentials for it.
func newPrivateCluster(t *testing.T, repos ...string) (w *cluster, dockerConfig string) {
	t.Helper()
	w = newCluster(t)
	w.upstream = upstreamtest.Start(t, upstreamtest.Options{Auth: true, Username: "mirror", Password: "top secret", Private: repos})
	for _, repo := range repos {
		w.upstream.Image(repo, "1", 1000)
	}
	auth := base64.StdEncoding.EncodeToString([]byte("mirror:top secret"))
	return w, fmt.Sprintf(`{"auths":{"other.example":{"auth":"eDp5"},%q:{"auth":%q}}}`, w.upstream.Host(), auth)
}

func TestUpstreamCredentialSources(t *testing.T) {
	t.Parallel()
	w, text := newPrivateCluster(t, "team/a", "team/b", "team/c", "team/d", "team/e", "team/f")
	folder := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(folder, "config.json"), []byte(text), 0o600))
	other := `{"auths":{"other.example":{"auth":"eDp5"}}}`
	for name, test := range map[string]struct {
		repo string // one per case, since replicas serve what others have stored
		env  []string
		want int
	}{
		"in a file":               {"team/a", []string{"DOCKER_CONFIG=" + folder}, http.StatusOK},
		"in the setting":          {"team/b", []string{"ENTREPOT_DOCKER_CONFIG=" + text}, http.StatusOK},
		"in a file, for the rest": {"team/c", []string{"ENTREPOT_DOCKER_CONFIG=" + other, "DOCKER_CONFIG=" + folder}, http.StatusOK},
		"in Secrets Manager":      {"team/d", append(secretsManager(t, text), "ENTREPOT_DOCKER_CONFIG="+secretARN), http.StatusOK},
		"for others":              {"team/e", []string{"ENTREPOT_DOCKER_CONFIG=" + other}, http.StatusForbidden},
		"nowhere":                 {"team/f", nil, http.StatusForbidden},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := w.start(t, append([]string{"HOME=" + t.TempDir(), "DOCKER_CONFIG="}, test.env...)...)
			assert.NoError(t, answers(r.url("/v2/"+test.repo+"/manifests/1"), test.want))
			assert.NotContains(t, r.Output(t), "top secret")
		})
	}
}

func TestFunctionReadsSecretsAtStart(t *testing.T) {
	t.Parallel()
	w, text := newPrivateCluster(t, "team/private")
	f := w.function(t, lambda.Options{Env: append(secretsManager(t, text), "ENTREPOT_DOCKER_CONFIG="+secretARN)})
	resp, body := send(t, f, http.MethodGet, "/v2/team/private/manifests/1")
	assert.Equal(t, http.StatusOK, resp.StatusCode, body)
}

func TestCDNKeyFromSecretsManager(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	w := newCluster(t)
	blob := w.blob(1, 1000)
	r := w.start(t, append(secretsManager(t, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))),
		"ENTREPOT_CDN_URL=https://cdn.example.com", "ENTREPOT_CDN_KEY_ID=K1", "ENTREPOT_CDN_KEY="+secretARN)...)
	u := r.redirectOf(t, blob.path())
	assert.Equal(t, "cdn.example.com", u.Host)
	assert.Equal(t, "K1", u.Query().Get("Key-Pair-Id"))
	assert.NotEmpty(t, u.Query().Get("Signature"))
}

func TestUnreadableSecretIsNamed(t *testing.T) {
	t.Parallel()
	over := make(chan struct{})
	hangs := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-over }))
	t.Cleanup(hangs.Close)
	t.Cleanup(func() { close(over) })
	for name, test := range map[string]struct {
		env    []string
		code   int
		reason string
	}{
		"not found":         {secretsManager(t, ""), 2, "ResourceNotFoundException"},
		"not a config.json": {secretsManager(t, "top secret"), 2, "is not a Docker config.json"},
		"no response":       {[]string{"AWS_ENDPOINT_URL_SECRETS_MANAGER=" + hangs.URL}, 1, "deadline exceeded"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			cmd := exec.CommandContext(ctx, testenv.Program(t), "serve")
			cmd.Dir = t.TempDir()
			cmd.Env = append([]string{"ENTREPOT_LISTEN=127.0.0.1:0", "AWS_ACCESS_KEY_ID=a", "AWS_SECRET_ACCESS_KEY=b", "ENTREPOT_DOCKER_CONFIG=" + secretARN}, test.env...)
			out, err := cmd.CombinedOutput()
			assert.Error(t, err)
			assert.Equal(t, test.code, cmd.ProcessState.ExitCode())
			assert.Contains(t, string(out), "ENTREPOT_DOCKER_CONFIG: ")
			assert.Contains(t, string(out), test.reason)
			assert.Equal(t, 1, strings.Count(string(out), "\n"), "%s", out)
			assert.NotContains(t, string(out), "top secret")
		})
	}
}
