package distribution

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// notDrivers are the keys of storage that name no driver.
var notDrivers = []string{"maintenance", "cache", "delete", "redirect", "tag"}

func (c *configuration) storage() error {
	section, _ := c.tree["storage"].(tree)
	var drivers []string
	for key := range section {
		if !slices.Contains(notDrivers, key) {
			drivers = append(drivers, key)
		}
	}
	slices.Sort(drivers)
	if len(drivers) > 1 {
		return fmt.Errorf("storage has more than one driver: %s", printable(strings.Join(drivers, ", ")))
	}
	isBucket := false
	switch driver := strings.Join(drivers, ""); driver {
	case "filesystem":
		c.filesystem()
	case "s3", "s3aws":
		isBucket = c.s3("storage." + driver)
	case "gcs":
		isBucket = c.gcs()
	case "":
		c.out.note("storage", "has no driver; ENTREPOT_STORE has its default")
	}
	if disable, has := c.take("storage.redirect.disable"); has {
		c.out.set("storage.redirect.disable", "ENTREPOT_REDIRECT", map[bool]string{true: "never", false: "always"}[isTrue(disable)])
	}
	c.middleware(isBucket)
	return nil
}

// layoutNote is about what distribution has stored.
const layoutNote = "entrepot does not use what distribution has stored there, below docker/registry/v2; delete it when entrepot serves"

func (c *configuration) filesystem() {
	const key = "storage.filesystem.rootdirectory"
	root, _ := c.take(key)
	c.takeEmpty("storage.filesystem")
	c.out.set(key, "ENTREPOT_STORE", "file:"+cmp.Or(root, "/var/lib/registry"))
	c.out.note("storage.filesystem", layoutNote)
}

// takeEmpty removes a driver without parameters.
func (c *configuration) takeEmpty(key string) {
	if value, _ := c.tree.at(split(key)...); value == nil {
		c.tree.remove(split(key)...)
	} else if t, ok := value.(tree); ok && len(t) == 0 {
		c.tree.remove(split(key)...)
	}
}

// s3 translates the driver for S3. It reports whether the configuration names a bucket.
func (c *configuration) s3(key string) bool {
	scheme := "https"
	if c.takeBool(key+".secure", false) {
		scheme = "http"
	}
	endpoint := c.takeURL(key+".regionendpoint", scheme)
	isAWS := endpoint == nil || isAWSHost(endpoint.Hostname())
	if isAWS && scheme == "http" {
		c.out.note(key+".secure", "entrepot always uses TLS with AWS")
	}
	named := c.bucket(key, func(bucket string) string {
		switch {
		case isAWS || endpoint.Path != "":
			return "s3://" + bucket
		case endpoint.Scheme == "http":
			return "minio+http://" + endpoint.Host + "/" + bucket
		}
		return "minio://" + endpoint.Host + "/" + bucket
	})
	if !isAWS && endpoint.Path != "" {
		c.out.set(key+".regionendpoint", "AWS_ENDPOINT_URL_S3", endpoint.String())
	}
	c.set(key+".region", "AWS_REGION")
	if style, has := c.take(key + ".forcepathstyle"); has {
		c.out.set(key+".forcepathstyle", "ENTREPOT_STORE_STYLE", map[bool]string{true: "path", false: "host"}[isTrue(style)])
	}
	if public := c.takeURL(key+".redirectendpoint", ""); public != nil {
		c.out.set(key+".redirectendpoint", "ENTREPOT_STORE_PUBLIC_ENDPOINT", public.String())
	}
	_, hasID := c.take(key + ".accesskey")
	_, hasSecret := c.take(key + ".secretkey")
	if hasID || hasSecret {
		c.out.note(key+".accesskey, "+key+".secretkey", "put them into AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
	}
	return named
}

func isAWSHost(host string) bool {
	return strings.HasSuffix(host, ".amazonaws.com") || strings.HasSuffix(host, ".amazonaws.com.cn")
}

// gcs translates the driver for Google Cloud Storage. It reports whether the configuration names a bucket.
func (c *configuration) gcs() bool {
	const key = "storage.gcs"
	named := c.bucket(key, func(bucket string) string { return "minio://storage.googleapis.com/" + bucket })
	if named {
		c.out.set(key, "AWS_REGION", "auto")
		c.out.note(key, "entrepot uses Google's S3 API: put HMAC keys of a service account into AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
	}
	return named
}

// bucket translates the name of a bucket and the prefix of its keys.
func (c *configuration) bucket(key string, store func(bucket string) string) bool {
	bucket, has := c.take(key + ".bucket")
	prefix, _ := c.take(key + ".rootdirectory")
	if !has {
		c.takeEmpty(key)
		c.out.note(key+".bucket", "is missing; ENTREPOT_STORE has its default")
		return false
	}
	if prefix = strings.Trim(prefix, "/"); prefix != "" {
		bucket += "/" + prefix
	}
	c.out.set(key+".bucket", "ENTREPOT_STORE", store(bucket))
	c.out.note(key, layoutNote)
	return true
}

// middleware translates the middleware of the storage that redirects clients to a CDN. The first one counts.
func (c *configuration) middleware(isBucket bool) {
	all, _ := c.tree.at("middleware", "storage")
	list, _ := all.(tree)
	done := false
	for i := range len(list) {
		key := "middleware.storage." + strconv.Itoa(i)
		name, _ := c.tree.at(split(key + ".name")...)
		switch {
		case c.takeBool(key+".disabled", true):
			c.tree.remove(split(key)...)
		case done || (name != "cloudfront" && name != "redirect"):
			continue
		case !isBucket:
			c.tree.remove(split(key)...)
			c.out.note("middleware.storage", "a CDN needs a bucket as the store")
		default:
			c.take(key + ".name")
			done = c.cdn(key + ".options")
		}
	}
}

// cdn translates the options of the middleware cloudfront and redirect.
func (c *configuration) cdn(key string) bool {
	u := c.takeURL(key+".baseurl", "https")
	if u == nil {
		return false
	}
	if c.out.remove("ENTREPOT_STORE_PUBLIC_ENDPOINT") {
		c.out.note("storage.s3.redirectendpoint", "has no effect with a CDN")
	}
	c.out.set(key+".baseurl", "ENTREPOT_CDN_URL", u.String())
	file, hasFile := c.take(key + ".privatekey")
	id, hasID := c.take(key + ".keypairid")
	if hasFile && hasID {
		c.out.set(key+".keypairid", "ENTREPOT_CDN_KEY_ID", id)
		c.out.set(key+".privatekey", "ENTREPOT_CDN_KEY_FILE", file)
	}
	if expiry, has := c.takeDuration(key + ".duration"); has {
		c.out.set(key+".duration", "ENTREPOT_PRESIGN_EXPIRY", duration(expiry))
		if expiry < defaultMinLeft+time.Second {
			c.out.set(key+".duration", "ENTREPOT_PRESIGN_MIN_LEFT", duration(expiry/2))
		}
	}
	return true
}

// defaultMinLeft is the default of ENTREPOT_PRESIGN_MIN_LEFT, which must be less than ENTREPOT_PRESIGN_EXPIRY.
const defaultMinLeft = 10 * time.Minute
