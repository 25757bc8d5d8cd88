package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/caarlos0/env/v11"
	"github.com/docker/go-units"
	"github.com/spf13/pflag"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/handlers"
	"github.com/entrepot-io/entrepot/mirror"
)

// prefix starts the name of every setting's environment variable.
const prefix = "ENTREPOT_"

// config holds all settings. Each is set by an environment variable or by the flag with the same name. docs/configuration.md
// is generated from the struct tags; group is the heading of a field and of those that follow.
type config struct {
	Listen          string        `group:"Ports and shutdown" env:"LISTEN" envDefault:":5000" doc:"Address on which clients pull. If unset, PORT sets the port."`
	AdminListen     string        `env:"ADMIN_LISTEN" doc:"Address for the operator: /metrics, /healthz, /readyz, /status, /debug/pprof/. If empty, only /healthz and /readyz are served, on the main port."`
	TrustedProxies  networks      `env:"TRUSTED_PROXIES" doc:"Networks of load balancers whose X-Forwarded-For is trusted, for ENTREPOT_REDIRECT and the access log."`
	DrainTimeout    time.Duration `env:"DRAIN_TIMEOUT" envDefault:"10m" doc:"How long responses may continue after SIGTERM. The default is 5s on Cloud Run, Knative and Azure Container Apps and if PORT is set: Cloud Run allows 10 s in total."`
	LambdaStreaming bool          `env:"LAMBDA_STREAMING" envDefault:"false" doc:"On AWS Lambda: set it if the Function URL's invoke mode is RESPONSE_STREAM, which the function cannot detect, and not BUFFERED."`

	Store               storeURL    `group:"Object store" env:"STORE" envDefault:"file:./data" doc:"Where all state is stored: file:PATH for a folder, s3://BUCKET[/PREFIX] (credentials, region and endpoint from the AWS configuration), minio://HOST[:PORT]/BUCKET[/PREFIX] for any other S3-compatible store, minio+http:// for one without TLS (credentials from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or MINIO_ACCESS_KEY and MINIO_SECRET_KEY)."`
	StorePublicEndpoint endpointURL `env:"STORE_PUBLIC_ENDPOINT" doc:"Endpoint at which clients reach the bucket, such as https://s3.example.com, if it differs from the one that entrepot uses. URLs are signed for it."`
	StoreStyle          bucketStyle `env:"STORE_STYLE" envDefault:"auto" doc:"Position of the bucket's name in URLs: path (https://HOST/BUCKET/KEY), host (https://BUCKET.HOST/KEY), or auto (host for AWS and other clouds recognized by their host names, otherwise path). Applies to entrepot's requests and to clients' URLs."`
	RecordUse           bool        `env:"RECORD_USE" envDefault:"true" doc:"Record in the bucket when objects were last used: an empty marker for each, which a replica writes at most once an hour, and at most once a second with a file store."`

	GCInterval autoDuration `group:"Garbage collection" env:"GC_INTERVAL" envDefault:"auto" doc:"How often one of the replicas removes what ENTREPOT_MAX_SIZE, ENTREPOT_MAX_AGE and ENTREPOT_GC_RULES do not keep (docs/garbage-collection.md). auto: 1h with a file store, never with a bucket. 0s: never."`
	MaxSize    autoSize     `env:"MAX_SIZE" envDefault:"auto" doc:"Size of the store; beyond it, the least recently used images are removed. auto: with a file store, 80 % of the space that was free or used by the cache when it was first served; no limit with a bucket. 0: no limit."`
	MaxAge     age          `env:"MAX_AGE" envDefault:"0s" doc:"Images that were not used for so long are removed, for example 30d. 0s: no limit."`
	GCRules    string       `env:"GC_RULES" doc:"File with limits for some images, as for entrepot gc --rules."`

	Upstreams           upstreamList  `group:"Upstreams" env:"UPSTREAMS" envDefault:"docker.io,ghcr.io,quay.io,gcr.io,registry.k8s.io,public.ecr.aws,mcr.microsoft.com" doc:"Registries to mirror: comma-separated NAME[=ENDPOINT[|ENDPOINT...]]. Endpoints are URLs, tried in order; the default is https://NAME. The first upstream is the default."`
	Offline             bool          `env:"OFFLINE" envDefault:"false" doc:"Send no requests to upstreams, for sites without access to them: cached tags are served however old they are, and what is not cached is an error."`
	DockerConfig        secret        `env:"DOCKER_CONFIG" doc:"Credentials for upstreams: the text of a Docker config.json, or the ARN of an AWS Secrets Manager secret that contains it. Credentials that are not in it are read from Docker's own config.json (DOCKER_CONFIG)."`
	UpstreamConnections int           `env:"UPSTREAM_CONNECTIONS" envDefault:"32" doc:"Concurrent blob downloads per upstream; further ones wait."`
	UpstreamStall       time.Duration `env:"UPSTREAM_STALL" envDefault:"30s" doc:"A download without a byte for this long, or slower than ENTREPOT_UPSTREAM_MIN_SPEED, is resumed on a new connection."`
	UpstreamMinSpeed    byteSize      `env:"UPSTREAM_MIN_SPEED" envDefault:"8KiB" doc:"Bytes per second below which a download counts as stalled."`
	QuotaReserve        percentage    `env:"QUOTA_RESERVE" envDefault:"10%" doc:"Share of an upstream's pull quota reserved for content that is not cached. Once only the reserve is left, tags that have moved are served stale."`

	TagTTL           time.Duration `group:"Freshness" env:"TAG_TTL" envDefault:"1m" doc:"How long a tag stays fresh, that is, served without revalidation."`
	TagTTLRules      ttlRules      `env:"TAG_TTL_RULES" doc:"ENTREPOT_TAG_TTL for some tags: comma-separated PATTERN=TTL; the first match applies. A pattern matches REGISTRY/REPOSITORY:TAG, * matches any characters, and a TTL may be forever. For example docker.io/library/*:*=1h,*:v*.*.*=forever,*:latest=10s."`
	UpstreamBudget   time.Duration `env:"UPSTREAM_BUDGET" envDefault:"3s" doc:"How long a client waits for a tag's revalidation. After that it gets the stale tag, and the next client gets the upstream's answer. With several endpoints, also how long each has before the next is tried."`
	StaleMax         time.Duration `env:"STALE_MAX" envDefault:"0s" doc:"How long after its last revalidation a tag is served stale while its upstream fails. 0s: no limit."`
	KeepDeleted      time.Duration `env:"KEEP_DELETED" envDefault:"30d" doc:"How long a tag is served after its upstream has deleted it. 0s: not at all."`
	NegativeTTL      time.Duration `env:"NEGATIVE_TTL" envDefault:"10s" doc:"How long an upstream's \"not found\" or \"denied\" is remembered."`
	ClientRevalidate bool          `env:"CLIENT_REVALIDATE" envDefault:"false" doc:"Revalidate even a fresh tag or list when a client sends Cache-Control: no-cache."`
	PresenceTTL      time.Duration `env:"PRESENCE_TTL" envDefault:"1m" doc:"How long entrepot relies on having seen a blob in the bucket. A blob deleted by someone else is fetched again after this time at the latest."`

	Redirect       handlers.Redirect `group:"Redirects" env:"REDIRECT" envDefault:"always" doc:"Clients that are redirected to the bucket for stored blobs: always, never, or a list of client networks (10.0.0.0/8,192.0.2.7). Other clients get the bytes from entrepot. No effect with a file store, which never redirects."`
	StreamTo       handlers.Clients  `env:"STREAM_TO" doc:"Clients that receive bytes even if ENTREPOT_REDIRECT would redirect them: a list of client networks and of words in the User-Agent (10.7.0.0/16,kaniko)."`
	Miss           handlers.Miss     `env:"MISS" envDefault:"stream" doc:"How redirected clients get a blob that is not stored yet: stream sends its bytes as they arrive; redirect makes the client wait up to 18 s, then redirects it to the bucket or back to the same URL, for platforms that limit the size or duration of responses (docs/serverless.md)."`
	PresignExpiry  time.Duration     `env:"PRESIGN_EXPIRY" envDefault:"1h" doc:"Lifetime of presigned URLs; at most 168h."`
	PresignMinLeft time.Duration     `env:"PRESIGN_MIN_LEFT" envDefault:"10m" doc:"Minimum remaining lifetime of a URL that a client gets. For the rest of ENTREPOT_PRESIGN_EXPIRY, all clients of all replicas get the same URL for the same blob."`
	CDNURL         endpointURL       `env:"CDN_URL" doc:"URL of a CDN whose origin is the bucket, such as https://d111111abcdef8.cloudfront.net. Clients are redirected to it instead of the bucket."`
	CDNKeyID       string            `env:"CDN_KEY_ID" doc:"CloudFront's ID of the public key that verifies signed CDN URLs. If empty, URLs are not signed; the CDN must then authorize clients itself."`
	CDNKeyFile     string            `env:"CDN_KEY_FILE" doc:"File with the private key that signs CDN URLs, in PEM: RSA, or ECDSA with P-256."`
	CDNKey         secret            `env:"CDN_KEY" doc:"Instead of a file, the private key itself or the ARN of an AWS Secrets Manager secret that contains it."`

	SegmentSize     byteSize `group:"Fills and memory" env:"SEGMENT_SIZE" envDefault:"8MiB" doc:"Size of the segments in which a large blob is stored during its fill; at least 5MiB."`
	FillMemory      byteSize `env:"FILL_MEMORY" envDefault:"256MiB" doc:"Memory for the segments of all fills together."`
	FillConnections int      `env:"FILL_CONNECTIONS" envDefault:"4" doc:"Parallel connections for a large blob."`
	ManifestCache   byteSize `env:"MANIFEST_CACHE" envDefault:"64MiB" doc:"Memory for cached manifests and lists. Those in transit have as much, and 32MiB more (docs/operations.md)."`

	LogLevel  slog.Level `group:"Logs" env:"LOG_LEVEL" envDefault:"info" doc:"debug, info, warn or error."`
	LogFormat logFormat  `env:"LOG_FORMAT" envDefault:"text" doc:"text or json."`
	AccessLog bool       `env:"ACCESS_LOG" envDefault:"true" doc:"Log every request."`

	platform platform
}

