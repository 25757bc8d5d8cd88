//go:build e2e

package e2e_test

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
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
	// coldLayer at coldSpeed over each of the mirror's four connections takes so long that clients, who are kept waiting for
	// 18 s at a time, have to follow leastHops redirects to the mirror itself.
	coldLayer = 300_000_000
	coldSpeed = 1_150_000 // bytes a second
	leastHops = 3
)

// hopper is a client that pulls one image by the name library/cold:1.
type hopper struct {
	agent string // its User-Agent begins so
	pull  func(t testing.TB)
	// layer is the digest of the layer's bytes as the client has them.
	layer func(t testing.TB, want string) string
}

// All clients pull the same cold image at the same time from a mirror that streams nothing.
func TestClientsPullAColdLayerThroughHops(t *testing.T) {
	t.Parallel() // it waits for the upstream most of the time
	reg := upstreamtest.Start(t, upstreamtest.Options{Auth: true, CDN: true})
	index := reg.Index("library/cold", "1", coldLayer)
	layer := layerFor(t, index)
	reg.Faults.Set(upstreamtest.Fault{Kind: upstreamtest.CDNGet, BytesPerSecond: coldSpeed})
	env := append(minioStore(t, testenv.StartMinIO(t)), "ENTREPOT_MISS=redirect", "ENTREPOT_FILL_CONNECTIONS=4")
	addr := testenv.FreeAddr(t, "127.0.0.1")
	mirror := startMirror(t, addr, env, "docker.io="+reg.URL(), tagTTL)

	hopAtOnce(t, addr, layer, func() string { return mirror.Output(t) })
	if sent := reg.Counts().BytesByDigest[digest.Digest(layer)]; sent != coldLayer {
		t.Errorf("the upstream has sent %d bytes of the layer, which has %d", sent, coldLayer)
	}
}

// hopAtOnce has all clients pull the image from a mirror at the same time. log is what the mirror has written.
func hopAtOnce(t *testing.T, addr, layer string, log func() string) {
	t.Helper()
	hoppers := map[string]hopper{
		"docker":     dockerHopper(t, addr),
		"containerd": containerdHopper(t, addr),
		"podman":     podmanHopper(t, addr),
		"crane":      craneHopper(t, addr),
	}
	var wg sync.WaitGroup // not t.Parallel, which has only as many at a time as there are cores
	for name, h := range hoppers {
		wg.Go(func() { t.Run(name, func(t *testing.T) { h.hop(t, log, name, layer) }) })
	}
	wg.Wait()
}

// hop pulls the image, and checks what came and how.
func (h hopper) hop(t *testing.T, log func() string, name, layer string) {
	began := time.Now()
	h.pull(t)
	took := time.Since(began)
	if got := h.layer(t, layer); got != layer {
		t.Errorf("the client has a layer of %s, want %s", got, layer)
	}
	hops, others := hopsOf(t, log, h.agent, layer)
	t.Logf("FIGURES hops, %s: a cold layer of %d MB in %s; answers to its GETs: %d hops, and by status %v",
		name, coldLayer/1_000_000, took.Round(time.Millisecond), hops, others)
	if hops < leastHops {
		t.Errorf("it followed %d hops, want %d or more", hops, leastHops)
	}
	for status := range others {
		if status != http.StatusTemporaryRedirect {
			t.Errorf("it was answered %d", status)
		}
	}
}

// layerFor is the digest of the layer that this machine's clients pull.
func layerFor(t testing.TB, index upstreamtest.Index) string {
	t.Helper()
	for _, image := range index.Images {
		if image.Platform.Architecture == runtime.GOARCH {
			return image.Layers[0].Digest.String()
		}
	}
	testenv.Missing(t, "there is no image for %s", runtime.GOARCH)
	return ""
}

// hopsOf counts how the mirror has answered a client's GETs of a layer: by hops, and in other ways by their status.
func hopsOf(t testing.TB, log func() string, agent, layer string) (hops int, others map[int]int) {
	t.Helper()
	time.Sleep(200 * time.Millisecond) // lines are written a little late
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

func dockerHopper(t *testing.T, addr string) hopper {
	docker := testenv.StartDocker(t, "http://"+addr)
	return hopper{
		agent: "docker/",
		pull:  func(t testing.TB) { output(t, docker.Command("pull", "--quiet", "cold:1")) },
		layer: func(t testing.TB, _ string) string { return savedLayer(t, docker.Command("save", "cold:1")) },
	}
}

func podmanHopper(t *testing.T, addr string) hopper {
	podman := testenv.NewPodman(t, fmt.Sprintf("[[registry]]\nlocation = \"docker.io\"\n[[registry.mirror]]\nlocation = %q\ninsecure = true\n", addr))
	const ref = "docker.io/library/cold:1"
	return hopper{
		agent: "containers/",
		pull:  func(t testing.TB) { output(t, podman.Command("pull", "--quiet", ref)) },
		layer: func(t testing.TB, _ string) string { return savedLayer(t, podman.Command("save", "--quiet", ref)) },
	}
}

func containerdHopper(t *testing.T, addr string) hopper {
	containerd := testenv.StartContainerd(t)
	containerd.Mirror(t, "docker.io", "http://"+addr)
	return hopper{
		agent: "containerd/",
		pull: func(t testing.TB) {
			output(t, containerd.Command("images", "pull", "--hosts-dir", containerd.HostsDir, "docker.io/library/cold:1"))
		},
		layer: func(t testing.TB, want string) string {
			return piped(t, containerd.Command("content", "get", want), hashOf)
		},
	}
}

func craneHopper(t *testing.T, addr string) hopper {
	crane, archive := testenv.Tool(t, "crane"), filepath.Join(t.TempDir(), "image.tar")
	return hopper{
		agent: "crane/",
		pull: func(t testing.TB) {
			output(t, exec.Command(crane, "pull", "--platform", "linux/"+runtime.GOARCH, addr+"/library/cold:1", archive))
		},
		layer: func(t testing.TB, _ string) string {
			return savedLayer(t, exec.Command("cat", archive))
		},
	}
}

// savedLayer is the digest of the largest file in an archive that a command prints: its layer.
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

// piped runs a command and reads what it prints.
func piped(t testing.TB, cmd *exec.Cmd, read func(io.Reader) (string, error)) string {
	t.Helper()
	stdout, err := cmd.StdoutPipe()
	must(t, err, "make a pipe")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	must(t, cmd.Start(), "start "+cmd.Path)
	found, err := read(stdout)
	must(t, err, "read what "+cmd.Path+" prints")
	_, _ = io.Copy(io.Discard, stdout) // a tar archive has padding after its end
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(cmd.Args, " "), err, stderr.String())
	}
	return found
}
