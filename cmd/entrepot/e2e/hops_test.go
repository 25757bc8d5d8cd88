//go:build e2e

package e2e_test

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot-io/entrepot/infra/testenv"
	"github.com/entrepot-io/entrepot/upstream/upstreamtest"
)

const (
	// A layer of coldLayer bytes takes 65 s over the mirror's four connections of coldSpeed each. Since the mirror answers
	// with a hop, a redirect to itself, after 18 s, clients need at least minHops of them.
	coldLayer = 300_000_000
	coldSpeed = 1_150_000 // bytes per second
	minHops   = 3
)

// A hopClient is a client that pulls the image library/cold:1.
type hopClient struct {
	agent string // prefix of its User-Agent
	pull  func(t testing.TB)
	layer func(t testing.TB, want string) string // returns the digest of the pulled layer
}

// All clients concurrently pull the same cold image from a mirror that never streams.
func TestClientsFollowHopsToAColdLayer(t *testing.T) {
	t.Parallel() // it mostly waits for the upstream
	reg := upstreamtest.Start(t, upstreamtest.Options{Auth: true, CDN: true})
	index := reg.Index("library/cold", "1", coldLayer)
	layer := layerDigest(t, index)
	reg.Faults.Set(upstreamtest.Fault{Kind: upstreamtest.CDNGet, BytesPerSecond: coldSpeed})
	env := append(minioStore(t, testenv.StartMinIO(t)), "ENTREPOT_MISS=redirect", "ENTREPOT_FILL_CONNECTIONS=4")
	addr := testenv.FreeAddr(t, "127.0.0.1")
	mirror := startMirror(t, addr, env, "docker.io="+reg.URL(), tagTTL)

	pullTogether(t, addr, layer, func() string { return mirror.Output(t) })
	if sent := reg.Counts().BytesByDigest[digest.Digest(layer)]; sent != coldLayer {
		t.Errorf("the upstream sent %d bytes of the layer, want %d", sent, coldLayer)
	}
}

// pullTogether makes all clients pull the image from a mirror concurrently. log returns the mirror's output.
func pullTogether(t *testing.T, addr, layer string, log func() string) {
	t.Helper()
	clients := map[string]hopClient{
		"docker":     dockerHopClient(t, addr),
		"containerd": containerdHopClient(t, addr),
		"podman":     podmanHopClient(t, addr),
		"crane":      craneHopClient(t, addr),
	}
	var wg sync.WaitGroup // t.Parallel would limit the clients to the number of cores
	for name, c := range clients {
		wg.Go(func() { t.Run(name, func(t *testing.T) { c.check(t, log, name, layer) }) })
	}
	wg.Wait()
}

// check pulls the image, and checks the layer and the mirror's responses.
func (c hopClient) check(t *testing.T, log func() string, name, layer string) {
	began := time.Now()
	c.pull(t)
	took := time.Since(began)
	if got := c.layer(t, layer); got != layer {
		t.Errorf("pulled layer has digest %s, want %s", got, layer)
	}
	hops, others := countHops(t, log, c.agent, layer)
	t.Logf("FIGURES hops, %s: a cold layer of %d MB in %s; %d hops, other responses by status: %v",
		name, coldLayer/1_000_000, took.Round(time.Millisecond), hops, others)
	if hops < minHops {
		t.Errorf("%d hops, want at least %d", hops, minHops)
	}
	for status := range others {
		if status != http.StatusTemporaryRedirect {
			t.Errorf("unexpected status %d", status)
		}
	}
}

// layerDigest returns the digest of the layer for this machine's platform.
func layerDigest(t testing.TB, index upstreamtest.Index) string {
	t.Helper()
	for _, image := range index.Images {
		if image.Platform.Architecture == runtime.GOARCH {
			return image.Layers[0].Digest.String()
		}
	}
	testenv.Missing(t, "no image for %s", runtime.GOARCH)
	return ""
}

