package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"reflect"
	"regexp"
	"slices"
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

const prefix = "ENTREPOT_"

// config is all that can be set, each by its variable or by the flag that is named after it. README.md has the table
// that is made of it.
type config struct {
	Listen        string            `env:"LISTEN" envDefault:":5000" doc:"Address that clients pull from. Where it is not set, PORT names the port."`
	AdminListen   string            `env:"ADMIN_LISTEN" doc:"Address for the operator: /metrics, /healthz, /readyz, /status, /debug/pprof/. Empty: only /healthz and /readyz, on the main port."`
	Store         storeURL          `env:"STORE" envDefault:"file:./data" doc:"Where everything is kept: file:PATH, s3://BUCKET[/PREFIX] (credentials, region and endpoint the AWS way), minio://HOST[:PORT]/BUCKET[/PREFIX] for any other S3-compatible store, minio+http:// for one without TLS (credentials in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or MINIO_ACCESS_KEY and MINIO_SECRET_KEY)."`
	StorePublic   endpointURL       `env:"STORE_PUBLIC_ENDPOINT" doc:"Endpoint that clients reach the bucket under, such as https://s3.example.com, where it differs from the one that entrepot uses. URLs are signed for it."`
	StoreStyle    bucketStyle       `env:"STORE_STYLE" envDefault:"auto" doc:"Where the bucket's name goes in a URL: path (https://HOST/BUCKET/KEY), host (https://BUCKET.HOST/KEY), or auto: host for AWS and other clouds that are known by their names, else path. Holds for entrepot's requests and for the URLs that clients get."`
	CDN           endpointURL       `env:"CDN_URL" doc:"URL of a CDN that has the bucket as its origin, such as https://d111111abcdef8.cloudfront.net. Clients are redirected there instead of to the bucket."`
	CDNKeyID      string            `env:"CDN_KEY_ID" doc:"ID of the public key in CloudFront that URLs of the CDN are signed for. Empty: they are not signed, for a CDN that lets in its clients by itself."`
	CDNKeyFile    string            `env:"CDN_KEY_FILE" doc:"File with the private key to it in PEM: RSA, or ECDSA with P-256."`
	CDNKey        secret            `env:"CDN_KEY" doc:"The private key itself, instead of a file, or the ARN of a secret in AWS Secrets Manager that is the key."`
	Upstreams     upstreamList      `env:"UPSTREAMS" envDefault:"docker.io,ghcr.io,quay.io,gcr.io,registry.k8s.io,public.ecr.aws,mcr.microsoft.com" doc:"What is mirrored: comma separated NAME[=ENDPOINT[|ENDPOINT...]]. Endpoints are URLs, tried in their order; without one it is https://NAME. The first upstream is the default."`
	DockerConfig  secret            `env:"DOCKER_CONFIG" doc:"Credentials for upstreams: the text of a Docker config.json, or the ARN of a secret in AWS Secrets Manager that is such a text. What it does not have is looked for where Docker keeps it (DOCKER_CONFIG)."`
	Redirect      handlers.Redirect `env:"REDIRECT" envDefault:"always" doc:"Who gets stored blobs by a redirect to the bucket: always, never, or a list of client networks (10.0.0.0/8,192.0.2.7); to others they are streamed. Without meaning for a file store, which streams."`
	StreamTo      handlers.Clients  `env:"STREAM_TO" doc:"Who is streamed to though ENTREPOT_REDIRECT has them redirected: a list of client networks, and of words in their User-Agent (10.7.0.0/16,kaniko)."`
	Miss          handlers.Miss     `env:"MISS" envDefault:"stream" doc:"How those who are redirected get a blob that is not stored yet: stream sends its bytes as they land; redirect keeps them waiting for up to 18 s, and then sends them to the bucket or to the same URL to wait on, for platforms that limit answers in size or time (docs/serverless.md)."`
	TagTTL        time.Duration     `env:"TAG_TTL" envDefault:"1m" doc:"How long a tag is served without asking the upstream whether it has moved."`
	TagTTLRules   ttlRules          `env:"TAG_TTL_RULES" doc:"ENTREPOT_TAG_TTL for some tags: comma separated PATTERN=TTL, the first that matches counts. A pattern is that of REGISTRY/REPOSITORY:TAG, * stands for any characters; a TTL may be forever. For example docker.io/library/*:*=1h,*:v*.*.*=forever,*:latest=10s."`
	Budget        time.Duration     `env:"UPSTREAM_BUDGET" envDefault:"3s" doc:"How long an upstream may take to say whether a tag has moved. Past it the client gets what the tag was, and the answer is for the next one. With several endpoints, how long each has before the next is tried."`
	StaleMax      time.Duration     `env:"STALE_MAX" envDefault:"0s" doc:"How long after its last revalidation a tag is served while its upstream fails. 0s: without limit."`
	KeepDeleted   time.Duration     `env:"KEEP_DELETED" envDefault:"30d" doc:"How long a tag is served that its upstream has deleted. 0s: as long as the upstream has it."`
	NegativeTTL   time.Duration     `env:"NEGATIVE_TTL" envDefault:"10s" doc:"How long it is remembered that an upstream has not, or does not give, what was asked for."`
	QuotaReserve  percentage        `env:"QUOTA_RESERVE" envDefault:"10%" doc:"Share of an upstream's pull quota that is kept for what is not cached: below it a tag that has moved is served as it was."`
	Revalidate    bool              `env:"CLIENT_REVALIDATE" envDefault:"false" doc:"Ask the upstream, however fresh the tag, when a client sends Cache-Control: no-cache."`
	PresenceTTL   time.Duration     `env:"PRESENCE_TTL" envDefault:"1m" doc:"How long a blob that was seen in the bucket is taken to be there; one that was removed behind entrepot's back is landed again within that time."`
	RecordUse     bool              `env:"RECORD_USE" envDefault:"true" doc:"Write down in the bucket which objects are used on which day: an empty object for each, a replica and a day."`
	ManifestCache byteSize          `env:"MANIFEST_CACHE" envDefault:"64MiB" doc:"Memory for manifests."`
	PresignExpiry time.Duration     `env:"PRESIGN_EXPIRY" envDefault:"1h" doc:"How long the URL of a redirect is good for; at most 168h."`
	PresignLeft   time.Duration     `env:"PRESIGN_MIN_LEFT" envDefault:"10m" doc:"How long a URL is good for at least when a client gets it. For the rest of ENTREPOT_PRESIGN_EXPIRY all clients of all replicas get the same URL for the same blob."`
	SegmentSize   byteSize          `env:"SEGMENT_SIZE" envDefault:"8MiB" doc:"Size of the segments that a large blob is landed in; at least 5MiB."`
	FillMemory    byteSize          `env:"FILL_MEMORY" envDefault:"256MiB" doc:"Memory that the segments of all blobs on their way may hold together."`
	Connections   int               `env:"FILL_CONNECTIONS" envDefault:"4" doc:"Connections that a large blob is fetched over."`
	Downloads     int               `env:"UPSTREAM_CONNECTIONS" envDefault:"32" doc:"Downloads of parts of blobs that one upstream serves at a time; more wait their turn."`
	Stall         time.Duration     `env:"UPSTREAM_STALL" envDefault:"30s" doc:"A download that brings no byte for so long, or fewer than ENTREPOT_UPSTREAM_MIN_SPEED, is replaced at the byte where it stopped."`
	MinSpeed      byteSize          `env:"UPSTREAM_MIN_SPEED" envDefault:"8KiB" doc:"Bytes a second below which a download counts as stalled."`
	Trusted       networks          `env:"TRUSTED_PROXIES" doc:"Networks of load balancers whose X-Forwarded-For is believed, for ENTREPOT_REDIRECT and the access log."`
	LambdaStream  bool              `env:"LAMBDA_STREAMING" envDefault:"false" doc:"On AWS Lambda: the Function URL has the invoke mode RESPONSE_STREAM and not BUFFERED, which the function cannot see."`
	DrainTimeout  time.Duration     `env:"DRAIN_TIMEOUT" envDefault:"10m" doc:"How long running answers may take to end after SIGTERM. On Cloud Run, Knative and Azure Container Apps, and where PORT is set, 5s if it is not set: the first of them leaves 10 s in all."`
	LogLevel      slog.Level        `env:"LOG_LEVEL" envDefault:"info" doc:"debug, info, warn or error."`
	LogFormat     logFormat         `env:"LOG_FORMAT" envDefault:"text" doc:"text or json."`
	AccessLog     bool              `env:"ACCESS_LOG" envDefault:"true" doc:"Log every request."`

	platform platform
}

