package main_test

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/entrepot-io/entrepot/infra/testenv"
)

func TestMain(m *testing.M) { os.Exit(testenv.Main(m)) }

// program is a running "entrepot serve".
type program struct {
	*testenv.Process
	addr string
}

// start starts the program on a free port. It does not wait.
func start(t *testing.T, env ...string) program {
	t.Helper()
	addr := testenv.FreeAddr(t, "127.0.0.1")
	env = append(env, "ENTREPOT_LISTEN="+addr, "ENTREPOT_LOG_FORMAT=json")
	return program{testenv.StartProgram(t, env...), addr}
}

func (p program) url(path string) string { return "http://" + p.addr + path }

// patient waits for a response as long as clients such as containerd do.
var patient = &http.Client{Transport: &http.Transport{ResponseHeaderTimeout: 20 * time.Second, DisableKeepAlives: true}}

// get returns the status and the body of a response, following redirects. An error means that the body ended early.
func (p program) get(t *testing.T, path string) (status int, body []byte, err error) {
	t.Helper()
	resp, err := patient.Get(p.url(path))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(resp.Body)
	return resp.StatusCode, body, err
}

// getBlob gets a blob and checks its bytes.
func (p program) getBlob(t *testing.T, path, digest string) {
	t.Helper()
	status, content, err := p.get(t, path)
	if status != http.StatusOK || err != nil || digestOf(content) != digest {
		t.Fatalf("GET %s is %d with %d bytes of %s (%v)", path, status, len(content), digestOf(content), err)
	}
}

// pushBlob pushes a blob of random bytes to a registry and returns its path in the pull API and its digest.
func pushBlob(t *testing.T, registry *testenv.Registry, repository string, size int) (path string, digest string) {
	t.Helper()
	content := make([]byte, size)
	rand.Read(content)
	repo, err := name.NewRepository(registry.Addr+"/"+repository, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.WriteLayer(repo, static.NewLayer(content, types.OCIUncompressedLayer)); err != nil {
		t.Fatalf("push a blob: %v", err)
	}
	digest = digestOf(content)
	return fmt.Sprintf("/v2/%s/blobs/%s", repository, digest), digest
}

func digestOf(content []byte) string {
	sum := sha256.Sum256(content)
	return "sha256:" + hex.EncodeToString(sum[:])
}
