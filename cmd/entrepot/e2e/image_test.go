//go:build e2e

package e2e_test

import (
	"archive/tar"
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"debug/elf"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"slices"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/entrepot-io/entrepot/infra/testenv"
)

// payloadSize is the size of the image's large layer in bytes: several segments, the last of them partial.
const payloadSize = 20<<20 + 12345

// A format has the media types of an image and of the list of platforms that contains it.
type format struct{ list, manifest, config, layer types.MediaType }

var (
	ociFormat    = format{types.OCIImageIndex, types.OCIManifestSchema1, types.OCIConfigJSON, types.OCILayer}
	dockerFormat = format{types.DockerManifestList, types.DockerManifestSchema2, types.DockerConfigJSON, types.DockerLayer}
)

// An image is a new multi-platform image in a registry.
type image struct {
	name   string           // repository and tag, without a registry
	blobs  map[string]int64 // config and layers for this machine's platform: sizes by digest
	others map[string]int64 // those for other platforms; containerd fetches their configs
	output string           // of a container, which proves that every layer arrived
}

// pushImage creates an image and pushes it to a registry.
func pushImage(t testing.TB, registry *testenv.Registry, nameAndTag string, f format) image {
	t.Helper()
	payload := make([]byte, payloadSize)
	rand.Read(payload)
	token := rand.Text()
	runnable := newImage(t, f, platform(runtime.GOARCH), v1.Config{
		Entrypoint: []string{"/bin/busybox", "sh", "-c", "/bin/busybox echo " + token + "; /bin/busybox sha256sum /payload"},
	}, busyboxLayer(t, f), tarLayer(t, f, "payload", 0o644, payload))

	// Add another platform and an attestation, as real lists have.
	foreign := newImage(t, f, platform("s390x"), v1.Config{}, randomLayer(t, f))
	attestation := newImage(t, f, platform("unknown"), v1.Config{}, randomLayer(t, f))
	list := mutate.AppendManifests(mutate.IndexMediaType(empty.Index, f.list),
		mutate.IndexAddendum{Add: foreign, Descriptor: v1.Descriptor{Platform: platform("s390x")}},
		mutate.IndexAddendum{Add: runnable, Descriptor: v1.Descriptor{Platform: platform(runtime.GOARCH)}},
		mutate.IndexAddendum{Add: attestation, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "unknown", Architecture: "unknown"}}},
	)
	ref, err := name.ParseReference(registry.Addr+"/"+nameAndTag, name.Insecure)
	must(t, err, "name the image")
	must(t, remote.WriteIndex(ref, list, remote.WithTransport(http.DefaultTransport)), "push the image")
	return image{
		name:   nameAndTag,
		blobs:  blobsOf(t, runnable),
		others: blobsOf(t, foreign, attestation),
		output: fmt.Sprintf("%s\n%x  /payload\n", token, sha256.Sum256(payload)),
	}
}

func newImage(t testing.TB, f format, p *v1.Platform, config v1.Config, layers ...v1.Layer) v1.Image {
	t.Helper()
	img, err := mutate.ConfigFile(empty.Image, &v1.ConfigFile{OS: p.OS, Architecture: p.Architecture, Config: config})
	must(t, err, "configure the image")
	img = mutate.ConfigMediaType(mutate.MediaType(img, f.manifest), f.config)
	img, err = mutate.AppendLayers(img, layers...)
	must(t, err, "append the layers")
	return img
}

func platform(architecture string) *v1.Platform {
	return &v1.Platform{OS: "linux", Architecture: architecture}
}

// busyboxLayer returns a layer with the machine's busybox. It must be statically linked, since the image has no libraries.
func busyboxLayer(t testing.TB, f format) v1.Layer {
	t.Helper()
	path := testenv.Tool(t, "busybox")
	binary, err := elf.Open(path)
	must(t, err, "read busybox")
	defer binary.Close()
	if slices.ContainsFunc(binary.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP }) {
		testenv.Missing(t, "%s is not statically linked (install Debian's busybox-static)", path)
	}
	content, err := os.ReadFile(path)
	must(t, err, "read busybox")
	return tarLayer(t, f, "bin/busybox", 0o755, content)
}

func randomLayer(t testing.TB, f format) v1.Layer {
	t.Helper()
	layer, err := random.Layer(1024, f.layer)
	must(t, err, "make a random layer")
	return layer
}

// tarLayer returns a layer with one file.
func tarLayer(t testing.TB, f format, path string, mode int64, content []byte) v1.Layer {
	t.Helper()
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	must(t, w.WriteHeader(&tar.Header{Name: path, Mode: mode, Size: int64(len(content))}), "write the layer")
	_, err := w.Write(content)
	must(t, err, "write the layer")
	must(t, w.Close(), "write the layer")
	open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(archive.Bytes())), nil }
	layer, err := tarball.LayerFromOpener(open, tarball.WithMediaType(f.layer), tarball.WithCompressedCaching)
	must(t, err, "make the layer")
	return layer
}

func blobsOf(t testing.TB, images ...v1.Image) map[string]int64 {
	t.Helper()
	blobs := map[string]int64{}
	for _, img := range images {
		manifest, err := img.Manifest()
		must(t, err, "read the manifest")
		for _, descriptor := range append(manifest.Layers, manifest.Config) {
			blobs[descriptor.Digest.String()] = descriptor.Size
		}
	}
	return blobs
}

func must(t testing.TB, err error, doing string) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", doing, err)
	}
}
