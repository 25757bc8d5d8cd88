package main_test

import (
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/entrepot-io/entrepot/infra/testenv"
)

func TestWrongSettingEndsProgramWithOneLine(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { taken.Close() })
	_, takenPort, err := net.SplitHostPort(taken.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	// Even root cannot create a folder below a file.
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	noKey := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(noKey, []byte("top secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	// cdn returns the settings of a CDN with a bucket, plus more.
	cdn := func(more ...string) []string {
		return append(more, "ENTREPOT_STORE=s3://bucket", "ENTREPOT_CDN_URL=https://cdn.example.com")
	}
	entrepot := testenv.Program(t)
	for name, test := range map[string]struct {
		env, args []string
		names     string // text that the message must contain
	}{
		"unknown kind of store":              {env: []string{"ENTREPOT_STORE=ftp://host/bucket"}, names: "ENTREPOT_STORE"},
		"s3 without bucket":                  {env: []string{"ENTREPOT_STORE=s3://"}, names: "ENTREPOT_STORE"},
		"s3 with prefix but no bucket":       {env: []string{"ENTREPOT_STORE=s3:///prefix"}, names: "ENTREPOT_STORE"},
		"minio without bucket":               {env: []string{"ENTREPOT_STORE=minio://127.0.0.1:9"}, names: "ENTREPOT_STORE"},
		"minio with empty bucket name":       {env: []string{"ENTREPOT_STORE=minio+http://127.0.0.1:9/"}, names: "ENTREPOT_STORE"},
		"folder below a file":                {env: []string{"ENTREPOT_STORE=file:" + filepath.Join(file, "folder")}, names: "ENTREPOT_STORE"},
		"folder is a file":                   {env: []string{"ENTREPOT_STORE=file:" + file}, names: "ENTREPOT_STORE"},
		"malformed network":                  {env: []string{"ENTREPOT_STREAM_TO=10.0.0.0/33"}, names: "ENTREPOT_STREAM_TO"},
		"malformed duration":                 {env: []string{"ENTREPOT_TAG_TTL=soon"}, names: "ENTREPOT_TAG_TTL"},
		"malformed duration in a flag":       {args: []string{"--tag-ttl=soon"}, names: "ENTREPOT_TAG_TTL"},
		"duration without unit":              {env: []string{"ENTREPOT_TAG_TTL=60"}, names: "ENTREPOT_TAG_TTL"},
		"TTL rule without tag":               {env: []string{"ENTREPOT_TAG_TTL_RULES=docker.io/library/alpine=1h"}, names: "ENTREPOT_TAG_TTL_RULES"},
		"TTL rule with malformed TTL":        {env: []string{"ENTREPOT_TAG_TTL_RULES=*:latest=often"}, names: "ENTREPOT_TAG_TTL_RULES"},
		"budget of zero":                     {env: []string{"ENTREPOT_UPSTREAM_BUDGET=0s"}, names: "ENTREPOT_UPSTREAM_BUDGET"},
		"negative duration":                  {env: []string{"ENTREPOT_KEEP_DELETED=-1h"}, names: "ENTREPOT_KEEP_DELETED"},
		"share without percent sign":         {env: []string{"ENTREPOT_QUOTA_RESERVE=0.1"}, names: "ENTREPOT_QUOTA_RESERVE"},
		"no memory for manifests":            {env: []string{"ENTREPOT_MANIFEST_CACHE=0"}, names: "ENTREPOT_MANIFEST_CACHE"},
		"two upstreams with one name":        {env: []string{"ENTREPOT_UPSTREAMS=a=http://127.0.0.1:9,a=http://127.0.0.1:10"}, names: "ENTREPOT_UPSTREAMS"},
		"one upstream with two names":        {env: []string{"ENTREPOT_UPSTREAMS=docker.io,registry-1.docker.io"}, names: "ENTREPOT_UPSTREAMS"},
		"upstream without URL":               {env: []string{"ENTREPOT_UPSTREAMS=a=somewhere"}, names: "ENTREPOT_UPSTREAMS"},
		"endpoint ends in /v2":               {env: []string{"ENTREPOT_UPSTREAMS=a=https://127.0.0.1:9/v2/"}, names: "write https://127.0.0.1:9\n"},
		"endpoint with path before /v2":      {env: []string{"ENTREPOT_UPSTREAMS=a=https://127.0.0.1:9/api/docker/v2"}, names: "write https://127.0.0.1:9/api/docker\n"},
		"endpoint with path after /v2":       {env: []string{"ENTREPOT_UPSTREAMS=a=https://127.0.0.1:9/v2/hub/proxy"}, names: "write https://127.0.0.1:9, and pull hub/proxy/NAME"},
		"minimum left above URL expiry":      {env: []string{"ENTREPOT_PRESIGN_EXPIRY=10m"}, names: "ENTREPOT_PRESIGN_MIN_LEFT"},
		"unknown bucket style":               {env: []string{"ENTREPOT_STORE_STYLE=dns"}, names: "ENTREPOT_STORE_STYLE"},
		"CDN for a folder":                   {env: []string{"ENTREPOT_CDN_URL=https://cdn.example.com"}, names: "ENTREPOT_CDN_URL"},
		"CDN and public endpoint":            {env: cdn("ENTREPOT_STORE_PUBLIC_ENDPOINT=https://s3.example.com"), names: "ENTREPOT_CDN_URL"},
		"CDN key without ID":                 {env: cdn("ENTREPOT_CDN_KEY_FILE=" + noKey), names: "ENTREPOT_CDN_KEY_ID"},
		"CDN key ID without key":             {env: cdn("ENTREPOT_CDN_KEY_ID=K1"), names: "ENTREPOT_CDN_KEY_ID"},
		"CDN key and CDN key file":           {env: cdn("ENTREPOT_CDN_KEY_ID=K1", "ENTREPOT_CDN_KEY=top secret", "ENTREPOT_CDN_KEY_FILE="+noKey), names: "ENTREPOT_CDN_KEY"},
		"CDN key without CDN":                {env: []string{"ENTREPOT_CDN_KEY=top secret"}, names: "ENTREPOT_CDN_KEY"},
		"malformed CDN key":                  {env: cdn("ENTREPOT_CDN_KEY_ID=K1", "ENTREPOT_CDN_KEY=top secret"), names: "ENTREPOT_CDN_KEY"},
		"CDN key file without key":           {env: cdn("ENTREPOT_CDN_KEY_ID=K1", "ENTREPOT_CDN_KEY_FILE="+noKey), names: "ENTREPOT_CDN_KEY_FILE"},
		"missing CDN key file":               {env: cdn("ENTREPOT_CDN_KEY_ID=K1", "ENTREPOT_CDN_KEY_FILE="+noKey+".gone"), names: "ENTREPOT_CDN_KEY_FILE"},
		"malformed credentials":              {env: []string{"ENTREPOT_DOCKER_CONFIG=top secret"}, names: "ENTREPOT_DOCKER_CONFIG"},
		"no credentials in config.json":      {env: []string{"ENTREPOT_DOCKER_CONFIG={}"}, names: "ENTREPOT_DOCKER_CONFIG"},
		"credentials in another AWS service": {env: []string{"ENTREPOT_DOCKER_CONFIG=arn:aws:s3:::bucket"}, names: "ENTREPOT_DOCKER_CONFIG"},
		"port in use":                        {env: []string{"ENTREPOT_LISTEN=" + taken.Addr().String()}, names: "ENTREPOT_LISTEN"},
		"platform's port in use":             {env: []string{"ENTREPOT_LISTEN=", "PORT=" + takenPort}, names: "PORT"},
		"malformed platform port":            {env: []string{"ENTREPOT_LISTEN=", "PORT=http"}, names: "PORT"},
		"unknown miss mode":                  {env: []string{"ENTREPOT_MISS=wait"}, names: "ENTREPOT_MISS"},
		"miss redirect with a folder":        {env: []string{"ENTREPOT_MISS=redirect"}, names: "ENTREPOT_MISS"},
		"miss redirect without redirects":    {env: []string{"ENTREPOT_MISS=redirect", "ENTREPOT_STORE=s3://bucket", "ENTREPOT_REDIRECT=never"}, names: "ENTREPOT_MISS"},
		"malformed port":                     {env: []string{"ENTREPOT_LISTEN=127.0.0.1:http-of-mine"}, names: "ENTREPOT_LISTEN"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			cmd := exec.CommandContext(ctx, entrepot, append([]string{"serve"}, test.args...)...)
			// The last value of a variable wins.
			cmd.Env = append([]string{
				"HOME=" + t.TempDir(), "AWS_REGION=eu-central-1", "AWS_ACCESS_KEY_ID=key", "AWS_SECRET_ACCESS_KEY=secret",
				"ENTREPOT_STORE=file:" + t.TempDir(), "ENTREPOT_LISTEN=127.0.0.1:0", "ENTREPOT_UPSTREAMS=corp=http://127.0.0.1:9",
			}, test.env...)
			var stdout, stderr bytes.Buffer
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			if err := cmd.Run(); ctx.Err() != nil {
				t.Fatalf("program still runs (%v):\n%s%s", err, stdout.String(), stderr.String())
			}
			if code := cmd.ProcessState.ExitCode(); code != 2 {
				t.Errorf("exit code %d, want 2", code)
			}
			said := stderr.String()
			if strings.Count(said, "\n") != 1 || !strings.HasSuffix(said, "\n") || !strings.Contains(said, test.names) {
				t.Errorf("standard error has %q, want one line that names %s", said, test.names)
			}
			if strings.Contains(said, "top secret") {
				t.Errorf("standard error has a key: %q", said)
			}
			if stdout.Len() > 0 {
				t.Errorf("standard output has %q, want nothing", stdout.String())
			}
			t.Logf("%s", said)
		})
	}
}
