package link

import (
	"cmp"
	"net/http"
	"time"

	"github.com/entrepot-io/entrepot/backend/internal/stall"
)

const (
	// defaultStall is how long a request may wait for the store without progress.
	defaultStall = 20 * time.Second

	// assemblyFactor multiplies the bound for copying an object into a part and for completing an upload. Meanwhile S3 sends
	// whitespace, but other stores send nothing until they have moved all bytes.
	assemblyFactor = 6

	// relaySpeed is the minimum speed, in bytes per second, of a proxy that buffers a request before it passes it on. The
	// response to a large body takes longer by that.
	relaySpeed = 10 << 20

	// minSpeed is the minimum speed of a response's body, in bytes per second, while a reader waits for it.
	minSpeed = 1 << 10
)

// Guard bounds how long requests wait for the store without progress: for bound (0: defaultStall), or longer for requests
// that take stores longer.
func Guard(next http.RoundTripper, bound time.Duration) http.RoundTripper {
	bound = cmp.Or(bound, defaultStall)
	return &stall.Guard{Next: next, Bounds: func(r *http.Request) stall.Bounds {
		if assembles(r) {
			return stall.Bounds{Send: bound, Response: assemblyFactor * bound, Read: assemblyFactor * bound}
		}
		return stall.Bounds{
			Send:     bound,
			Response: bound + time.Duration(max(r.ContentLength, 0)/relaySpeed)*time.Second,
			Read:     bound,
			MinBytes: int64(minSpeed * bound.Seconds()),
		}
	}}
}

// assembles reports whether a request is UploadPartCopy or CompleteMultipartUpload.
func assembles(r *http.Request) bool {
	return r.Header.Get("X-Amz-Copy-Source") != "" || r.Method == http.MethodPost && r.URL.Query().Has("uploadId")
}
