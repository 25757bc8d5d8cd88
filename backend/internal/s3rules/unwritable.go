package s3rules

import (
	"net/http"
	"strings"
)

// fullCodes and fullMessages are parts, in lower case, of what stores respond when they have no space left. Known codes are
// QuotaExceeded (Ceph and versitygw, with 403), XMinioStorageFull, XMinioAdminBucketQuotaExceeded, InsufficientStorage and
// InsufficientCapacity. Messages are for stores with another code: Backblaze B2 (AccessDenied) and file systems behind an
// InternalError.
var (
	fullCodes = []string{
		"quotaexceeded", "storagefull", "insufficientstorage", "insufficientcapacity", "capexceeded", "nospaceleft",
		"storagelimitexceeded", "outofspace",
	}
	fullMessages = []string{
		"no space left on device", "disk quota exceeded", "bucket quota exceeded", "storage quota exceeded",
		"storage cap exceeded", "no free volumes left",
	}
)

// full reports whether the store refused a write because it has no space left.
func (f Failure) full() bool {
	if f.Status == http.StatusInsufficientStorage {
		return true
	}
	return f.Status != 0 && (containsAny(f.Code, fullCodes) || containsAny(f.Message, fullMessages))
}

// readOnly reports whether the store refused op because it accepts no writes at all.
func (f Failure) readOnly(op string) bool {
	switch op {
	case "put", "begin upload of", "upload", "complete", "copy", "delete":
	default:
		return false
	}
	switch f.Status {
	case 0:
		return false
	case http.StatusMethodNotAllowed: // versitygw on a read-only file system
		return op != "copy" // some servers have no copy
	case http.StatusLocked, http.StatusUnavailableForLegalReasons:
		return true
	}
	return f.Code == "AllAccessDisabled" || containsAny(f.Code, []string{"readonly"}) ||
		containsAny(f.Message, []string{"read-only file system"})
}

func containsAny(s string, parts []string) bool {
	s = strings.ToLower(s)
	for _, part := range parts {
		if strings.Contains(s, part) {
			return true
		}
	}
	return false
}
