//go:build e2e

package e2e_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"

	"github.com/entrepot-io/entrepot/infra/testenv"
	"github.com/entrepot-io/entrepot/upstream/upstreamtest"
)

// TestFileStoreUsesSendfile traces the program's system calls. A wrapper around a connection, a response or a file could
// keep package net from using sendfile.
func TestFileStoreUsesSendfile(t *testing.T) {
	reg := upstreamtest.Start(t, upstreamtest.Options{})
	const size, from = 24 << 20, 10 << 20
	d := reg.Blob("library/app", upstreamtest.Random(1, size))
	addr, folder, calls := testenv.FreeAddr(t, "127.0.0.1"), t.TempDir(), filepath.Join(t.TempDir(), "calls")
	env := []string{"ENTREPOT_LISTEN=" + addr, "ENTREPOT_STORE=file:" + folder, "ENTREPOT_UPSTREAMS=docker.io=" + reg.URL()}
	p := testenv.Start(t, "entrepot", env, testenv.Tool(t, "strace"), "-f", "--seccomp-bpf", "-qq",
		"-e", "trace=sendfile", "-e", "signal=none", "-o", calls, testenv.Program(t), "serve")
	p.WaitHTTP(t, "http://"+addr+"/readyz")
	get := func(requested string) int64 {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addr+"/v2/library/app/blobs/"+d.String(), nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Range", requested)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		n, err := io.Copy(io.Discard, resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	get("")
	p.WaitUntil(t, "stored the blob", func() error {
		_, err := os.Stat(filepath.Join(folder, "objects/public/blobs/sha256", d.Encoded()))
		return err
	})
	for requested, length := range map[string]int64{"": size, "bytes=10485760-": size - from} {
		before := sent(t, calls)
		if n := get(requested); n != length {
			t.Fatalf("range %q: got %d bytes, want %d", requested, n, length)
		}
		// strace may write its line after the client has finished. The first bytes are sent together with the headers.
		p.WaitUntil(t, "used sendfile", func() error {
			if n := sent(t, calls) - before; n < length-4096 {
				return fmt.Errorf("range %q: %d of %d bytes sent by sendfile", requested, n, length)
			}
			return nil
		})
	}
}

var sendfile = regexp.MustCompile(`(?m)sendfile.* = (\d+)$`)

// sent returns the total of bytes sent by sendfile according to strace's output.
func sent(t *testing.T, calls string) (n int64) {
	t.Helper()
	text, err := os.ReadFile(calls)
	if err != nil {
		t.Fatal(err)
	}
	for _, match := range sendfile.FindAllSubmatch(text, -1) {
		one, err := strconv.ParseInt(string(match[1]), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		n += one
	}
	return n
}
