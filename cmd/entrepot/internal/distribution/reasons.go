package distribution

import "strings"

// Reasons that several keys share.
const (
	noPushes  = "clients cannot push to entrepot"
	noDeletes = "clients cannot delete; entrepot gc and entrepot rm do"
	noTLS     = "entrepot serves HTTP; put a load balancer with TLS in front of it"
	noAuth    = "entrepot does not authenticate clients; put a proxy that does in front of it"
	inBucket  = "set it for the bucket itself"
	composing = "entrepot has no setting for how it composes blobs"
	newKeys   = "Google's S3 API has HMAC keys instead"
)

// reasons says why keys have no equivalent. A reason applies to all keys below, unless they have one of their own.
var reasons = map[string]string{
	"log.fields":       "entrepot adds no fields of yours to its log",
	"log.hooks":        "entrepot sends no mail; alert on its log or metrics",
	"log.reportcaller": "the events of the log are constant (docs/operations.md)",
	"log.accesslog":    "the access log is on unless ENTREPOT_ACCESS_LOG=false",

	"storage.azure":                 "entrepot has no store for Azure; set ENTREPOT_STORE to a folder or to a bucket with an S3 API",
	"storage.inmemory":              "entrepot keeps nothing in memory only; set ENTREPOT_STORE to a folder, for example on a RAM disk",
	"storage.filesystem.maxthreads": "entrepot does not limit its threads",
	"storage.cache":                 "entrepot needs no cache of descriptors; ENTREPOT_MANIFEST_CACHE is its memory for manifests",
	"storage.delete":                noDeletes,
	"storage.tag":                   noDeletes,
	"storage.redirect":              "redirects are on unless ENTREPOT_REDIRECT=never",

	"storage.maintenance":               "entrepot needs no maintenance mode",
	"storage.maintenance.readonly":      noPushes,
	"storage.maintenance.uploadpurging": noPushes + "; lifecycle rules of the bucket remove what fills leave behind",

	"storage.s3.encrypt":                     inBucket,
	"storage.s3.keyid":                       inBucket,
	"storage.s3.storageclass":                inBucket,
	"storage.s3.objectacl":                   inBucket,
	"storage.s3.accelerate":                  "entrepot does not use transfer acceleration",
	"storage.s3.skipverify":                  "entrepot always verifies certificates; put a private authority into AWS_CA_BUNDLE",
	"storage.s3.v4auth":                      "entrepot always signs with version 4",
	"storage.s3.chunksize":                   "ENTREPOT_SEGMENT_SIZE is the size of the parts of a blob; its default suits",
	"storage.s3.multipartcopychunksize":      composing,
	"storage.s3.multipartcopymaxconcurrency": composing,
	"storage.s3.multipartcopythresholdsize":  composing,
	"storage.s3.useragent":                   "the bucket sees the User-Agent of entrepot's library",
	"storage.s3.usedualstack":                "with s3:// AWS_USE_DUALSTACK_ENDPOINT=true does it",
	"storage.s3.usefipsendpoint":             "with s3:// AWS_USE_FIPS_ENDPOINT=true does it",
	"storage.s3.loglevel":                    "ENTREPOT_LOG_LEVEL=debug logs the messages of the AWS library",
	"storage.gcs.keyfile":                    newKeys,
	"storage.gcs.credentials":                newKeys,
	"storage.gcs.chunksize":                  "ENTREPOT_SEGMENT_SIZE is the size of the parts of a blob; its default suits",

	"auth":          noAuth,
	"auth.htpasswd": noAuth,
	"auth.token":    noAuth,

	"middleware":            "entrepot has no middleware",
	"middleware.storage":    "only cloudfront's and redirect's baseurl, privatekey, keypairid and duration have an equivalent",
	"middleware.registry":   "entrepot has no middleware",
	"middleware.repository": "entrepot has no middleware",

	"http.headers":          "entrepot adds no headers of yours; a load balancer can",
	"http.host":             "entrepot does not need to know its own name",
	"http.prefix":           "entrepot serves at the root of its host",
	"http.relativeurls":     "entrepot does not need to know its own name",
	"http.secret":           noPushes + ", so it has no state of uploads to sign",
	"http.tls":              noTLS,
	"http.debug":            "ENTREPOT_ADMIN_LISTEN serves what the debug port does",
	"http.debug.prometheus": "ENTREPOT_ADMIN_LISTEN always serves /metrics",
	"http.http2":            "entrepot serves HTTP/1.1",
	"http.h2c":              "entrepot serves HTTP/1.1",

	"notifications": "entrepot notifies nobody of pulls; its log and metrics show them",
	"redis":         "replicas of entrepot share only the bucket",
	"health":        "/readyz checks the store, and entrepot healthcheck requests it",
	"catalog":       "entrepot has no catalog for clients; entrepot ls lists the images",
	"tags":          "entrepot passes on the upstream's lists of tags",
	"validation":    noPushes,
	"policy":        noPushes,

	"proxy.ttl":               "this is an age for entrepot gc, not a TTL of tags: ENTREPOT_TAG_TTL is how long a tag is served without revalidation",
	"proxy.exec":              "name the helper under credHelpers in Docker's config.json; entrepot asks it again every 10 minutes",
	"proxy.cachewritetimeout": "a transfer may take any time; ENTREPOT_UPSTREAM_STALL bounds the time without progress",
}

// withoutEquivalent returns the reason why the key at a path has no equivalent, with the part of the path to which the reason
// applies.
func withoutEquivalent(path string) (key, reason string) {
	path = strings.Replace(path, "storage.s3aws.", "storage.s3.", 1)
	for key := path; ; {
		if reason, ok := reasons[key]; ok {
			return key, reason
		}
		at := strings.LastIndex(key, ".")
		if at < 0 {
			return path, "no equivalent"
		}
		key = key[:at]
	}
}
