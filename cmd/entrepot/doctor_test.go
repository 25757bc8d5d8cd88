package main_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/entrepot-io/entrepot/infra/testenv"
)

// testImage is the image at the upstream that doctor looks for.
var testImage = []string{"--image", "docker.io/library/app:1"}

// examine runs doctor on the cluster's store, with more variables.
func (w *cluster) examine(t *testing.T, env []string, args ...string) checks {
	t.Helper()
	other := *w
	other.store = append(slices.Clone(w.store), env...)
	return other.runChecks(t, append(append([]string{"doctor"}, testImage...), args...)...)
}

// has fails the test unless a check has a result, and a text in its detail or its remedy.
func (c checks) has(t *testing.T, check, result, text string) {
	t.Helper()
	got, detail, remedy := c.of(t, check)
	assert.Equal(t, result, got, "%s: %s", check, detail)
	assert.Contains(t, detail+"\n"+remedy, text)
}

func TestDoctorFindsNothingBroken(t *testing.T) {
	t.Parallel()
	for name, w := range stores(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w.upstream.Index("library/app", "1", 3<<20, 2000)
			all := w.examine(t, nil)
			assert.Zero(t, all.Broken, "%+v", all)
			all.has(t, "conditional writes", "ok", "honored")
			all.has(t, "checksums", "ok", "was refused")
			all.has(t, "copies", "ok", "")
			all.has(t, "delete", "ok", "")
			all.has(t, "clock", "ok", "differ by")
			all.has(t, "HEAD", "ok", "library/app:1 is sha256:")
			all.has(t, "Range", "ok", "")
			if w.bucket.client == nil {
				assert.Zero(t, all.Warnings, "%+v", all)
				all.has(t, "disk", "ok", "are free")
			} else {
				all.has(t, "list uploads", "ok", "")
				all.has(t, "abort uploads", "ok", "")
				all.has(t, "GET", "ok", "200")
				all.has(t, "expiry", "ok", "answered 403")
				all.has(t, "address", "warning", "127.0.0.1 is a private address without a name")
				all.has(t, "host name", "warning", "")
				assert.Equal(t, 2, all.Warnings, "%+v", all)
				assert.Empty(t, w.bucket.keys(t, ""), "doctor removes its objects")
			}
			text := w.run(t, append([]string{"doctor"}, testImage...)...)
			assert.Zero(t, text.exit, text.stderr)
			assert.Empty(t, text.stderr)
			assert.Contains(t, text.stdout, "upstream docker.io at "+w.upstream.URL()+"\n  ok       DNS")
			assert.Contains(t, text.stdout, fmt.Sprintf("\n%d checks, 0 broken, %d with warnings\n", len(all.Checks), all.Warnings))
		})
	}
}

func TestDoctorRejectsWrongUsage(t *testing.T) {
	t.Parallel()
	w := newCluster(t)
	for want, args := range map[string][]string{
		"takes no arguments":       {"now"},
		"is not an image":          {"--image", "app"},
		"write text or json":       {"--output", "yaml"},
		"ENTREPOT_PRESIGN_EXPIRY:": {"--presign-expiry", "0s"},
	} {
		r := w.run(t, append([]string{"doctor"}, args...)...)
		assert.Equal(t, 2, r.exit, want)
		assert.Contains(t, r.stderr, want)
		assert.Empty(t, r.stdout)
	}
}

func TestInterruptedDoctorEndsSoon(t *testing.T) {
	t.Parallel()
	hangs := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		closeOnce(hangs)
		<-r.Context().Done()
	}))
	t.Cleanup(server.Close)
	p := testenv.Start(t, "doctor", []string{
		"ENTREPOT_STORE=minio+" + server.URL + "/images", "AWS_ACCESS_KEY_ID=key", "AWS_SECRET_ACCESS_KEY=secret", "HOME=" + t.TempDir(),
	}, testenv.Program(t), "doctor")
	<-hangs
	began := time.Now()
	p.Signal(t, os.Interrupt)
	assert.Equal(t, 1, p.Wait(t, 5*time.Second))
	assert.Less(t, time.Since(began), time.Second)
	assert.Contains(t, p.Output(t), "interrupted")
}

