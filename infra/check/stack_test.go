package check

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/entrepot-io/entrepot/infra/testenv"
)

const layerSize = 20 << 20 // bytes; several segments, so that entrepot composes them

// A stack runs the services of compose.yaml as local programs, from the shipped files with other addresses.
type stack struct {
	minio    *testenv.S3
	upstream *testenv.Registry
	replicas []*testenv.Process
	url      string // nginx
	metrics  string // Prometheus's URL
}

func startStack(t *testing.T) *stack {
	t.Helper()
	s := &stack{minio: testenv.StartMinIO(t), upstream: testenv.StartRegistry(t, "127.0.0.2")}
	s.minio.CreateBucket(t, "others")
	setUpMinIO(t, s.minio)
	setUpMinIO(t, s.minio) // every `up` runs it, so it must be idempotent

	project := composeProject(t)
	addresses := []string{"minio:9000", s.minio.Addr}
	for _, name := range []string{"entrepot-1", "entrepot-2"} {
		serve, admin := testenv.FreeAddr(t, "127.0.0.1"), testenv.FreeAddr(t, "127.0.0.1")
		addresses = append(addresses, name+":5000", serve, name+":5001", admin)
		environment := environmentOf(project.Services[name])
		environment["ENTREPOT_STORE"] = strings.Replace(environment["ENTREPOT_STORE"], "minio:9000", s.minio.Addr, 1)
		environment["ENTREPOT_STORE_PUBLIC_ENDPOINT"] = publicEndpoint(s.minio)
		environment["ENTREPOT_LISTEN"], environment["ENTREPOT_ADMIN_LISTEN"] = serve, admin
		environment["ENTREPOT_UPSTREAMS"] = "docker.io=" + s.upstream.URL()
		var env []string
		for name, value := range environment {
			env = append(env, name+"="+value)
		}
		process := testenv.StartProgram(t, env...)
		process.WaitHTTP(t, "http://"+serve+"/readyz")
		s.replicas = append(s.replicas, process)
	}

	addr := testenv.FreeAddr(t, "127.0.0.1")
	s.url = "http://" + addr
	rename := strings.NewReplacer(append(addresses, "listen 5000;", "listen "+addr+";", "scrape_interval: 15s", "scrape_interval: 1s")...)
	s.startNginx(t, rename)
	s.startPrometheus(t, rename)
	return s
}

// publicEndpoint returns an endpoint of the server that differs from the one that entrepot uses.
func publicEndpoint(server *testenv.S3) string {
	return strings.Replace(server.Endpoint, "127.0.0.1", "localhost", 1)
}

func setUpMinIO(t *testing.T, server *testenv.S3) {
	t.Helper()
	setup := composeProject(t).Services["minio-setup"]
	script := exec.Command(path("compose", "minio", "setup.sh"))
	script.Env = append(os.Environ(), "MC="+testenv.Tool(t, "mc"), "MC_CONFIG_DIR="+t.TempDir())
	for name, value := range environmentOf(setup) {
		script.Env = append(script.Env, name+"="+value)
	}
	script.Env = append(script.Env,
		"MINIO_ENDPOINT="+server.Endpoint, "MINIO_ROOT_USER="+server.AccessKey, "MINIO_ROOT_PASSWORD="+server.SecretKey)
	run(t, script)
}

func (s *stack) startNginx(t *testing.T, rename *strings.Replacer) {
	t.Helper()
	folder := t.TempDir()
	config := filepath.Join(folder, "nginx.conf")
	write(t, config, rename.Replace(read(t, path("compose", "nginx.conf"))))
	// The shipped file does not set these: the nginx image has its own defaults.
	globals := fmt.Sprintf("pid %s/pid; daemon off;", folder)
	nginx := testenv.Tool(t, "nginx")
	run(t, exec.Command(nginx, "-t", "-e", "stderr", "-p", folder, "-c", config, "-g", globals))
	testenv.Start(t, "nginx", nil, nginx, "-e", "stderr", "-p", folder, "-c", config, "-g", globals).WaitHTTP(t, s.url+"/v2/")
}

func (s *stack) startPrometheus(t *testing.T, rename *strings.Replacer) {
	t.Helper()
	shipped := path("compose", "prometheus.yml")
	run(t, exec.Command(testenv.Tool(t, "promtool"), "check", "config", shipped))
	folder, addr := t.TempDir(), testenv.FreeAddr(t, "127.0.0.1")
	config := filepath.Join(folder, "prometheus.yml")
	write(t, config, rename.Replace(read(t, shipped)))
	s.metrics = "http://" + addr
	process := testenv.Start(t, "prometheus", nil, testenv.Tool(t, "prometheus"),
		"--config.file", config, "--storage.tsdb.path", filepath.Join(folder, "data"), "--web.listen-address", addr)
	process.WaitHTTP(t, s.metrics+"/-/ready")
}

