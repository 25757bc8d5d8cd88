package main

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/smithy-go/logging"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend"
)

// openPresigner opens the store of the settings. No other variable is set.
func openPresigner(t *testing.T, settings ...string) backend.Presigner {
	t.Helper()
	store, err := openWith(t, settings...)
	require.NoError(t, err)
	return store.(backend.Presigner)
}

func openWith(t *testing.T, settings ...string) (backend.Store, error) {
	t.Helper()
	for _, name := range []string{"AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_SESSION_TOKEN", "AWS_PROFILE"} {
		t.Setenv(name, "")
	}
	t.Setenv("AWS_CONFIG_FILE", "/dev/null")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
	t.Setenv("AWS_REGION", "eu-central-1")
	var own []string
	for _, s := range settings {
		if name, value, _ := strings.Cut(s, "="); strings.HasPrefix(s, "ENTREPOT_") {
			own = append(own, s)
		} else {
			t.Setenv(name, value)
		}
	}
	c, err := load(t, own)
	require.NoError(t, err)
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	return c.openStore(t.Context(), func(next http.RoundTripper) http.RoundTripper { return next }, log)
}

func TestStoreStyleSetsPositionOfBucketName(t *testing.T) {
	const s3, minio, aws = "ENTREPOT_STORE=s3://images/p", "ENTREPOT_STORE=minio://s3.example.com/images/p", "ENTREPOT_STORE=minio://s3.eu-central-1.amazonaws.com/images/p"
	for _, c := range []struct {
		settings []string
		want     string
	}{
		{[]string{s3}, "https://images.s3.eu-central-1.amazonaws.com/p/a?"},
		{[]string{s3, "ENTREPOT_STORE_STYLE=path"}, "https://s3.eu-central-1.amazonaws.com/images/p/a?"},
		{[]string{s3, "AWS_ENDPOINT_URL=https://s3.example.com"}, "https://s3.example.com/images/p/a?"},
		{[]string{s3, "AWS_ENDPOINT_URL=https://s3.example.com", "ENTREPOT_STORE_STYLE=host"}, "https://images.s3.example.com/p/a?"},
		{[]string{s3, "AWS_ENDPOINT_URL=http://10.0.0.5:9000", "ENTREPOT_STORE_PUBLIC_ENDPOINT=https://s3.example.com"}, "https://s3.example.com/images/p/a?"},
		{[]string{minio}, "https://s3.example.com/images/p/a?"},
		{[]string{minio, "ENTREPOT_STORE_STYLE=host"}, "https://images.s3.example.com/p/a?"},
		{[]string{minio, "ENTREPOT_STORE_STYLE=host", "ENTREPOT_STORE_PUBLIC_ENDPOINT=https://public.example.com"}, "https://images.public.example.com/p/a?"},
		{[]string{aws}, "https://images.s3.dualstack.eu-central-1.amazonaws.com/p/a?"},
		{[]string{aws, "ENTREPOT_STORE_STYLE=path"}, "https://s3.dualstack.eu-central-1.amazonaws.com/images/p/a?"},
	} {
		t.Run(strings.Join(c.settings, " "), func(t *testing.T) {
			p := openPresigner(t, append(c.settings, "AWS_ACCESS_KEY_ID=key", "AWS_SECRET_ACCESS_KEY=secret")...)
			signer, err := p.Signer(t.Context(), time.Now())
			require.NoError(t, err)
			u, _, err := signer.PresignGet("a", time.Now(), time.Hour)
			require.NoError(t, err)
			assert.True(t, strings.HasPrefix(u, c.want), "%s does not begin with %s", u, c.want)
		})
	}
}

// urlOf returns the presigned URL of an object in the store of the settings.
func urlOf(t *testing.T, settings ...string) string {
	t.Helper()
	signer, err := openPresigner(t, append(settings, "AWS_ACCESS_KEY_ID=key", "AWS_SECRET_ACCESS_KEY=secret")...).Signer(t.Context(), time.Now())
	require.NoError(t, err)
	u, _, err := signer.PresignGet("a", time.Now(), time.Hour)
	require.NoError(t, err)
	return u
}

func TestEndpointImpliesPathStyle(t *testing.T) {
	const endpoint = "http://10.0.0.5:9000"
	for name, c := range map[string]struct {
		profile string
		env     []string
		want    string
	}{
		"AWS_ENDPOINT_URL":               {env: []string{"AWS_ENDPOINT_URL=" + endpoint}, want: endpoint + "/images/a?"},
		"AWS_ENDPOINT_URL_S3":            {env: []string{"AWS_ENDPOINT_URL_S3=" + endpoint}, want: endpoint + "/images/a?"},
		"endpoint_url of a profile":      {profile: "[default]\nendpoint_url = " + endpoint, want: endpoint + "/images/a?"},
		"endpoint_url of services":       {profile: "[default]\nservices = own\n[services own]\ns3 =\n  endpoint_url = " + endpoint, want: endpoint + "/images/a?"},
		"S3's endpoint takes precedence": {env: []string{"AWS_ENDPOINT_URL=http://10.9.9.9", "AWS_ENDPOINT_URL_S3=" + endpoint}, want: endpoint + "/images/a?"},
		"endpoint of another service":    {profile: "[default]\nregion = eu-west-1\nservices = own\n[services own]\nsts =\n  endpoint_url = " + endpoint, want: "https://images.s3.eu-west-1.amazonaws.com/a?"},
		"endpoint ignored by a setting":  {env: []string{"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS=true", "AWS_REGION=eu-west-1", "AWS_ENDPOINT_URL_S3=" + endpoint}, want: "https://images.s3.eu-west-1.amazonaws.com/a?"},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "config")
			require.NoError(t, os.WriteFile(file, []byte(c.profile), 0o600))
			settings := append([]string{"ENTREPOT_STORE=s3://images", "AWS_REGION=", "AWS_CONFIG_FILE=" + file, "AWS_EC2_METADATA_DISABLED=true"}, c.env...)
			u := urlOf(t, settings...)
			assert.True(t, strings.HasPrefix(u, c.want), "%s does not begin with %s", u, c.want)
		})
	}
}

