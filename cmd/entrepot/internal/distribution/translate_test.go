package distribution_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/cmd/entrepot/internal/distribution"
)

// article is a configuration as articles about pull-through caches show it.
const article = `
version: 0.1
log:
  fields:
    service: registry
storage:
  cache:
    blobdescriptor: inmemory
  filesystem:
    rootdirectory: /var/lib/registry
  delete:
    enabled: true
http:
  addr: :5000
  headers:
    X-Content-Type-Options: [nosniff]
health:
  storagedriver:
    enabled: true
    interval: 10s
    threshold: 3
proxy:
  remoteurl: https://registry-1.docker.io
`

// bucket is a configuration of replicas with a bucket that do not redirect.
const bucket = `
version: 0.1
storage:
  s3:
    accesskey: top
    secretkey: secret
    region: eu-central-1
    bucket: images
    rootdirectory: /cache/hub
  redirect:
    disable: true
proxy:
  remoteurl: https://ghcr.io
`

func translate(t *testing.T, file string, environ ...string) *distribution.Translation {
	t.Helper()
	translation, err := distribution.Translate([]byte(file), environ)
	require.NoError(t, err)
	return translation
}

// notesOf returns the notes by their keys.
func notesOf(t *distribution.Translation) map[string]string {
	notes := map[string]string{}
	for _, n := range t.Notes {
		notes[n.Key] += n.Text
	}
	return notes
}

func TestConfigurationOfArticle(t *testing.T) {
	var written strings.Builder
	require.NoError(t, translate(t, article).Write(&written))
	assert.Equal(t, `ENTREPOT_STORE=file:/var/lib/registry
ENTREPOT_LISTEN=:5000
ENTREPOT_UPSTREAMS=docker.io
# storage.filesystem: entrepot does not use what distribution has stored there, below docker/registry/v2; delete it when entrepot serves
# proxy.remoteurl: entrepot can mirror more registries: list them in ENTREPOT_UPSTREAMS, this one first as the default
# health: /readyz checks the store, and entrepot healthcheck requests it
# http.headers: entrepot adds no headers of yours; a load balancer can
# log.fields: entrepot adds no fields of yours to its log
# storage.cache: entrepot needs no cache of descriptors; ENTREPOT_MANIFEST_CACHE is its memory for manifests
# storage.delete: clients cannot delete; entrepot gc and entrepot rm do
`, written.String())
}

func TestCredentialsAreNamedAndNotPrinted(t *testing.T) {
	for name, c := range map[string]struct{ file, note, says string }{
		"proxy":          {article + "  username: top\n  password: secret\n", "proxy.username, proxy.password", "(docker login)"},
		"another proxy":  {"proxy: {remoteurl: 'https://ghcr.io', password: secret}", "proxy.username, proxy.password", "docker login ghcr.io"},
		"URL of proxy":   {"proxy: {remoteurl: 'https://top:secret@ghcr.io/?secret'}", "proxy.remoteurl", "credentials"},
		"bucket":         {bucket, "storage.s3.accesskey, storage.s3.secretkey", "AWS_ACCESS_KEY_ID"},
		"endpoint":       {"storage: {s3: {bucket: b, regionendpoint: 'http://top:secret@host:9000'}}", "storage.s3.regionendpoint", "credentials"},
		"CDN":            {bucket + "middleware: {storage: [{name: redirect, options: {baseurl: 'https://top:secret@cdn'}}]}", "middleware.storage.0.options.baseurl", "credentials"},
		"HTTP secret":    {"http: {secret: secret}", "http.secret", "cannot push"},
		"Redis":          {"redis: {addrs: [top], password: secret}", "redis", "share only the bucket"},
		"unknown key":    {"proxy: {token: secret}", "proxy.token", "no equivalent"},
		"key in a path":  {bucket + "middleware: {storage: [{name: cloudfront, options: {baseurl: 'https://cdn', keypairid: K, privatekey: \"BEGIN secret\\nEND\"}}]}", "middleware.storage.0.options.privatekey", "line break"},
		"wrong URL":      {"proxy: {remoteurl: 'top:secret@host'}", "proxy.remoteurl", "is not a URL"},
		"wrong duration": {"http: {draintimeout: secret}", "http.draintimeout", "is not a duration"},
	} {
		t.Run(name, func(t *testing.T) {
			translation := translate(t, c.file)
			assert.Contains(t, notesOf(translation)[c.note], c.says)
			var written strings.Builder
			require.NoError(t, translation.Write(&written))
			assert.NotContains(t, written.String(), "top")
			assert.NotContains(t, strings.ReplaceAll(strings.ReplaceAll(written.String(), "secretkey", ""), "http.secret", ""), "secret")
		})
	}
}

