//go:build e2e

package e2e_test

import (
	"archive/zip"
	"debug/elf"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot-io/entrepot/infra/testenv"
	"github.com/entrepot-io/entrepot/infra/testenv/lambda"
	"github.com/entrepot-io/entrepot/upstream/upstreamtest"
)

// All clients concurrently pull the same cold image from a Lambda function. Each of its processes handles one request and is
// frozen until the next.
func TestClientsPullFromAFrozenLambda(t *testing.T) {
	t.Parallel() // it mostly waits for the upstream
	const segment, connections = 8 << 20, 4
	reg := upstreamtest.Start(t, upstreamtest.Options{Auth: true, CDN: true})
	layer := layerDigest(t, reg.Index("library/cold", "1", coldLayer))
	reg.Faults.Set(upstreamtest.Fault{Kind: upstreamtest.CDNGet, BytesPerSecond: coldSpeed})
	f := lambda.Start(t, lambda.Options{
		Bootstrap: buildFunction(t, runtime.GOARCH), Front: lambda.FunctionURL, Timeout: time.Minute,
		Env: append(minioStore(t, testenv.StartMinIO(t)),
			"ENTREPOT_UPSTREAMS=docker.io="+reg.URL(), "ENTREPOT_LOG_FORMAT=json", "ENTREPOT_FILL_CONNECTIONS=4", "ENTREPOT_SEGMENT_SIZE=8MiB"),
	})
	pullTogether(t, f.Addr(), layer, f.Output)

	count, sent := f.Counts(), reg.Counts().BytesByDigest[digest.Digest(layer)]
	t.Logf("FIGURES lambda: %d invocations of %d processes, frozen %d times; longest invocation %.1f s; upstream sent %.3f times the layer",
		count.Invocations, count.Starts, count.Freezes, count.Longest.Seconds(), float64(sent)/coldLayer)
	if count.TimedOut+count.Failed+count.Refused > 0 {
		t.Errorf("failed invocations: %+v", count)
	}
	// A handover drops segments that are slower than the previous ones.
	if again := sent - coldLayer; again < 0 || again > int64(count.Freezes)*connections*segment || again > coldLayer/4 {
		t.Errorf("the upstream sent %d bytes of a layer of %d", sent, coldLayer)
	}
}

// buildFunction runs `make lambda`, checks the functions of all architectures, and returns the path of arch's program.
func buildFunction(t testing.TB, arch string) (mine string) {
	t.Helper()
	build := exec.Command("make", "lambda")
	build.Dir = testenv.Root()
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("make lambda: %v\n%s", err, out)
	}
	for name, machine := range map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64} {
		program := unpackFunction(t, filepath.Join(testenv.Root(), "bin", "lambda-"+name+".zip"))
		binary, err := elf.Open(program)
		must(t, err, "read the function for "+name)
		if binary.Machine != machine {
			t.Errorf("the function for %s is built for %s", name, binary.Machine)
		}
		if libraries, err := binary.ImportedLibraries(); err != nil || len(libraries) > 0 {
			t.Errorf("the function for %s imports libraries %v (%v), which Lambda may lack", name, libraries, err)
		}
		binary.Close()
		if name == arch {
			mine = program
		}
	}
	return mine
}

// unpackFunction unpacks a function's archive as Lambda does and returns the path of its program.
func unpackFunction(t testing.TB, path string) string {
	t.Helper()
	archive, err := zip.OpenReader(path)
	must(t, err, "open the function")
	defer archive.Close()
	if len(archive.File) != 1 || archive.File[0].Name != "bootstrap" {
		t.Fatalf("%s must contain bootstrap and nothing else", path)
	}
	packed, err := archive.File[0].Open()
	must(t, err, "open the program in the function")
	defer packed.Close()
	program := filepath.Join(t.TempDir(), "bootstrap")
	to, err := os.OpenFile(program, os.O_CREATE|os.O_WRONLY, archive.File[0].Mode().Perm())
	must(t, err, "unpack the function")
	_, err = io.Copy(to, packed)
	must(t, err, "unpack the function")
	must(t, to.Close(), "unpack the function")
	return program
}