func TestDoctorFindsContradictions(t *testing.T) {
	t.Parallel()
	w := newCluster(t)
	w.upstream.Image("library/app", "1", 1000)
	folder := "ENTREPOT_STORE=file:" + t.TempDir()
	for want, c := range map[string]struct {
		check, result string
		env           []string
	}{
		"no setting has this name":         {"ENTREPOT_TAG_TLL", "warning", []string{"ENTREPOT_TAG_TLL=1m"}},
		"the store is a folder":            {"ENTREPOT_STORE_PUBLIC_ENDPOINT", "warning", []string{"ENTREPOT_STORE_PUBLIC_ENDPOINT=https://s3.example.com"}},
		"it contains all addresses":        {"ENTREPOT_TRUSTED_PROXIES", "warning", []string{"ENTREPOT_TRUSTED_PROXIES=0.0.0.0/0"}},
		"is less than ENTREPOT_TAG_TTL":    {"ENTREPOT_STALE_MAX", "warning", []string{"ENTREPOT_STALE_MAX=10s"}},
		"all pulls are reserved":           {"ENTREPOT_QUOTA_RESERVE", "warning", []string{"ENTREPOT_QUOTA_RESERVE=100%"}},
		"does not hold 4 segments":         {"ENTREPOT_FILL_MEMORY", "warning", []string{"ENTREPOT_FILL_MEMORY=16MiB"}},
		"this is not AWS Lambda":           {"ENTREPOT_LAMBDA_STREAMING", "warning", []string{"ENTREPOT_LAMBDA_STREAMING=true"}},
		"the same as ENTREPOT_LISTEN":      {"ENTREPOT_ADMIN_LISTEN", "broken", []string{"ENTREPOT_ADMIN_LISTEN=:5000"}},
		"is the mirror itself":             {"ENTREPOT_UPSTREAMS", "broken", []string{"ENTREPOT_UPSTREAMS=docker.io=http://localhost:5000"}},
		"ENTREPOT_MANIFEST_CACHE, or give": {"memory", "broken", []string{"ENTREPOT_FILL_MEMORY=100TiB"}},
		"run entrepot gc regularly":        {"ENTREPOT_GC_INTERVAL", "warning", []string{"ENTREPOT_GC_INTERVAL=0s", "ENTREPOT_MAX_AGE=30d"}},
		"uses are not recorded":            {"ENTREPOT_RECORD_USE", "warning", []string{"ENTREPOT_RECORD_USE=false", "ENTREPOT_MAX_SIZE=1GiB"}},
		"no such file":                     {"ENTREPOT_GC_RULES", "broken", []string{"ENTREPOT_GC_RULES=/does/not/exist"}},
		"but ENTREPOT_MAX_SIZE is":         {"disk", "warning", []string{"ENTREPOT_MAX_SIZE=900TiB"}},
		"is less than the settings allow":  {"GOMEMLIMIT", "warning", []string{"GOMEMLIMIT=100MiB"}},
	} {
		w.examine(t, append(c.env, folder)).has(t, c.check, c.result, want)
	}
	all := w.examine(t, []string{"ENTREPOT_REDIRECT=never", "ENTREPOT_STORE_PUBLIC_ENDPOINT=https://s3.example.com"})
	all.has(t, "ENTREPOT_STORE_PUBLIC_ENDPOINT", "warning", "remove one of them")
	all.has(t, "URL", "ok", "ENTREPOT_REDIRECT is never")
	w.examine(t, []string{"ENTREPOT_PRESIGN_MIN_LEFT=1s"}).has(t, "ENTREPOT_PRESIGN_MIN_LEFT", "warning", "expires in 1s")
}
