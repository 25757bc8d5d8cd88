//go:build bench

package bench_test

import (
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/entrepot-io/entrepot/infra/testenv"
	"github.com/entrepot-io/entrepot/upstream/upstreamtest"
)

const (
	startsMeasured = 41
	// Limits for entrepot's median start, beyond the empty server's.
	barFirstResponse = 50 * time.Millisecond
	barHotRedirect   = 80 * time.Millisecond
	// startPause separates two starts, so that the exit of one process does not slow the next.
	startPause = 50 * time.Millisecond
)

// A starter is a program to start repeatedly, and the first request that it gets.
type starter struct {
	program string
	args    func(addr string) []string
	env     func(addr string) []string
	path    string
	status  int
}

// TestColdStart starts programs in turns and measures the time from the start of the process to its first response. All
// programs are stripped.
func TestColdStart(t *testing.T) {
	s3 := testenv.StartMinIO(t)
	reg := upstreamtest.Start(t, upstreamtest.Options{})
	image := reg.Image(imageName, "1", 1<<20)
	bucket := newBucket(t, s3)
	_, host := startEntrepot(t, s3, bucket, reg.URL())
	mustPull(t, host, imageName, "1")
	blob := "/v2/" + imageName + "/blobs/" + image.Layers[0].Digest.String()

	serve := func(string) []string { return []string{"serve"} }
	minio := entrepotEnv(s3, bucket, reg.URL())
	aws := func(addr string) []string {
		return append(minio(addr), "ENTREPOT_STORE=s3://"+bucket, "AWS_ENDPOINT_URL=http://"+s3.Addr, "AWS_REGION="+s3.Region)
	}
	entrepot := testenv.ReleasedProgram(t)
	bare := starter{buildBare(t), func(addr string) []string { return []string{addr} }, func(string) []string { return nil }, "/v2/", 200}
	starters := []struct {
		name string
		starter
		bar time.Duration
	}{
		{"echo, empty", bare, 0},
		{"entrepot, minio://: GET /v2/", starter{entrepot, serve, minio, "/v2/", 200}, barFirstResponse},
		{"entrepot, s3://: GET /v2/", starter{entrepot, serve, aws, "/v2/", 200}, barFirstResponse},
		{"entrepot, minio://: a stored blob", starter{entrepot, serve, minio, blob, 307}, barHotRedirect},
		{"entrepot, s3://: a stored blob", starter{entrepot, serve, aws, blob, 307}, barHotRedirect},
	}
	took, worked := make([][]time.Duration, len(starters)), make([][]time.Duration, len(starters))
	for range startsMeasured {
		for i, s := range starters {
			wall, cpu := s.start(t)
			took[i], worked[i] = append(took[i], wall), append(worked[i], cpu)
			time.Sleep(startPause)
		}
	}
	fmt.Printf("\ntime from the start of the process to its first response, %d starts each\n", startsMeasured)
	fmt.Println("| | median ms | p90 ms | CPU time, median ms | median beyond the empty server, ms | bar |")
	fmt.Println("| --- | ---: | ---: | ---: | ---: | ---: |")
	for i, s := range starters {
		slices.Sort(took[i])
		slices.Sort(worked[i])
		median, p90 := took[i][len(took[i])/2], took[i][len(took[i])*9/10]
		beyond := median - took[0][len(took[0])/2]
		fmt.Printf("| %s | %.1f | %.1f | %.1f | %.1f | %s |\n", s.name, ms(median), ms(p90), ms(worked[i][len(worked[i])/2]), ms(beyond), s.bar)
		if s.bar > 0 && beyond > s.bar {
			t.Errorf("%s: %s slower than the empty server, want at most %s", s.name, beyond, s.bar)
		}
	}
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// start starts the program and sends the request. It returns the time to the response, and the CPU time.
func (s starter) start(t *testing.T) (wall, cpu time.Duration) {
	t.Helper()
	addr := testenv.FreeAddr(t, "127.0.0.1")
	cmd := exec.Command(s.program, s.args(addr)...)
	cmd.Env = append(cmd.Environ(), s.env(addr)...)
	began := time.Now()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill() // fails if the process has exited
		_ = cmd.Wait()         // returns an error, since the process was killed
		cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	}()
	for {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			conn.Close()
			break
		}
		if time.Since(began) > 10*time.Second {
			t.Fatalf("%s does not listen: %v", s.program, err)
		}
		time.Sleep(200 * time.Microsecond)
	}
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(get(t, "http://"+addr+s.path))
	wall = time.Since(began)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != s.status {
		t.Fatalf("GET %s: %s, want %d", s.path, resp.Status, s.status)
	}
	return wall, 0 // the deferred function sets cpu
}

func get(t *testing.T, url string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return req
}

// buildBare builds the baseline, command bare, stripped.
func buildBare(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "bare")
	build := exec.Command("go", "build", "-ldflags=-s -w", "-tags", "bench", "-o", path, "./cmd/entrepot/bench/bare")
	build.Dir = testenv.Root()
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}