// setting is one field of config, as a person sets it.
type setting struct {
	Variable, Flag, Default, Doc string
}

func settings() []setting {
	var all []setting
	for field := range reflect.TypeFor[config]().Fields() {
		key, ok := field.Tag.Lookup("env")
		if !ok {
			continue
		}
		all = append(all, setting{
			Variable: prefix + key,
			Flag:     strings.ToLower(strings.ReplaceAll(key, "_", "-")),
			Default:  field.Tag.Get("envDefault"),
			Doc:      field.Tag.Get("doc"),
		})
	}
	return all
}

func addFlags(flags *pflag.FlagSet) {
	for _, s := range settings() {
		flags.String(s.Flag, s.Default, fmt.Sprintf("%s [%s]", s.Doc, s.Variable))
	}
}

// loadConfig reads the variables, and over them the flags that were given. Its error names what is wrong by the
// variable, on one line.
func loadConfig(environ []string, flags *pflag.FlagSet) (config, error) {
	environment := env.ToMap(environ)
	for _, s := range settings() {
		if f := flags.Lookup(s.Flag); f != nil && f.Changed {
			environment[s.Variable] = f.Value.String()
		}
		if strings.TrimSpace(environment[s.Variable]) == "" {
			delete(environment, s.Variable) // set but empty is as unset
		}
	}
	platform, err := askPlatform(environment)
	if err != nil {
		return config{}, err
	}
	c := config{platform: platform}
	err = env.ParseWithOptions(&c, env.Options{
		Environment: environment,
		Prefix:      prefix,
		FuncMap: map[reflect.Type]env.ParserFunc{
			reflect.TypeFor[time.Duration](): parseDuration,
			reflect.TypeFor[bool]():          parseBool,
			reflect.TypeFor[int]():           parseInt,
		},
	})
	if err != nil {
		return config{}, describe(err, environment)
	}
	return c, c.check()
}

