package handlers

import (
	"net/http"
	"time"
)

// linger is how long a connection stays open after the response to a request with a body. Meanwhile net/http discards what
// the client sends. Closing at once would reset the connection, and the client could lose the response (RFC 9112, section
// 9.6).
const linger = 2 * time.Second

// ignoreBodies serves requests without their bodies, which the pull API has no use for. The connection ends with the
// response, since the next request would follow the unread body.
func ignoreBodies(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength == 0 { // -1 for a chunked body
			next.ServeHTTP(w, r)
			return
		}
		bare := *r
		bare.Body, bare.ContentLength, bare.TransferEncoding = http.NoBody, 0, nil
		w.Header().Set("Connection", "close") // else net/http reads the body before it sends the headers
		// Deferred, since a response that breaks off panics, and net/http then reads on too.
		defer func() {
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(linger)) // tests and Lambda have no connection
		}()
		next.ServeHTTP(w, &bare)
	})
}