// loadConfig reads the environment variables and the flags; flags take precedence. An error is a single line that names
// the wrong setting by its variable.
func loadConfig(environ []string, flags *pflag.FlagSet) (config, error) {
	texts, err := settingTexts(environ, flags)
	if err != nil {
		return config{}, err
	}
	c := config{platform: texts.platform}
	err = env.ParseWithOptions(&c, env.Options{
		Environment: texts.environment,
		Prefix:      prefix,
		FuncMap: map[reflect.Type]env.ParserFunc{
			reflect.TypeFor[time.Duration](): parseDuration,
			reflect.TypeFor[bool]():          parseBool,
			reflect.TypeFor[int]():           parseInt,
		},
	})
	if err != nil {
		return config{}, describe(err, texts.environment)
	}
	return c, c.check()
}

// describe converts an error of the env package to one that names the variable and its value.
func describe(err error, environment map[string]string) error {
	parse := new(env.ParseError)
	if !errors.As(err, parse) {
		return usageError{err}
	}
	field, _ := reflect.TypeFor[config]().FieldByName(parse.Name)
	variable := prefix + field.Tag.Get("env")
	value := environment[variable]
	if strings.Contains(value, "@") {
		return wrong(variable, "is not valid, and not shown since it may contain credentials; put credentials into Docker's config.json or, for the store, into AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
	}
	return wrong(variable, "%q: %w", value, parse.Err)
}

// wrong returns a usage error about a setting.
func wrong(variable, format string, args ...any) error {
	return usageError{fmt.Errorf(variable+": "+format, args...)}
}

// check validates settings that depend on each other or have a limited range.
func (c config) check() error {
	switch {
	case strings.Contains(c.Store.host+c.Store.bucket, "@"):
		return wrong("ENTREPOT_STORE", "contains credentials; put them into AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
	case c.TagTTL < 0:
		return wrong("ENTREPOT_TAG_TTL", "%s is negative; write 0s to revalidate on every request", c.TagTTL)
	case c.UpstreamBudget <= 0 || c.UpstreamBudget > 10*time.Second:
		return wrong("ENTREPOT_UPSTREAM_BUDGET", "%s is not between 1ms and 10s; write for example 3s", c.UpstreamBudget)
	case c.StaleMax < 0:
		return wrong("ENTREPOT_STALE_MAX", "%s is negative; write 0s for no limit", c.StaleMax)
	case c.KeepDeleted < 0:
		return wrong("ENTREPOT_KEEP_DELETED", "%s is negative; write 0s to stop serving deleted tags at once", c.KeepDeleted)
	case c.NegativeTTL < 0:
		return wrong("ENTREPOT_NEGATIVE_TTL", "%s is negative; write 0s to send every request to the upstream", c.NegativeTTL)
	case c.PresenceTTL < time.Second:
		return wrong("ENTREPOT_PRESENCE_TTL", "%s is too short; write 1s or more", c.PresenceTTL)
	case c.ManifestCache < 1<<20:
		return wrong("ENTREPOT_MANIFEST_CACHE", "%s is too little; write 1MiB or more", c.ManifestCache)
	case c.PresignExpiry < time.Second || c.PresignExpiry > 7*24*time.Hour:
		return wrong("ENTREPOT_PRESIGN_EXPIRY", "%s is not between 1s and 168h, S3's limits", c.PresignExpiry)
	case c.PresignMinLeft < 0:
		return wrong("ENTREPOT_PRESIGN_MIN_LEFT", "%s is negative; write for example 10m", c.PresignMinLeft)
	case c.PresignMinLeft > c.PresignExpiry-time.Second:
		return wrong("ENTREPOT_PRESIGN_MIN_LEFT", "%s is not less than %s, the lifetime of URLs (ENTREPOT_PRESIGN_EXPIRY)", c.PresignMinLeft, c.PresignExpiry)
	case c.DrainTimeout <= 0:
		return wrong("ENTREPOT_DRAIN_TIMEOUT", "%s is too short; write for example 30s", c.DrainTimeout)
	case c.SegmentSize < backend.MinPart || c.SegmentSize > 5<<30:
		return wrong("ENTREPOT_SEGMENT_SIZE", "%s is not between 5MiB and 5GiB, S3's limits for parts", c.SegmentSize)
	case c.FillConnections < 1:
		return wrong("ENTREPOT_FILL_CONNECTIONS", "%d is too few; write 1 or more", c.FillConnections)
	case c.UpstreamConnections < 1:
		return wrong("ENTREPOT_UPSTREAM_CONNECTIONS", "%d is too few; write 1 or more", c.UpstreamConnections)
	case c.UpstreamStall <= 0:
		return wrong("ENTREPOT_UPSTREAM_STALL", "%s is too short; write for example 30s", c.UpstreamStall)
	case c.FillMemory < c.SegmentSize:
		return wrong("ENTREPOT_FILL_MEMORY", "%s does not hold one segment of %s (ENTREPOT_SEGMENT_SIZE)", c.FillMemory, c.SegmentSize)
	}
	if err := c.checkFunction(); err != nil {
		return err
	}
	if err := c.checkMiss(); err != nil {
		return err
	}
	return c.checkCDN()
}

// checkMiss rejects ENTREPOT_MISS=redirect if no client can be redirected.
func (c config) checkMiss() error {
	switch {
	case c.Miss != handlers.MissRedirect:
		return nil
	case c.Store.isFolder():
		return wrong("ENTREPOT_MISS", "redirect needs a bucket, but %s is a folder; write stream, or set ENTREPOT_STORE to a bucket", c.Store)
	case c.Redirect.String() == "never":
		return wrong("ENTREPOT_MISS", "redirect conflicts with ENTREPOT_REDIRECT=never; write stream, or list the clients to redirect in ENTREPOT_REDIRECT")
	}
	return nil
}

func parseDuration(s string) (any, error) { return duration(s) }

// duration parses a duration in the format of time.ParseDuration, or in whole days, such as 30d.
func duration(s string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		if n, err := strconv.ParseUint(days, 10, 16); err == nil {
			return time.Duration(n) * 24 * time.Hour, nil
		}
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		return 0, errors.New("not a duration; write for example 90s, 1h30m or 30d")
	}
	return d, nil
}

func parseBool(s string) (any, error) {
	switch s {
	case "true", "1":
		return true, nil
	case "false", "0":
		return false, nil
	}
	return nil, errors.New("write true or false")
}

func parseInt(s string) (any, error) {
	n, err := strconv.Atoi(s)
	if err != nil {
		return nil, errors.New("not a whole number")
	}
	return n, nil
}

// byteSize is a number of bytes, written with a unit such as 8MiB.
type byteSize int64

func (b *byteSize) UnmarshalText(text []byte) error {
	n, err := units.RAMInBytes(string(text))
	if err != nil || n < 0 {
		return errors.New("not a size; write for example 8MiB or 1GiB")
	}
	*b = byteSize(n)
	return nil
}

func (b byteSize) String() string {
	return units.CustomSize("%.4g%s", float64(b), 1024, []string{"B", "KiB", "MiB", "GiB", "TiB"})
}

// percentage is a fraction from 0 to 1, written as a percentage such as 10%.
type percentage float64

func (p *percentage) UnmarshalText(text []byte) error {
	number, ok := strings.CutSuffix(string(text), "%")
	n, err := strconv.ParseFloat(number, 64)
	if !ok || err != nil || !(n >= 0 && n <= 100) {
		return errors.New("not a percentage; write for example 10%")
	}
	*p = percentage(n / 100)
	return nil
}

type ttlRules struct{ mirror.TTLRules }

func (r *ttlRules) UnmarshalText(text []byte) (err error) {
	r.TTLRules, err = mirror.ParseTTLRules(string(text), duration)
	return err
}

type logFormat string

func (f *logFormat) UnmarshalText(text []byte) error {
	switch s := string(text); s {
	case "text", "json":
		*f = logFormat(s)
		return nil
	}
	return errors.New("write text or json")
}

type networks []netip.Prefix

func (n *networks) UnmarshalText(text []byte) error {
	list, err := handlers.ParseNetworks(string(text))
	if err != nil {
		return fmt.Errorf("%w; write for example 10.0.0.0/8,fd00::/8", err)
	}
	*n = list
	return nil
}

// endpointURL is an http or https URL. The zero value means not set.
type endpointURL struct{ *url.URL }

func (e *endpointURL) UnmarshalText(text []byte) error {
	u, err := parseEndpoint(string(text))
	if err != nil {
		return err
	}
	e.URL = u
	return nil
}

func (e endpointURL) String() string {
	if e.URL == nil {
		return ""
	}
	return e.URL.String()
}

// parseEndpoint parses an http or https URL without credentials, query and fragment.
func parseEndpoint(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, fmt.Errorf("%q is not a URL; write for example https://registry.example.com or http://10.0.0.5:5000", s)
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("%q has parts other than scheme, host and path; put credentials into Docker's config.json", u.Redacted())
	}
	return u, nil
}
