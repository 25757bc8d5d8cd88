package s3rules

import (
	"net/http"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/entrepot-io/entrepot/backend"
)

// permissions maps the operations in errors to the permissions that they need.
var permissions = map[string]string{
	"get":             "s3:GetObject",
	"stat":            "s3:GetObject",
	"copy":            "s3:GetObject", // the beginning of the upload already proved s3:PutObject
	"put":             "s3:PutObject",
	"begin upload of": "s3:PutObject",
	"upload":          "s3:PutObject",
	"complete":        "s3:PutObject",
	"delete":          "s3:DeleteObject",
	"list":            "s3:ListBucket",
	"sweep":           "s3:ListBucketMultipartUploads",
	"abort upload of": "s3:AbortMultipartUpload",
}

// unauthorized matches AWS's description of the missing permission, which may be one for a KMS key.
var unauthorized = regexp.MustCompile(`not authorized to perform: (\S+) on resource: "?([^\s"]+)`)

// missing returns the permission that the store missed, or nil if the failure has another reason.
func (f Failure) missing(op, key string) *backend.PermissionError {
	switch {
	case f.Status != http.StatusForbidden, f.full(), f.readOnly(op):
		return nil
	case f.Code != "AccessDenied" && f.Code != "Forbidden" && f.Code != "": // the latter two are responses without a body
		return nil
	}
	if said := unauthorized.FindStringSubmatch(f.Message); said != nil {
		return &backend.PermissionError{Action: said[1], Resource: said[2]}
	}
	action := permissions[op]
	if action == "" {
		return nil
	}
	missing := &backend.PermissionError{Action: action, Resource: "arn:aws:s3:::" + f.Bucket}
	switch {
	case strings.HasPrefix(action, "s3:List"): // applies to the bucket
	case op == "get" || op == "stat":
		// Without s3:ListBucket, S3 responds with 403 instead of 404.
		missing.Instead = "s3:ListBucket"
		fallthrough
	default:
		missing.Resource += "/" + f.Prefix + key
	}
	return missing
}

// Denials records the last denied request. The zero value means none.
type Denials struct {
	mu   sync.Mutex
	last error
	at   time.Time
}

func (d *Denials) record(err error) {
	if d == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.last, d.at = err, time.Now()
}

// LastDenied implements backend.Denier.
func (d *Denials) LastDenied() (time.Time, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.at, d.last
}
