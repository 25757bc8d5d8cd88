package upstream

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Throttling: everything that follows from a 429 is decided here.
//
//	                     429                                  503 with Retry-After
//	next endpoint        is tried, like after any failure     likewise
//	requests held back   GETs of manifests if the response    none, until the fifth failure in a row
//	                     reports a pull quota, otherwise all  (see health.judge)
//	for how long         Retry-After up to 1 h; without it    the pauses of a gate, 5 s to 60 s;
//	                     30 s, then 60 s                      Retry-After does not count
//	quota reserve        follows the quota that the response  unchanged
//	                     reports, and is otherwise unchanged
//	from a token service the same, and always for all         the same
//	from blob storage    fails the request; says nothing      the same
//	                     about the endpoint
//	the caller gets      Error with the status and            likewise
//	                     RetryAfter; held-back requests get
//	                     the same with the remaining time
//
// Callers outside this package decide by [Error.Throttled] and [Error.Permanent].

const (
	// maxThrottle limits how long a Retry-After holds requests back.
	maxThrottle = time.Hour
	// defaultThrottle is the first pause after a 429 without Retry-After.
	defaultThrottle = 30 * time.Second
	// maxRetryAfter limits the Retry-After that is passed on to callers.
	maxRetryAfter = 24 * time.Hour
)

// throttles reports whether a status means that the server gets too many requests.
func throttles(status int) bool { return status == http.StatusTooManyRequests }

// Throttled reports whether the upstream received too many requests. RetryAfter says when to come back, if the upstream
// said so.
func (e *Error) Throttled() bool { return throttles(e.Status) }

// Permanent reports whether repeating the request is pointless, because the upstream rejected it. A throttled or timed-out
// request may succeed later.
func (e *Error) Permanent() bool {
	return e.Status/100 == 4 && e.Status != http.StatusRequestTimeout && !e.Throttled()
}

// throttleVerdict returns the verdict on a throttled request: overQuota or throttled. resp is nil if the token service
// throttled it.
func throttleVerdict(q request, resp *http.Response) verdict {
	if resp != nil && q.isManifest() && reportsQuota(resp.Header) {
		return overQuota
	}
	return throttled
}

// throttle holds back the requests that a verdict of overQuota or throttled is about. The caller holds the lock.
func (h *health) throttle(a *attempt, v verdict, now time.Time, why *Error) {
	switch v {
	case overQuota:
		h.counted.throttle(a, now, why)
	case throttled:
		h.all.throttle(a, now, why)
	}
}

// throttle closes the gate for as long as a 429 says.
func (g *gate) throttle(a *attempt, now time.Time, why *Error) {
	if why.RetryAfter > 0 {
		g.close(now, min(why.RetryAfter, maxThrottle), why)
	} else {
		g.failed(a, now, defaultThrottle, why)
	}
}

// retryAfter reads both forms of the Retry-After header, RFC 9110 section 10.2.3. It returns 0 if there is none.
func retryAfter(h http.Header) time.Duration {
	v := strings.TrimSpace(h.Get("Retry-After"))
	if seconds, err := strconv.ParseFloat(v, 64); err == nil && seconds >= 0 {
		return time.Duration(min(seconds, maxRetryAfter.Seconds()) * float64(time.Second))
	}
	at, err := http.ParseTime(v)
	if err != nil {
		return 0
	}
	now, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		now = time.Now()
	}
	return min(max(0, at.Sub(now)), maxRetryAfter)
}
