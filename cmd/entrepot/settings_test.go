package main

import (
	"strings"
	"testing"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// valuesOf returns the settings in force by their variables.
func valuesOf(t *testing.T, environ []string, args ...string) map[string]settingValue {
	t.Helper()
	flags := pflag.NewFlagSet("settings", pflag.ContinueOnError)
	addFlags(flags)
	require.NoError(t, flags.Parse(args))
	texts, err := settingTexts(environ, flags)
	require.NoError(t, err)
	byVariable := map[string]settingValue{}
	for _, v := range texts.values() {
		byVariable[v.Variable] = v
	}
	return byVariable
}

func TestEachSettingHasItsOrigin(t *testing.T) {
	for name, c := range map[string]struct {
		environ, args   []string
		variable, value string
		origin          origin
	}{
		"nothing":                {nil, nil, "TAG_TTL", "1m", fromDefault},
		"empty variable":         {[]string{"ENTREPOT_TAG_TTL= "}, nil, "TAG_TTL", "1m", fromDefault},
		"variable":               {[]string{"ENTREPOT_TAG_TTL=30d"}, nil, "TAG_TTL", "30d", fromEnvironment},
		"variable as default":    {[]string{"ENTREPOT_TAG_TTL=1m"}, nil, "TAG_TTL", "1m", fromEnvironment},
		"flag":                   {nil, []string{"--tag-ttl", "30d"}, "TAG_TTL", "30d", fromFlag},
		"flag over variable":     {[]string{"ENTREPOT_TAG_TTL=5m"}, []string{"--tag-ttl=7m"}, "TAG_TTL", "7m", fromFlag},
		"empty flag":             {[]string{"ENTREPOT_TAG_TTL=5m"}, []string{"--tag-ttl="}, "TAG_TTL", "1m", fromDefault},
		"Cloud Run's drain":      {[]string{"K_SERVICE=mirror"}, nil, "DRAIN_TIMEOUT", "5s", fromPlatform},
		"variable on Cloud Run":  {[]string{"K_SERVICE=mirror", "ENTREPOT_DRAIN_TIMEOUT=6s"}, nil, "DRAIN_TIMEOUT", "6s", fromEnvironment},
		"PORT":                   {[]string{"PORT=8080"}, nil, "LISTEN", ":8080", fromPlatform},
		"flag over PORT":         {[]string{"PORT=8080"}, []string{"--listen=:1"}, "LISTEN", ":1", fromFlag},
		"Lambda's miss":          {[]string{runtimeAPI + "=127.0.0.1:9001"}, nil, "MISS", "redirect", fromPlatform},
		"Lambda's memory":        {[]string{runtimeAPI + "=127.0.0.1:9001", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE=512"}, nil, "FILL_MEMORY", "128MiB", fromPlatform},
		"flag without its value": {[]string{"ENTREPOT_ACCESS_LOG=0"}, []string{"--access-log"}, "ACCESS_LOG", "true", fromFlag},
	} {
		t.Run(name, func(t *testing.T) {
			v := valuesOf(t, c.environ, c.args...)[prefix+c.variable]
			assert.Equal(t, c.value, v.Value)
			assert.Equal(t, c.origin, v.Origin)
		})
	}
}

func TestPrintedValuesAreWhatOneWouldWrite(t *testing.T) {
	environ := []string{
		"ENTREPOT_UPSTREAMS=registry-1.docker.io=https://mirror.gcr.io|https://registry-1.docker.io, ghcr.io", "ENTREPOT_KEEP_DELETED=7d",
		"ENTREPOT_STORE=s3://bucket/a@b/", "ENTREPOT_TAG_TTL_RULES=*:v*=forever, *:latest=0s", "ENTREPOT_QUOTA_RESERVE=2.5%",
		"ENTREPOT_REDIRECT=10.0.0.0/8, fd00::/8", "ENTREPOT_STREAM_TO=kaniko,10.7.0.1", "ENTREPOT_ACCESS_LOG=0", "ENTREPOT_FILL_MEMORY=1g",
		"ENTREPOT_TRUSTED_PROXIES=10.1.2.3/8", "ENTREPOT_CDN_URL=https://cdn.example.com/x@y", "ENTREPOT_LOG_LEVEL=WARN",
	}
	want, err := load(t, environ)
	require.NoError(t, err)
	var printed []string
	for _, v := range valuesOf(t, environ) {
		printed = append(printed, v.Variable+"="+v.Value)
	}
	got, err := load(t, printed)
	require.NoError(t, err)
	assert.Equal(t, want, got)
}

func TestSecretsAreMasked(t *testing.T) {
	for _, variable := range []string{"DOCKER_CONFIG", "CDN_KEY"} {
		assert.Equal(t, "(secret)", valuesOf(t, []string{prefix + variable + "=top secret"})[prefix+variable].Value)
		assert.Empty(t, valuesOf(t, nil)[prefix+variable].Value)
	}
	for _, s := range []string{"s3://top:secret@bucket", "a=https://top:secret@host/x,b=http://top@host:1"} {
		masked := maskUserInfo(s)
		assert.NotContains(t, masked, "top")
		assert.Contains(t, masked, "://(secret)@")
	}
	assert.Equal(t, "s3://bucket/a@b", maskUserInfo("s3://bucket/a@b"))
}

func TestCredentialsInURLsAreRefusedUnseen(t *testing.T) {
	for _, setting := range []string{
		"STORE=s3://top:secret@bucket", "STORE=minio://top:secret@host/bucket", "STORE=minio://top:sec/ret@host/bucket", "STORE=ftp://top:secret@host",
		"UPSTREAMS=a=https://top:secret@host", "UPSTREAMS=a=https://top:sec,ret@host", "UPSTREAMS=a=top:secret@host",
		"STORE_PUBLIC_ENDPOINT=https://top:secret@host", "CDN_URL=https://top@host",
	} {
		_, err := load(t, []string{prefix + setting})
		require.ErrorAs(t, err, new(usageError), setting)
		name, _, _ := strings.Cut(setting, "=")
		assert.ErrorContains(t, err, prefix+name+": ")
		assert.ErrorContains(t, err, "credentials")
		assert.NotContains(t, err.Error(), "top")
		assert.NotContains(t, err.Error(), "sec")
	}
}

func TestFlagsHaveTypes(t *testing.T) {
	flags := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	addFlags(flags)
	help := flags.FlagUsages()
	for _, want := range []string{
		"--tag-ttl duration ", "--fill-connections int ", "--segment-size size ", "--quota-reserve percentage ", "--cdn-url url ", "--listen string ",
		"--miss stream|redirect ", "--access-log  ", "(default 1m)", "(default true)",
	} {
		assert.Contains(t, help, want)
	}
	for _, c := range []struct {
		arg  string
		want bool
	}{{"--access-log", true}, {"--access-log=false", false}, {"--access-log=0", false}, {"--access-log=1", true}} {
		got, err := load(t, []string{"ENTREPOT_ACCESS_LOG=" + map[bool]string{true: "false", false: "true"}[c.want]}, c.arg)
		require.NoError(t, err)
		assert.Equal(t, c.want, got.AccessLog, c.arg)
	}
}

func TestFlagsAndVariablesAcceptTheSame(t *testing.T) {
	for _, text := range []string{
		"tag-ttl=30d", "tag-ttl=soon", "tag-ttl=60", "access-log=0", "access-log=yes", "access-log=TRUE", "fill-connections=8", "fill-connections=four",
		"fill-connections=0", "segment-size=16m", "segment-size=big", "quota-reserve=5%", "quota-reserve=0.1", "log-level=Debug", "miss=wait", "store=gs://b",
	} {
		name, value, _ := strings.Cut(text, "=")
		variable := prefix + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
		byVariable, wrongVariable := load(t, []string{variable + "=" + value})
		byFlag, wrongFlag := load(t, nil, "--"+name+"="+value)
		assert.Equal(t, wrongVariable, wrongFlag, text)
		assert.Equal(t, byVariable, byFlag, text)
		if wrongFlag != nil {
			assert.ErrorContains(t, wrongFlag, variable+": ")
		}
	}
}

func TestUnknownVariables(t *testing.T) {
	assert.Equal(t, []unknownVariable{{"ENTREPOT_TAGTTL", "ENTREPOT_TAG_TTL"}}, unknownVariables([]string{
		"ENTREPOT_TAGTTL=1m", "ENTREPOT_TAG_TTL=1m", "HOME=/",
		"ENTREPOT_TEST_SEED=1", // of the tests
		// set by Kubernetes for a Service named entrepot
		"ENTREPOT_PORT=tcp://10.0.0.1:80", "ENTREPOT_PORT_80_TCP_ADDR=10.0.0.1", "ENTREPOT_SERVICE_HOST=10.0.0.1", "ENTREPOT_SERVICE_PORT_HTTP=80",
	}))
}

func TestNearestSettingIsSimilar(t *testing.T) {
	for name, want := range map[string]string{
		"ENTREPOT_LOGLEVEL":        "ENTREPOT_LOG_LEVEL",
		"ENTREPOT_LISTENS":         "ENTREPOT_LISTEN",
		"ENTREPOT_UPSTREAM":        "ENTREPOT_UPSTREAMS",
		"ENTREPOT_UPSTREAM_STALLS": "ENTREPOT_UPSTREAM_STALL",
		"ENTREPOT_TAGS_TTL":        "ENTREPOT_TAG_TTL",
		"ENTREPOT_tag_ttl":         "ENTREPOT_TAG_TTL",
		"ENTREPOT_SEGMENTS_SIZES":  "ENTREPOT_SEGMENT_SIZE",
		"ENTREPOT_MINIO":           "",
		"ENTREPOT_HTPASSWD":        "",
		"ENTREPOT_TOKEN":           "",
		"ENTREPOT_":                "",
	} {
		assert.Equal(t, want, nearestSetting(name), name)
	}
}

func TestEditDistances(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"abc", "abc", 0}, {"kitten", "sitting", 3}, {"ab", "ba", 2}, {"flaw", "lawn", 2}} {
		assert.Equal(t, c.want, editDistance(c.a, c.b), "%q %q", c.a, c.b)
	}
}
