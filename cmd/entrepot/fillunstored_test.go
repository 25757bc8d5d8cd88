package main_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/entrepot-io/entrepot/infra/testenv"
)

// denying rejects requests as not permitted.
func denying(*testenv.S3, http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "application/xml")
		rw.WriteHeader(http.StatusForbidden)
		fmt.Fprint(rw, "<Error><Code>AccessDenied</Code><Message>Access Denied.</Message></Error>")
	})
}

// hanging reads the request and sends no response.
func hanging(*testenv.S3, http.Handler) http.Handler {
	return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // fails if the client disconnects
		<-r.Context().Done()
	})
}

// writes matches requests that write objects whose keys contain a substring, from the nth on.
func writes(part string, nth int64) func(*http.Request) bool {
	var n atomic.Int64
	return func(r *http.Request) bool {
		return (r.Method == http.MethodPut || r.Method == http.MethodPost && !r.URL.Query().Has("delete")) &&
			strings.Contains(r.URL.Path, part) && n.Add(1) >= nth
	}
}

func TestBlobPassesThroughIfBucketRefusesWrites(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]*quirk{
		"no write permitted":             {matches: writes("", 1), respond: denying},
		"writes forbidden in the middle": {matches: writes("fills/sha256", 5), respond: denying},
		"final blob not permitted":       {matches: writes("blobs/", 1), respond: denying},
		"segments not supported":         {matches: writes("/0000", 1), respond: refusing},
		"segments hang":                  {matches: writes("/0000", 3), respond: hanging},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newCluster(t)
			r := w.begin(t, "ENTREPOT_STORE="+behindProxy(t, w, o), "ENTREPOT_REDIRECT=never",
				fmt.Sprintf("ENTREPOT_FILL_MEMORY=%d", 2*fillSegment))
			r.WaitHTTP(t, r.url("/healthz"))
			large, small := w.blob(1, 5*fillSegment+1234), w.blob(2, 100_000)
			clients := []*download{
				r.get(t, large), r.get(t, large), r.get(t, small),
				r.getFrom(t, large, 3*fillSegment+17, 0),
				r.getFrom(t, large, 0, 1<<20),
			}
			for _, client := range clients {
				client.complete(t)
			}
			if !strings.Contains(name, "forbidden") { // without permission nothing can be removed
				waitFor(t, "the clean-up", func() bool { return len(w.bucket.keys(t, large.fillPrefix())) == 0 })
			}
			assert.NotEmpty(t, r.logged(t, "blob passed through"))
		})
	}
}
