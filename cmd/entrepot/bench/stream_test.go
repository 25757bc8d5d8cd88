//go:build bench

package bench_test

import (
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot-io/entrepot/infra/testenv"
	"github.com/entrepot-io/entrepot/upstream/upstreamtest"
)

// A streamer is a server that sends blobs without a redirect.
type streamer struct {
	name    string
	group   int // the group's store; the first streamer of a group is the baseline for the others
	server  *testenv.Process
	store   *testenv.Process // used by the server; nil for a folder
	locator func(d digest.Digest) (url string)
}

// A flow is the result of one load of a streamer.
type flow struct {
	gigabytes float64 // per second
	own, all  float64 // CPU seconds per GiB: of the server, and including its store
}

// TestStreams measures streams. The streamers take turns, so that other load on the machine affects all of them.
func TestStreams(t *testing.T) {
	const rounds = 5
	reg := upstreamtest.Start(t, upstreamtest.Options{})
	loads := []struct {
		name        string
		blob        digest.Digest
		size        int64
		connections int
	}{
		{"1 GiB, one connection", reg.Blob(imageName, upstreamtest.Random(1, 1<<30)), 1 << 30, 1},
		{"16 MiB, 64 connections", reg.Blob(imageName, upstreamtest.Random(2, 16<<20)), 16 << 20, 64},
	}
	all := newStreamers(t, reg)
	for _, l := range loads {
		// Backwards, since the baselines serve only blobs that an entrepot of their group has stored.
		for _, s := range slices.Backward(all) {
			s.waitForBlob(t, l.blob)
			s.check(t, l.blob, l.size)
		}
	}
	fmt.Printf("\nstreams, medians of %d; the client discards bodies by MSG_TRUNC\n", rounds)
	fmt.Println("| load | | GB/s | x | CPU s/GiB | with the store |")
	fmt.Println("| --- | --- | ---: | ---: | ---: | ---: |")
	for _, l := range loads {
		measured := make([][]flow, len(all))
		for range rounds {
			for i, s := range all {
				measured[i] = append(measured[i], s.run(t, l.blob, l.connections))
			}
		}
		first := map[int]flow{}
		for i, s := range all {
			m := medianFlow(measured[i])
			if _, ok := first[s.group]; !ok {
				first[s.group] = m
			}
			fmt.Printf("| %s | %s | %.2f | %.2f | %.2f | %.2f |\n", l.name, s.name, m.gigabytes, m.gigabytes/first[s.group].gigabytes, m.own, m.all)
		}
	}
}

// newStreamers starts all streamers. The entrepots among them mirror reg.
func newStreamers(t *testing.T, reg *upstreamtest.Registry) []streamer {
	t.Helper()
	s3, folder := testenv.StartMinIO(t), t.TempDir()
	bucket := newBucket(t, s3)
	nginx, nginxHost := startNginx(t, filepath.Join(folder, "objects"), s3, bucket)
	const never = "ENTREPOT_REDIRECT=never"
	withFile, fileHost := startEntrepot(t, s3, bucket, reg.URL(), "ENTREPOT_STORE=file:"+folder)
	withMinIO, minioHost := startEntrepot(t, s3, bucket, reg.URL(), never)
	withAWS, awsHost := startEntrepot(t, s3, bucket, reg.URL(), never,
		"ENTREPOT_STORE=s3://"+bucket, "AWS_ENDPOINT_URL="+s3.Endpoint, "AWS_REGION="+s3.Region)
	key := func(d digest.Digest) string { return "public/blobs/sha256/" + d.Encoded() }
	pull := func(host string) func(digest.Digest) string {
		return func(d digest.Digest) string { return "http://" + host + "/v2/" + imageName + "/blobs/" + d.String() }
	}
	signed := func(d digest.Digest) string {
		u, err := s3.Client(t).PresignedGetObject(t.Context(), bucket, key(d), time.Hour, nil)
		if err != nil {
			t.Fatal(err)
		}
		return u.RequestURI()
	}
	const file, minio = 0, 1
	return []streamer{
		{"nginx, the same file", file, nginx, nil, func(d digest.Digest) string { return "http://" + nginxHost + "/" + key(d) }},
		{"entrepot, `file:`", file, withFile, nil, pull(fileHost)},
		{"MinIO", minio, s3.Process, nil, func(d digest.Digest) string { return s3.Endpoint + signed(d) }},
		{"nginx in front of MinIO", minio, nginx, s3.Process, func(d digest.Digest) string { return "http://" + nginxHost + signed(d) }},
		{"entrepot, `minio+http:`", minio, withMinIO, s3.Process, pull(minioHost)},
		{"entrepot, `s3:`", minio, withAWS, s3.Process, pull(awsHost)},
	}
}

// waitForBlob requests a blob until the server has it.
func (s streamer) waitForBlob(t *testing.T, d digest.Digest) {
	t.Helper()
	s.server.WaitUntil(t, "has the blob", func() error {
		resp, err := newClient().Get(s.locator(d))
		if err == nil {
			resp.Body.Close()
		}
		if err == nil && resp.StatusCode != http.StatusOK {
			err = fmt.Errorf("status %s", resp.Status)
		}
		return err
	})
}

// check downloads a blob and checks its digest.
func (s streamer) check(t *testing.T, d digest.Digest, size int64) {
	t.Helper()
	resp, err := newClient().Get(s.locator(d))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	// nginx serves the whole file, including the file store's trailer.
	got, err := digest.FromReader(io.LimitReader(resp.Body, size))
	if err != nil || got != d || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: blob %s has digest %s, status %s, error %v", s.name, d, got, resp.Status, err)
	}
}

func (s streamer) run(t *testing.T, d digest.Digest, connections int) flow {
	t.Helper()
	url := s.locator(d)
	used := func() (own, all time.Duration) {
		own = cpuTime(t, s.server)
		if s.store != nil {
			all = cpuTime(t, s.store)
		}
		return own, own + all
	}
	own, all := used()
	took, n, err := discard(t.Context(), url, connections)
	if err != nil {
		t.Fatalf("%s: %v", s.name, err)
	}
	ownAfter, allAfter := used()
	gib := float64(n) / (1 << 30)
	return flow{float64(n) / 1e9 / took.Seconds(), (ownAfter - own).Seconds() / gib, (allAfter - all).Seconds() / gib}
}

// medianFlow returns the median of each figure separately.
func medianFlow(all []flow) flow {
	return flow{
		gigabytes: medianOf(all, func(f flow) float64 { return f.gigabytes }),
		own:       medianOf(all, func(f flow) float64 { return f.own }),
		all:       medianOf(all, func(f flow) float64 { return f.all }),
	}
}