func write(t *testing.T, file, content string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// push pushes an image to the upstream and returns the reference by which a client of the stack pulls it.
func (s *stack) push(t *testing.T, repository string) name.Reference {
	t.Helper()
	img, err := random.Image(layerSize, 2)
	if err != nil {
		t.Fatal(err)
	}
	at := func(registry string) name.Reference {
		ref, err := name.ParseReference(registry+"/"+repository, name.Insecure)
		if err != nil {
			t.Fatal(err)
		}
		return ref
	}
	if err := remote.Write(at(s.upstream.Addr), img); err != nil {
		t.Fatalf("push to the upstream: %v", err)
	}
	return at(strings.TrimPrefix(s.url, "http://"))
}

// pull reads a whole image and verifies its digests.
func pull(t *testing.T, ref name.Reference) {
	t.Helper()
	img, err := remote.Image(ref)
	if err != nil {
		t.Fatalf("pull %s: %v", ref, err)
	}
	if err := validate.Image(img); err != nil {
		t.Fatalf("pull %s: %v", ref, err)
	}
}

func TestComposeStackPullsThrough(t *testing.T) {
	s := startStack(t)
	first, second := s.push(t, "library/first:1"), s.push(t, "library/second:1")
	pull(t, first)
	pull(t, first)
	if location := s.redirectOfBlob(t, first); !strings.HasPrefix(location, publicEndpoint(s.minio)+"/images/public/blobs/") {
		t.Errorf("a hit redirects to %q, want the bucket at %s", location, publicEndpoint(s.minio))
	}
	s.waitForMetric(t, `sum(up{job="entrepot"})`, "2")
	s.waitForMetric(t, `count(sum by (kind) (entrepot_requests_total{kind="blob"}))`, "1")

	// One replica serves alone, and clients see no error when the other dies.
	s.replicas[0].Kill()
	manifest := fmt.Sprintf("%s/v2/%s/manifests/%s", s.url, first.Context().RepositoryStr(), first.Identifier())
	for range 4 { // http.Get, since the client in pull would retry
		resp, err := http.Get(manifest)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Errorf("manifest with one replica down: status %s", resp.Status)
		}
	}
	pull(t, first)
	pull(t, second)
	s.waitForMetric(t, `sum(up{job="entrepot"})`, "1")
}

// redirectOfBlob requests a stored blob and returns the Location of the response.
func (s *stack) redirectOfBlob(t *testing.T, ref name.Reference) string {
	t.Helper()
	img, err := remote.Image(ref)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := img.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Get(fmt.Sprintf("%s/v2/%s/blobs/%s", s.url, ref.Context().RepositoryStr(), manifest.Layers[0].Digest))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp.Header.Get("Location")
}

// waitForMetric polls Prometheus until the query returns want, for at most 30 seconds.
func (s *stack) waitForMetric(t *testing.T, query, want string) {
	t.Helper()
	var last string
	for until := time.Now().Add(30 * time.Second); time.Now().Before(until); time.Sleep(200 * time.Millisecond) {
		resp, err := http.Get(s.metrics + "/api/v1/query?query=" + strings.NewReplacer(" ", "%20", `"`, "%22", "{", "%7B", "}", "%7D").Replace(query))
		if err != nil {
			t.Fatal(err)
		}
		var answer struct {
			Data struct {
				Result []struct{ Value [2]any }
			}
		}
		err = json.NewDecoder(resp.Body).Decode(&answer)
		resp.Body.Close()
		if err != nil {
			t.Fatalf("query Prometheus: %v", err)
		}
		if last = fmt.Sprint(answer.Data.Result); len(answer.Data.Result) == 1 && answer.Data.Result[0].Value[1] == want {
			return
		}
	}
	t.Errorf("Prometheus returns %s for %s, want %s", last, query, want)
}

func TestComposeUserHasLeastPrivilege(t *testing.T) {
	server := testenv.StartMinIO(t)
	server.CreateBucket(t, "others")
	setUpMinIO(t, server)
	setup := environmentOf(composeProject(t).Services["minio-setup"])
	client, err := minio.New(server.Addr, &minio.Options{
		Creds: credentials.NewStaticV4(setup["STORE_USER"], setup["STORE_SECRET"], ""),
	})
	if err != nil {
		t.Fatal(err)
	}
	content := func() *strings.Reader { return strings.NewReader("content") }
	for what, try := range map[string]func(ctx context.Context) error{
		"create a bucket":            func(ctx context.Context) error { return client.MakeBucket(ctx, "mine", minio.MakeBucketOptions{}) },
		"remove its bucket":          func(ctx context.Context) error { return client.RemoveBucket(ctx, "images") },
		"change the bucket's policy": func(ctx context.Context) error { return client.SetBucketPolicy(ctx, "images", "") },
		"write to another bucket": func(ctx context.Context) error {
			_, err := client.PutObject(ctx, "others", "key", content(), -1, minio.PutObjectOptions{})
			return err
		},
		"read from another bucket": func(ctx context.Context) error {
			_, err := client.StatObject(ctx, "others", "key", minio.StatObjectOptions{})
			return err
		},
	} {
		if code := minio.ToErrorResponse(try(t.Context())).Code; code != "AccessDenied" {
			t.Errorf("%s: error code %q, want AccessDenied", what, code)
		}
	}
	if _, err := client.PutObject(t.Context(), "images", "key", content(), 7, minio.PutObjectOptions{}); err != nil {
		t.Errorf("write to its own bucket: %v", err)
	}
}

func TestComposeBucketExpiresLeftovers(t *testing.T) {
	server := testenv.StartMinIO(t)
	setUpMinIO(t, server)
	rules, err := server.Client(t).GetBucketLifecycle(t.Context(), "images")
	if err != nil {
		t.Fatal(err)
	}
	days := map[string]int{}
	for _, rule := range rules.Rules {
		if rule.Status == "Enabled" {
			days[rule.RuleFilter.Prefix] = int(rule.Expiration.Days)
		}
	}
	if want := map[string]int{"public/fills/": 1, "access/": 90}; !maps.Equal(days, want) {
		t.Errorf("expiry in days by prefix: %v, want %v", days, want)
	}
}