// kubernetesVariable matches what Kubernetes puts into the environment for a Service that is called entrepot.
var kubernetesVariable = regexp.MustCompile(`_SERVICE_(HOST|PORT)|^ENTREPOT(_.*)?_PORT(_|$)`)

// unknownVariables finds those that look like settings and are none: misspelt, and so without effect.
func unknownVariables(environ []string) []string {
	known := map[string]bool{}
	for _, s := range settings() {
		known[s.Variable] = true
	}
	var unknown []string
	for name := range env.ToMap(environ) {
		if strings.HasPrefix(name, prefix) && !known[name] && !kubernetesVariable.MatchString(name) {
			unknown = append(unknown, name)
		}
	}
	slices.Sort(unknown)
	return unknown
}

// describe says the first thing that is wrong, by its variable.
func describe(err error, environment map[string]string) error {
	parse := new(env.ParseError)
	if !errors.As(err, parse) {
		return usageError{err}
	}
	field, _ := reflect.TypeFor[config]().FieldByName(parse.Name)
	variable := prefix + field.Tag.Get("env")
	return wrong(variable, "%q: %w", environment[variable], parse.Err)
}

// wrong is a mistake in a setting.
func wrong(variable, format string, args ...any) error {
	return usageError{fmt.Errorf(variable+": "+format, args...)}
}