// countHops counts the mirror's responses to a client's GETs of a layer: hops, and other responses by status.
func countHops(t testing.TB, log func() string, agent, layer string) (hops int, others map[int]int) {
	t.Helper()
	time.Sleep(200 * time.Millisecond) // the mirror logs a request after the client has the response
	others = map[int]int{}
	for _, r := range parseAccessLog(t, log()) {
		if digest, ok := r.blobDigest(); !ok || digest != layer || !strings.HasPrefix(r.Agent, agent) {
			continue
		}
		if r.Served == "hop" {
			hops++
		} else {
			others[r.Status]++
		}
	}
	return hops, others
}

func dockerHopClient(t *testing.T, addr string) hopClient {
	docker := startDebianDocker(t, addr)
	return hopClient{
		agent: "docker/",
		pull:  func(t testing.TB) { output(t, docker.Command("pull", "--quiet", "cold:1")) },
		layer: func(t testing.TB, _ string) string { return savedLayer(t, docker.Command("save", "cold:1")) },
	}
}

func podmanHopClient(t *testing.T, addr string) hopClient {
	podman := testenv.NewPodman(t, documented(t, "## Podman, Buildah and CRI-O", addr))
	const ref = "docker.io/library/cold:1"
	return hopClient{
		agent: "containers/",
		pull:  func(t testing.TB) { output(t, podman.Command("pull", "--quiet", ref)) },
		layer: func(t testing.TB, _ string) string { return savedLayer(t, podman.Command("save", "--quiet", ref)) },
	}
}

func containerdHopClient(t *testing.T, addr string) hopClient {
	containerd := testenv.StartContainerd(t)
	containerd.Mirror(t, documented(t, hostsOfContainerd, addr))
	return hopClient{
		agent: "containerd/",
		pull: func(t testing.TB) {
			output(t, containerd.Command("images", "pull", "--hosts-dir", containerd.HostsDir, "docker.io/library/cold:1"))
		},
		layer: func(t testing.TB, want string) string {
			return piped(t, containerd.Command("content", "get", want), hashOf)
		},
	}
}

func craneHopClient(t *testing.T, addr string) hopClient {
	crane, archive := testenv.Tool(t, "crane"), filepath.Join(t.TempDir(), "image.tar")
	return hopClient{
		agent: "crane/",
		pull: func(t testing.TB) {
			output(t, exec.Command(crane, "pull", "--platform", "linux/"+runtime.GOARCH, addr+"/library/cold:1", archive))
		},
		layer: func(t testing.TB, _ string) string {
			return savedLayer(t, exec.Command("cat", archive))
		},
	}
}

// savedLayer returns the digest of the largest file in the archive that a command prints, which is the layer.
func savedLayer(t testing.TB, save *exec.Cmd) string {
	t.Helper()
	return piped(t, save, func(r io.Reader) (largest string, err error) {
		var size int64
		for archive := tar.NewReader(r); ; {
			file, err := archive.Next()
			if err == io.EOF {
				return largest, nil
			}
			if err != nil {
				return "", err
			}
			sum, err := hashOf(archive)
			if err != nil {
				return "", err
			}
			if file.Size > size {
				largest, size = sum, file.Size
			}
		}
	})
}

func hashOf(r io.Reader) (string, error) {
	sum := sha256.New()
	_, err := io.Copy(sum, r)
	return "sha256:" + hex.EncodeToString(sum.Sum(nil)), err
}

// piped runs a command and passes its standard output to read.
func piped(t testing.TB, cmd *exec.Cmd, read func(io.Reader) (string, error)) string {
	t.Helper()
	stdout, err := cmd.StdoutPipe()
	must(t, err, "make a pipe")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	must(t, cmd.Start(), "start "+cmd.Path)
	found, err := read(stdout)
	must(t, err, "read output of "+cmd.Path)
	_, _ = io.Copy(io.Discard, stdout) // a tar archive has padding after its end
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(cmd.Args, " "), err, stderr.String())
	}
	return found
}
