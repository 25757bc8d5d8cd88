package main_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// distributionFile writes a configuration of distribution and returns its path.
func distributionFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yml")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// variables returns the lines of a file of variables without its comments.
func variables(file string) (lines []string) {
	for line := range strings.Lines(file) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			lines = append(lines, line)
		}
	}
	return lines
}

func TestConfigurationOfDistributionIsTranslated(t *testing.T) {
	t.Parallel()
	const s3 = "version: 0.1\nstorage: {s3: {bucket: images, region: eu-central-1, accesskey: top, secretkey: secret}, redirect: {disable: true}}\n" +
		"proxy: {remoteurl: 'https://ghcr.io', username: top, password: secret, ttl: 168h}\n"
	w := newCluster(t)
	for name, c := range map[string]struct {
		file string
		env  []string
		want []string
	}{
		"file":      {s3, nil, []string{"ENTREPOT_STORE=s3://images", "AWS_REGION=eu-central-1", "ENTREPOT_REDIRECT=never", "ENTREPOT_UPSTREAMS=ghcr.io"}},
		"overrides": {s3, []string{"REGISTRY_PROXY_REMOTEURL=https://quay.io", "REGISTRY_STORAGE_S3_BUCKET=b"}, []string{"ENTREPOT_STORE=s3://b", "AWS_REGION=eu-central-1", "ENTREPOT_REDIRECT=never", "ENTREPOT_UPSTREAMS=quay.io"}},
		"variables": {"", []string{"REGISTRY_PROXY_REMOTEURL=https://registry-1.docker.io", "REGISTRY_STORAGE=filesystem"}, []string{"ENTREPOT_STORE=file:/var/lib/registry", "ENTREPOT_UPSTREAMS=docker.io"}},
	} {
		t.Run(name, func(t *testing.T) {
			// Settings in force play no part, not even wrong ones.
			r := w.settings(t, append(c.env, "ENTREPOT_TAG_TTL=soon"), "--from-distribution", distributionFile(t, c.file))
			require.Zero(t, r.exit, r.stderr)
			assert.Empty(t, r.stderr)
			assert.Equal(t, c.want, variables(r.stdout))
			assert.NotContains(t, r.stdout, "top")
			assert.Equal(t, strings.Contains(c.file, "ttl"), strings.Contains(r.stdout, "# proxy.ttl: this is an age for entrepot gc"))

			var page settingsPage
			w.settingsJSON(t, variables(r.stdout), &page)
			assert.Empty(t, page.Unknown)
			for _, line := range variables(r.stdout) {
				variable, want, _ := strings.Cut(line, "=")
				if strings.HasPrefix(variable, "ENTREPOT_") {
					got, _ := page.value(t, variable)
					assert.Equal(t, want, got)
				}
			}
		})
	}
}

func TestConfigurationWithoutEquivalentIsRefused(t *testing.T) {
	t.Parallel()
	w := newCluster(t)
	for name, c := range map[string]struct {
		args   []string
		stderr string
	}{
		"no file":      {[]string{"/does/not/exist"}, "--from-distribution: open /does/not/exist: no such file or directory"},
		"no YAML":      {[]string{distributionFile(t, "a: [")}, "not valid YAML"},
		"two drivers":  {[]string{distributionFile(t, "storage: {filesystem: , s3: {bucket: b}}")}, "more than one driver"},
		"wrong level":  {[]string{distributionFile(t, "log: {level: loud}")}, `entrepot: ENTREPOT_LOG_LEVEL: "loud": `},
		"other format": {[]string{distributionFile(t, ""), "--output", "json"}, "--from-distribution prints a file of variables; leave out --output"},
	} {
		t.Run(name, func(t *testing.T) {
			r := w.settings(t, nil, append([]string{"--from-distribution"}, c.args...)...)
			assert.Equal(t, 2, r.exit)
			assert.Contains(t, r.stderr, c.stderr)
			assert.Equal(t, 1, strings.Count(r.stderr, "\n"), r.stderr)
		})
	}
}