func TestKeysHaveEquivalentSettings(t *testing.T) {
	for file, want := range map[string]string{
		bucket: "STORE=s3://images/cache/hub AWS_REGION=eu-central-1 REDIRECT=never UPSTREAMS=ghcr.io",

		"storage: filesystem":                                        "STORE=file:/var/lib/registry",
		"storage: {filesystem: }":                                    "STORE=file:/var/lib/registry",
		"storage: {filesystem: {maxthreads: 50}}":                    "STORE=file:/var/lib/registry",
		"storage: {filesystem: {rootdirectory: data}}":               "STORE=file:data",
		"storage: {s3aws: {bucket: b, region: r}}":                   "STORE=s3://b AWS_REGION=r",
		"storage: {s3: {bucket: 0123, forcepathstyle: yes}}":         "STORE=s3://0123 STORE_STYLE=path",
		"storage: {s3: {bucket: 2026-11-26, forcepathstyle: false}}": "STORE=s3://2026-11-26 STORE_STYLE=host",
		"storage: {s3: {region: r}}":                                 "AWS_REGION=r",
		"storage: {gcs: {bucket: b, rootdirectory: /p}}":             "STORE=minio://storage.googleapis.com/b/p AWS_REGION=auto",
		"storage: {azure: {container: c}}":                           "",
		"storage: inmemory":                                          "",
		"storage: {redirect: {disable: false}}":                      "REDIRECT=always",

		"storage: {s3: {bucket: b, regionendpoint: 'https://Minio:9000/', region: r}}":           "STORE=minio://minio:9000/b AWS_REGION=r",
		"storage: {s3: {bucket: b, regionendpoint: 'http://minio:9000'}}":                        "STORE=minio+http://minio:9000/b",
		"storage: {s3: {bucket: b, regionendpoint: 'minio:9000'}}":                               "STORE=minio://minio:9000/b",
		"storage: {s3: {bucket: b, regionendpoint: 'minio:9000', secure: false}}":                "STORE=minio+http://minio:9000/b",
		"storage: {s3: {bucket: b, regionendpoint: 'https://host/path'}}":                        "STORE=s3://b AWS_ENDPOINT_URL_S3=https://host/path",
		"storage: {s3: {bucket: b, regionendpoint: 'https://s3.eu-west-1.amazonaws.com'}}":       "STORE=s3://b",
		"storage: {s3: {bucket: b, redirectendpoint: 'https://s3.example.com', secure: 'true'}}": "STORE=s3://b STORE_PUBLIC_ENDPOINT=https://s3.example.com",

		"http: {addr: 'localhost:5000', net: tcp}":       "LISTEN=localhost:5000",
		"http: {addr: /run/registry.sock, net: unix}":    "",
		"http: {debug: {addr: ':5001', prometheus: {}}}": "ADMIN_LISTEN=:5001",
		"http: {draintimeout: 60s}":                      "DRAIN_TIMEOUT=1m",
		"http: {draintimeout: 3600000000000}":            "DRAIN_TIMEOUT=1h",
		"http: {draintimeout: 90s}":                      "DRAIN_TIMEOUT=1m30s",
		"http: {draintimeout: 0}":                        "",

		"log: {level: Warn, formatter: json}":                     "LOG_LEVEL=warn LOG_FORMAT=json",
		"loglevel: debug":                                         "LOG_LEVEL=debug",
		"{loglevel: debug, log: {level: error}}":                  "LOG_LEVEL=error",
		"log: {formatter: logstash}":                              "LOG_FORMAT=json",
		"log: {accesslog: {disabled: true}}":                      "ACCESS_LOG=false",
		"log: {accesslog: {disabled: false}}":                     "",
		"proxy: {remoteurl: 'https://index.docker.io/'}":          "UPSTREAMS=docker.io",
		"proxy: {remoteurl: 'https://ghcr.io'}":                   "UPSTREAMS=ghcr.io",
		"proxy: {remoteurl: 'https://Corp.example:5443'}":         "UPSTREAMS=corp.example:5443",
		"proxy: {remoteurl: 'http://10.0.0.5:5000'}":              "UPSTREAMS=10.0.0.5:5000=http://10.0.0.5:5000",
		"proxy: {remoteurl: 'https://corp.example/api/docker/'}":  "UPSTREAMS=corp.example=https://corp.example/api/docker",
		"proxy: {remoteurl: 'http://[fd00::1]:5000'}":             "UPSTREAMS=upstream=http://[fd00::1]:5000",
		"{x: &p {remoteurl: 'https://ghcr.io'}, proxy: *p}":       "UPSTREAMS=ghcr.io",
		"{x: &p {remoteurl: 'https://ghcr.io'}, proxy: {<<: *p}}": "UPSTREAMS=ghcr.io",
		"": "",
	} {
		var got []string
		for _, s := range translate(t, file).Environ() {
			got = append(got, strings.TrimPrefix(s, "ENTREPOT_"))
		}
		assert.Equal(t, want, strings.Join(got, " "), file)
	}
}