func (c config) check() error {
	switch {
	case c.TagTTL < 0:
		return wrong("ENTREPOT_TAG_TTL", "%s is negative; write 0s to ask the upstream every time", c.TagTTL)
	case c.Budget <= 0 || c.Budget > 10*time.Second:
		return wrong("ENTREPOT_UPSTREAM_BUDGET", "%s is not between 1ms and 10s; write for example 3s", c.Budget)
	case c.StaleMax < 0:
		return wrong("ENTREPOT_STALE_MAX", "%s is negative; write 0s for no limit", c.StaleMax)
	case c.KeepDeleted < 0:
		return wrong("ENTREPOT_KEEP_DELETED", "%s is negative; write 0s to serve no tag that its upstream has deleted", c.KeepDeleted)
	case c.NegativeTTL < 0:
		return wrong("ENTREPOT_NEGATIVE_TTL", "%s is negative; write 0s to ask the upstream every time", c.NegativeTTL)
	case c.PresenceTTL < time.Second:
		return wrong("ENTREPOT_PRESENCE_TTL", "%s is too short; write 1s or more", c.PresenceTTL)
	case c.ManifestCache < 1<<20:
		return wrong("ENTREPOT_MANIFEST_CACHE", "%s is too little; write 1MiB or more", c.ManifestCache)
	case c.PresignExpiry < time.Second || c.PresignExpiry > 7*24*time.Hour:
		return wrong("ENTREPOT_PRESIGN_EXPIRY", "%s is not between 1s and 168h, as S3 wants it", c.PresignExpiry)
	case c.PresignLeft < 0:
		return wrong("ENTREPOT_PRESIGN_MIN_LEFT", "%s is negative; write for example 10m", c.PresignLeft)
	case c.PresignLeft > c.PresignExpiry-time.Second:
		return wrong("ENTREPOT_PRESIGN_MIN_LEFT", "%s is not less than the %s that URLs are good for (ENTREPOT_PRESIGN_EXPIRY)", c.PresignLeft, c.PresignExpiry)
	case c.DrainTimeout <= 0:
		return wrong("ENTREPOT_DRAIN_TIMEOUT", "%s is too short; write for example 30s", c.DrainTimeout)
	case c.SegmentSize < backend.MinPart || c.SegmentSize > 5<<30:
		return wrong("ENTREPOT_SEGMENT_SIZE", "%s is not between 5MiB and 5GiB, as S3 wants parts to be", c.SegmentSize)
	case c.Connections < 1:
		return wrong("ENTREPOT_FILL_CONNECTIONS", "%d is too few; write 1 or more", c.Connections)
	case c.Downloads < 1:
		return wrong("ENTREPOT_UPSTREAM_CONNECTIONS", "%d is too few; write 1 or more", c.Downloads)
	case c.Stall <= 0:
		return wrong("ENTREPOT_UPSTREAM_STALL", "%s is too short; write for example 30s", c.Stall)
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

// checkMiss refuses to redirect where nobody can be redirected.
func (c config) checkMiss() error {
	switch {
	case c.Miss != handlers.MissRedirect:
		return nil
	case c.Store.scheme == "file":
		return wrong("ENTREPOT_MISS", "redirect sends clients to a bucket, and %s is a folder; set ENTREPOT_STORE, or write stream", c.Store)
	case c.Redirect.String() == "never":
		return wrong("ENTREPOT_MISS", "redirect sends clients to the bucket, and ENTREPOT_REDIRECT is never; write stream, or let ENTREPOT_REDIRECT name those who may go there")
	}
	return nil
}

func parseDuration(s string) (any, error) { return duration(s) }

// duration reads what time.ParseDuration takes, and whole days.
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

// byteSize is a number of bytes, written with a unit.
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

// percentage is a share of something, from 0 to 1, written as 10%.
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

// endpointURL is scheme, host and perhaps port: the empty one is none.
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

func parseEndpoint(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, fmt.Errorf("%q is not a URL; write for example https://registry.example.com or http://10.0.0.5:5000", s)
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("%q has more than scheme, host and path; credentials are read from Docker's config.json", u.Redacted())
	}
	return u, nil
}
