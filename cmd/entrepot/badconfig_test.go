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
		names     string // the variable, in the message
	}{
		"a store of an unknown kind":          {env: []string{"ENTREPOT_STORE=ftp://host/bucket"}, names: "ENTREPOT_STORE"},
		"s3 without a bucket":                 {env: []string{"ENTREPOT_STORE=s3://"}, names: "ENTREPOT_STORE"},
		"s3 without a bucket before a path":   {env: []string{"ENTREPOT_STORE=s3:///prefix"}, names: "ENTREPOT_STORE"},
		"minio without a bucket":              {env: []string{"ENTREPOT_STORE=minio://127.0.0.1:9"}, names: "ENTREPOT_STORE"},
		"minio with a path but no bucket":     {env: []string{"ENTREPOT_STORE=minio+http://127.0.0.1:9/"}, names: "ENTREPOT_STORE"},
		"a folder that cannot be made":        {env: []string{"ENTREPOT_STORE=file:" + filepath.Join(file, "folder")}, names: "ENTREPOT_STORE"},
		"a folder that is a file":             {env: []string{"ENTREPOT_STORE=file:" + file}, names: "ENTREPOT_STORE"},
		"a network that is none":              {env: []string{"ENTREPOT_STREAM_TO=10.0.0.0/33"}, names: "ENTREPOT_STREAM_TO"},
		"a duration that is none":             {env: []string{"ENTREPOT_TAG_TTL=soon"}, names: "ENTREPOT_TAG_TTL"},
		"a duration that is none, in a flag":  {args: []string{"--tag-ttl=soon"}, names: "ENTREPOT_TAG_TTL"},
		"a duration without a unit":           {env: []string{"ENTREPOT_TAG_TTL=60"}, names: "ENTREPOT_TAG_TTL"},
		"a TTL rule without a tag":            {env: []string{"ENTREPOT_TAG_TTL_RULES=docker.io/library/alpine=1h"}, names: "ENTREPOT_TAG_TTL_RULES"},
		"a TTL rule with a TTL that is none":  {env: []string{"ENTREPOT_TAG_TTL_RULES=*:latest=often"}, names: "ENTREPOT_TAG_TTL_RULES"},
		"a budget that is no time":            {env: []string{"ENTREPOT_UPSTREAM_BUDGET=0s"}, names: "ENTREPOT_UPSTREAM_BUDGET"},
		"a negative time":                     {env: []string{"ENTREPOT_KEEP_DELETED=-1h"}, names: "ENTREPOT_KEEP_DELETED"},
		"a share that is no percentage":       {env: []string{"ENTREPOT_QUOTA_RESERVE=0.1"}, names: "ENTREPOT_QUOTA_RESERVE"},
		"no memory for manifests":             {env: []string{"ENTREPOT_MANIFEST_CACHE=0"}, names: "ENTREPOT_MANIFEST_CACHE"},
		"two upstreams of one name":           {env: []string{"ENTREPOT_UPSTREAMS=a=http://127.0.0.1:9,a=http://127.0.0.1:10"}, names: "ENTREPOT_UPSTREAMS"},
		"one upstream under two names":        {env: []string{"ENTREPOT_UPSTREAMS=docker.io,registry-1.docker.io"}, names: "ENTREPOT_UPSTREAMS"},
		"an upstream that is no URL":          {env: []string{"ENTREPOT_UPSTREAMS=a=somewhere"}, names: "ENTREPOT_UPSTREAMS"},
		"an endpoint with /v2":                {env: []string{"ENTREPOT_UPSTREAMS=a=https://127.0.0.1:9/v2/"}, names: "write https://127.0.0.1:9\n"},
		"an endpoint with a path before /v2":  {env: []string{"ENTREPOT_UPSTREAMS=a=https://127.0.0.1:9/api/docker/v2"}, names: "write https://127.0.0.1:9/api/docker\n"},
		"an endpoint with a path behind /v2":  {env: []string{"ENTREPOT_UPSTREAMS=a=https://127.0.0.1:9/v2/hub/proxy"}, names: "write https://127.0.0.1:9, and pull hub/proxy/NAME"},
		"no less left than URLs are good for": {env: []string{"ENTREPOT_PRESIGN_EXPIRY=10m"}, names: "ENTREPOT_PRESIGN_MIN_LEFT"},
		"a style that is none":                {env: []string{"ENTREPOT_STORE_STYLE=dns"}, names: "ENTREPOT_STORE_STYLE"},
		"a CDN before a folder":               {env: []string{"ENTREPOT_CDN_URL=https://cdn.example.com"}, names: "ENTREPOT_CDN_URL"},
		"a CDN and a public endpoint":         {env: cdn("ENTREPOT_STORE_PUBLIC_ENDPOINT=https://s3.example.com"), names: "ENTREPOT_CDN_URL"},
		"a CDN's key without its ID":          {env: cdn("ENTREPOT_CDN_KEY_FILE=" + noKey), names: "ENTREPOT_CDN_KEY_ID"},
		"a CDN's key ID without the key":      {env: cdn("ENTREPOT_CDN_KEY_ID=K1"), names: "ENTREPOT_CDN_KEY_ID"},
		"a CDN's key twice":                   {env: cdn("ENTREPOT_CDN_KEY_ID=K1", "ENTREPOT_CDN_KEY=top secret", "ENTREPOT_CDN_KEY_FILE="+noKey), names: "ENTREPOT_CDN_KEY"},
		"a CDN's key without a CDN":           {env: []string{"ENTREPOT_CDN_KEY=top secret"}, names: "ENTREPOT_CDN_KEY"},
		"a CDN's key that is none":            {env: cdn("ENTREPOT_CDN_KEY_ID=K1", "ENTREPOT_CDN_KEY=top secret"), names: "ENTREPOT_CDN_KEY"},
		"a CDN's key file that has none":      {env: cdn("ENTREPOT_CDN_KEY_ID=K1", "ENTREPOT_CDN_KEY_FILE="+noKey), names: "ENTREPOT_CDN_KEY_FILE"},
		"a CDN's key file that is not there":  {env: cdn("ENTREPOT_CDN_KEY_ID=K1", "ENTREPOT_CDN_KEY_FILE="+noKey+".gone"), names: "ENTREPOT_CDN_KEY_FILE"},
		"credentials that are none":           {env: []string{"ENTREPOT_DOCKER_CONFIG=top secret"}, names: "ENTREPOT_DOCKER_CONFIG"},
		"credentials without any":             {env: []string{"ENTREPOT_DOCKER_CONFIG={}"}, names: "ENTREPOT_DOCKER_CONFIG"},
		"credentials in another service":      {env: []string{"ENTREPOT_DOCKER_CONFIG=arn:aws:s3:::bucket"}, names: "ENTREPOT_DOCKER_CONFIG"},
		"a port that is taken":                {env: []string{"ENTREPOT_LISTEN=" + taken.Addr().String()}, names: "ENTREPOT_LISTEN"},
		"the platform's port that is taken":   {env: []string{"ENTREPOT_LISTEN=", "PORT=" + takenPort}, names: "PORT"},
		"the platform's port that is none":    {env: []string{"ENTREPOT_LISTEN=", "PORT=http"}, names: "PORT"},
		"a miss that is none":                 {env: []string{"ENTREPOT_MISS=wait"}, names: "ENTREPOT_MISS"},
		"a miss redirected to a folder":       {env: []string{"ENTREPOT_MISS=redirect"}, names: "ENTREPOT_MISS"},
		"a miss redirected for nobody":        {env: []string{"ENTREPOT_MISS=redirect", "ENTREPOT_STORE=s3://bucket", "ENTREPOT_REDIRECT=never"}, names: "ENTREPOT_MISS"},
		"a port that is none":                 {env: []string{"ENTREPOT_LISTEN=127.0.0.1:http-of-mine"}, names: "ENTREPOT_LISTEN"},
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
				t.Fatalf("the program runs (%v):\n%s%s", err, stdout.String(), stderr.String())
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