func TestCDNNeedsBucket(t *testing.T) {
	const cloudfront = "\nmiddleware: {storage: [{name: cloudfront, disabled: OFF, options: {baseurl: d1.cloudfront.net, privatekey: /key.pem, keypairid: K1, duration: 60s}}, {name: redirect, options: {baseurl: 'https://b'}}]}\n"
	settings := func(file string) string {
		_, cdn, _ := strings.Cut(strings.Join(translate(t, file).Environ(), " "), "ENTREPOT_CDN_URL=")
		return cdn
	}
	on, off := strings.Replace(bucket+cloudfront, "OFF", "false", 1), strings.Replace(bucket+cloudfront, "OFF", "true", 1)
	assert.Equal(t, "https://d1.cloudfront.net ENTREPOT_CDN_KEY_ID=K1 ENTREPOT_CDN_KEY_FILE=/key.pem ENTREPOT_PRESIGN_EXPIRY=1m ENTREPOT_PRESIGN_MIN_LEFT=30s ENTREPOT_UPSTREAMS=ghcr.io", settings(on))
	assert.Equal(t, "https://b ENTREPOT_UPSTREAMS=ghcr.io", settings(off))
	assert.Empty(t, settings(strings.Replace(article+cloudfront, "OFF", "false", 1)))

	public := translate(t, strings.Replace(on, "bucket: images", "bucket: images\n    redirectendpoint: https://public", 1))
	assert.NotContains(t, strings.Join(public.Environ(), " "), "PUBLIC_ENDPOINT")
	assert.Contains(t, notesOf(public)["storage.s3.redirectendpoint"], "no effect with a CDN")

	rewrite := translate(t, bucket+"middleware: {storage: [{name: rewrite, options: {host: cdn}}]}")
	assert.Contains(t, notesOf(rewrite), "middleware.storage")
}