func TestRegionDefaultsToEC2Region(t *testing.T) {
	lookups := 0
	metadata := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/latest/api/token":
			w.Header().Set("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", "60")
			_, _ = w.Write([]byte("token"))
		case "/latest/dynamic/instance-identity/document":
			lookups++
			_, _ = w.Write([]byte(`{"region": "eu-west-3"}`))
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	defer metadata.Close()
	settings := []string{"ENTREPOT_STORE=s3://images", "AWS_REGION=", "AWS_EC2_METADATA_SERVICE_ENDPOINT=" + metadata.URL}
	u := urlOf(t, settings...)
	assert.True(t, strings.HasPrefix(u, "https://images.s3.eu-west-3.amazonaws.com/"), u)
	assert.Equal(t, 1, lookups)

	urlOf(t, append(settings, "AWS_REGION=eu-west-1")...)
	urlOf(t, append(settings, "AWS_ENDPOINT_URL=http://10.0.0.5:9000")...)
	assert.Equal(t, 1, lookups, "needless lookup")

	_, err := openWith(t, append(settings, "AWS_EC2_METADATA_DISABLED=true")...)
	require.ErrorContains(t, err, "AWS_REGION")
}

func TestPrivateAuthorityIsTrusted(t *testing.T) {
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)
	bundle := filepath.Join(t.TempDir(), "ca.pem")
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	require.NoError(t, os.WriteFile(bundle, certificate, 0o600))
	for name, settings := range map[string][]string{
		"minio": {"ENTREPOT_STORE=minio://" + server.Listener.Addr().String() + "/images"},
		"s3":    {"ENTREPOT_STORE=s3://images", "AWS_ENDPOINT_URL=" + server.URL},
	} {
		t.Run(name, func(t *testing.T) {
			stat := func(bundle string) error {
				store, err := openWith(t, append(settings, "AWS_ACCESS_KEY_ID=key", "AWS_SECRET_ACCESS_KEY=secret", "AWS_CA_BUNDLE="+bundle)...)
				if err == nil {
					_, err = store.Stat(t.Context(), "a")
				}
				return err
			}
			require.ErrorContains(t, stat(""), "x509")
			require.ErrorIs(t, stat(bundle), backend.ErrNotFound)
			require.Error(t, stat("/dev/null"))
			require.Error(t, stat(bundle+".missing"))
		})
	}
}

func TestAWSLibraryLogsToProgramLog(t *testing.T) {
	var text bytes.Buffer
	log := awsLogger(slog.New(slog.NewJSONHandler(&text, nil)))
	log.Logf(logging.Debug, "request %d", 1)
	log.Logf(logging.Warn, "response %d", 2)
	var line map[string]any
	require.NoError(t, json.Unmarshal(text.Bytes(), &line))
	assert.Equal(t, "WARN", line["level"])
	assert.Equal(t, "response 2", line["message"])
}

func TestCredentialsRenewedForMinimumURLLifetime(t *testing.T) {
	for _, store := range []string{"ENTREPOT_STORE=s3://images", "ENTREPOT_STORE=minio://s3.example.com/images"} {
		t.Run(store, func(t *testing.T) {
			life := 8 * time.Minute // an hour after the first request
			agent := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				_ = json.NewEncoder(w).Encode(map[string]any{
					"AccessKeyId": "key" + life.String(), "SecretAccessKey": "secret", "Token": "token", "Expiration": time.Now().Add(life).UTC(),
				})
				life = time.Hour
			}))
			defer agent.Close()
			p := openPresigner(t, store, "AWS_ACCESS_KEY_ID=", "AWS_SECRET_ACCESS_KEY=", "MINIO_ACCESS_KEY=", "MINIO_SECRET_KEY=",
				"AWS_CONTAINER_CREDENTIALS_FULL_URI="+agent.URL)
			ends := func(after time.Duration) time.Duration {
				signer, err := p.Signer(t.Context(), time.Now().Add(after))
				require.NoError(t, err)
				_, until, err := signer.PresignGet("a", time.Now(), 30*time.Minute)
				require.NoError(t, err)
				return time.Until(until)
			}
			assert.InDelta(t, 8*time.Minute, ends(0), float64(2*time.Second))
			assert.InDelta(t, 30*time.Minute, ends(2*time.Minute), float64(2*time.Second))
		})
	}
}
