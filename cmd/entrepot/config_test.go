package main

import (
	"testing"
	"time"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func load(t *testing.T, environ []string, args ...string) (config, error) {
	t.Helper()
	flags := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	addFlags(flags)
	require.NoError(t, flags.Parse(args))
	return loadConfig(environ, flags)
}

func TestDefaultSettings(t *testing.T) {
	c, err := load(t, nil)
	require.NoError(t, err)
	assert.Equal(t, ":5000", c.Listen)
	assert.Empty(t, c.AdminListen)
	assert.Equal(t, "file:./data", c.Store.String())
	assert.Equal(t, time.Minute, c.TagTTL)
	assert.Equal(t, time.Hour, c.PresignExpiry)
	assert.Equal(t, 10*time.Minute, c.PresignMinLeft)
	assert.True(t, c.AccessLog)
	require.Len(t, c.Upstreams, 7)
	assert.Equal(t, "docker.io", c.Upstreams[0].name)
}

func TestFlagsPrecedeVariables(t *testing.T) {
	environ := []string{"ENTREPOT_TAG_TTL=5m", "ENTREPOT_LISTEN=", "ENTREPOT_ACCESS_LOG=false", "ENTREPOT_FILL_MEMORY=1GiB"}
	c, err := load(t, environ, "--tag-ttl", "7m")
	require.NoError(t, err)
	assert.Equal(t, 7*time.Minute, c.TagTTL)
	assert.Equal(t, ":5000", c.Listen)
	assert.False(t, c.AccessLog)
	assert.EqualValues(t, 1<<30, c.FillMemory)
}

func TestParseUpstreams(t *testing.T) {
	c, err := load(t, []string{"ENTREPOT_UPSTREAMS=index.docker.io=https://mirror.gcr.io|https://registry-1.docker.io, ghcr.io,corp=http://10.0.0.5:5000,host:5001"})
	require.NoError(t, err)
	var got [][]string
	for _, u := range c.Upstreams {
		row := []string{u.name}
		for _, e := range u.endpoints {
			row = append(row, e.String())
		}
		got = append(got, row)
	}
	assert.Equal(t, [][]string{
		{"docker.io", "https://mirror.gcr.io", "https://registry-1.docker.io"}, {"ghcr.io"}, {"corp", "http://10.0.0.5:5000"}, {"host:5001"},
	}, got)
}

func TestParseStoreURL(t *testing.T) {
	for text, want := range map[string]storeURL{
		"file:./data":                    {scheme: "file", path: "./data"},
		"file:/var/lib/entrepot":         {scheme: "file", path: "/var/lib/entrepot"},
		"file:///var/lib/entrepot":       {scheme: "file", path: "///var/lib/entrepot"},
		"s3://bucket":                    {scheme: "s3", bucket: "bucket"},
		"s3://bucket/a/b/":               {scheme: "s3", bucket: "bucket", prefix: "a/b"},
		"minio://minio.example/bucket":   {scheme: "minio", host: "minio.example", bucket: "bucket"},
		"minio+http://10.0.0.5:9000/b/p": {scheme: "minio+http", host: "10.0.0.5:9000", bucket: "b", prefix: "p"},
	} {
		var got storeURL
		require.NoError(t, got.UnmarshalText([]byte(text)), text)
		want.text = text
		assert.Equal(t, want, got)
	}
}

func TestConfigErrorNamesVariable(t *testing.T) {
	for setting, want := range map[string]string{
		"ENTREPOT_TAG_TTL=abc":                         `ENTREPOT_TAG_TTL: "abc": not a duration; write for example 90s, 1h30m or 30d`,
		"ENTREPOT_TAG_TTL=-1s":                         `ENTREPOT_TAG_TTL: -1s is negative`,
		"ENTREPOT_PRESIGN_EXPIRY=169h":                 `ENTREPOT_PRESIGN_EXPIRY: 169h0m0s is not between 1s and 168h`,
		"ENTREPOT_PRESIGN_EXPIRY=10m":                  `ENTREPOT_PRESIGN_MIN_LEFT: 10m0s is not less than 10m0s, the lifetime of URLs (ENTREPOT_PRESIGN_EXPIRY)`,
		"ENTREPOT_PRESIGN_MIN_LEFT=59m59.5s":           `ENTREPOT_PRESIGN_MIN_LEFT: 59m59.5s is not less than`,
		"ENTREPOT_PRESIGN_MIN_LEFT=-1s":                `ENTREPOT_PRESIGN_MIN_LEFT: -1s is negative`,
		"ENTREPOT_STORE_STYLE=dns":                     `ENTREPOT_STORE_STYLE: "dns": write path, host or auto`,
		"ENTREPOT_STORE=gs://bucket":                   `ENTREPOT_STORE: "gs://bucket": unknown kind of store`,
		"ENTREPOT_STORE=s3:bucket":                     `ENTREPOT_STORE: "s3:bucket": names no bucket`,
		"ENTREPOT_STORE=s3://":                         `ENTREPOT_STORE: "s3://": names no bucket`,
		"ENTREPOT_STORE=minio://host":                  `ENTREPOT_STORE: "minio://host": names no bucket`,
		"ENTREPOT_STORE=file:":                         `ENTREPOT_STORE: "file:": names no folder`,
		"ENTREPOT_STORE_PUBLIC_ENDPOINT=s3.corp":       `ENTREPOT_STORE_PUBLIC_ENDPOINT: "s3.corp": "s3.corp" is not a URL`,
		"ENTREPOT_UPSTREAMS=a.io,a.io":                 `two upstreams are named a.io`,
		"ENTREPOT_UPSTREAMS=docker.io,index.docker.io": `two upstreams are named docker.io`,
		"ENTREPOT_UPSTREAMS=corp=10.0.0.5":             `upstream corp: "10.0.0.5" is not a URL`,
		"ENTREPOT_UPSTREAMS=https://ghcr.io":           `"https://ghcr.io" is not a registry name`,
		"ENTREPOT_UPSTREAMS=,":                         `names no upstream`,
		"ENTREPOT_UPSTREAMS=x=http://u:p@h":            `put credentials into Docker's config.json`,
		"ENTREPOT_REDIRECT=maybe":                      `write always, never, or a list of client networks`,
		"ENTREPOT_ACCESS_LOG=yes":                      `write true or false`,
		"ENTREPOT_LOG_FORMAT=xml":                      `write text or json`,
		"ENTREPOT_LOG_LEVEL=loud":                      `ENTREPOT_LOG_LEVEL`,
		"ENTREPOT_SEGMENT_SIZE=1MiB":                   `ENTREPOT_SEGMENT_SIZE: 1MiB is not between 5MiB and 5GiB`,
		"ENTREPOT_SEGMENT_SIZE=big":                    `not a size; write for example 8MiB`,
		"ENTREPOT_FILL_MEMORY=6MiB":                    `does not hold one segment of 8MiB`,
		"ENTREPOT_FILL_CONNECTIONS=four":               `ENTREPOT_FILL_CONNECTIONS: "four": not a whole number`,
		"ENTREPOT_FILL_CONNECTIONS=0":                  `ENTREPOT_FILL_CONNECTIONS: 0 is too few`,
		"ENTREPOT_TRUSTED_PROXIES=lb.example.com":      `"lb.example.com" is not a network`,
	} {
		_, err := load(t, []string{setting})
		require.Error(t, err, setting)
		assert.ErrorContains(t, err, want)
		assert.NotContains(t, err.Error(), "\n")
		assert.ErrorAs(t, err, new(usageError))
	}
}

func TestPlatformPortIsDefaultListenPort(t *testing.T) {
	for _, c := range []struct {
		environ, args []string
		want          string
	}{
		{[]string{"PORT=8080"}, nil, ":8080"},
		{[]string{"PORT= 8080 "}, nil, ":8080"},
		{[]string{"PORT="}, nil, ":5000"},
		{[]string{"PORT=8080", "ENTREPOT_LISTEN=127.0.0.1:1"}, nil, "127.0.0.1:1"},
		{[]string{"PORT=none", "ENTREPOT_LISTEN=127.0.0.1:1"}, nil, "127.0.0.1:1"},
		{[]string{"PORT=8080"}, []string{"--listen", ":2"}, ":2"},
	} {
		got, err := load(t, c.environ, c.args...)
		require.NoError(t, err)
		assert.Equal(t, c.want, got.Listen, "%v %v", c.environ, c.args)
	}
	for _, port := range []string{"http", "0", "-1", "65536", "8080/tcp", ":8080"} {
		_, err := load(t, []string{"PORT=" + port})
		assert.ErrorContains(t, err, "is not a port; write a number from 1 to 65535, or set ENTREPOT_LISTEN", port)
		assert.ErrorAs(t, err, new(usageError))
	}
}

func TestPlatformWithShortGracePeriodShortensDrain(t *testing.T) {
	for variable, want := range map[string]time.Duration{
		"":                         10 * time.Minute,
		"K_SERVICE=mirror":         5 * time.Second,
		"CONTAINER_APP_NAME=app":   5 * time.Second,
		"PORT=8080":                5 * time.Second,
		"AWS_REGION=us-east-1":     10 * time.Minute,
		"KUBERNETES_SERVICE_HOST=": 10 * time.Minute,
	} {
		c, err := load(t, []string{variable})
		require.NoError(t, err)
		assert.Equal(t, want, c.DrainTimeout, variable)
		if want < time.Minute {
			assert.Less(t, c.DrainTimeout+c.platform.handOver, 10*time.Second)
		}
		c, err = load(t, []string{variable, "ENTREPOT_DRAIN_TIMEOUT=7s"})
		require.NoError(t, err)
		assert.Equal(t, 7*time.Second, c.DrainTimeout, variable)
	}
}