func TestVariablesOverrideFile(t *testing.T) {
	for name, c := range map[string]struct {
		file    string
		environ []string
		want    string
	}{
		"no file":           {"", []string{"REGISTRY_PROXY_REMOTEURL=https://ghcr.io", "REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY=/data"}, "STORE=file:/data UPSTREAMS=ghcr.io"},
		"a key":             {bucket, []string{"REGISTRY_STORAGE_S3_BUCKET=other", "REGISTRY_STORAGE_REDIRECT_DISABLE=false"}, "STORE=s3://other/cache/hub AWS_REGION=eu-central-1 REDIRECT=always UPSTREAMS=ghcr.io"},
		"a section":         {bucket, []string{"REGISTRY_STORAGE={filesystem: {rootdirectory: /d}}"}, "STORE=file:/d UPSTREAMS=ghcr.io"},
		"section, then key": {bucket, []string{"REGISTRY_STORAGE_S3_BUCKET=b", "REGISTRY_STORAGE=s3"}, "STORE=s3://b UPSTREAMS=ghcr.io"},
		"short form":        {"storage: filesystem", []string{"REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY=/d"}, "STORE=file:/d"},
		"a section of null": {"proxy:", []string{"REGISTRY_PROXY_REMOTEURL=https://ghcr.io"}, "UPSTREAMS=ghcr.io"},
		"empty value":       {"http: {addr: ':1'}", []string{"REGISTRY_HTTP_ADDR="}, ""},
		"an element": {bucket + "middleware: {storage: [{name: redirect, options: {baseurl: 'https://a'}}]}", []string{"REGISTRY_MIDDLEWARE_STORAGE_0_OPTIONS_BASEURL=https://b", "REGISTRY_MIDDLEWARE_STORAGE_5_NAME=cloudfront"},
			"STORE=s3://images/cache/hub AWS_REGION=eu-central-1 REDIRECT=never CDN_URL=https://b UPSTREAMS=ghcr.io"},
		"Kubernetes": {"", []string{"REGISTRY_PORT=tcp://10.0.0.1:5000", "REGISTRY_SERVICE_HOST=10.0.0.1", "REGISTRY_CONFIGURATION_PATH=/x", "registry_http_addr=:1", "REGISTRY_http_addr=:1"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, s := range translate(t, c.file, c.environ...).Environ() {
				got = append(got, strings.TrimPrefix(s, "ENTREPOT_"))
			}
			assert.Equal(t, c.want, strings.Join(got, " "))
		})
	}
}

func TestConfigurationsThatDistributionRefuses(t *testing.T) {
	bomb := "x0: &x0 [a]\n"
	for _, n := range strings.Split("1 2 3 4 5 6 7 8 9", " ") {
		previous := string(n[0] - 1)
		bomb += "x" + n + ": &x" + n + " [" + strings.Repeat("*x"+previous+",", 9) + "*x" + previous + "]\n"
	}
	for name, c := range map[string]struct {
		file    string
		environ []string
		want    string
	}{
		"two drivers":        {"storage: {filesystem: , s3: {bucket: b}}", nil, "storage has more than one driver: filesystem, s3"},
		"driver of variable": {article, []string{"REGISTRY_STORAGE_S3_BUCKET=b"}, "storage has more than one driver: filesystem, s3"},
		"version":            {"version: 0.2", nil, "version is not 0.1, the only version of distribution's configuration"},
		"no mapping":         {"secret", nil, "not a configuration of distribution: no keys and values"},
		"broken":             {"a: 1\n  b: secret: x", nil, "not valid YAML, line 2"},
		"unknown alias":      {"a: *secret", nil, "not valid YAML"},
		"broken variable":    {"", []string{"REGISTRY_PROXY_PASSWORD=*secret"}, "REGISTRY_PROXY_PASSWORD: not valid YAML"},
		"aliases of aliases": {bomb, nil, "too many values"},
		"alias of itself":    {"a: &a [*a]", nil, "too many values"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := distribution.Translate([]byte(c.file), c.environ)
			assert.EqualError(t, err, c.want)
		})
	}
}

func TestNotesAreSingleLines(t *testing.T) {
	var written strings.Builder
	require.NoError(t, translate(t, `{"a\nENTREPOT_LISTEN=:1": x, http: {addr: "a\nENTREPOT_LISTEN=:1"}}`).Write(&written))
	for line := range strings.Lines(written.String()) {
		assert.True(t, strings.HasPrefix(line, "# "), line)
	}
}
