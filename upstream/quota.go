package upstream

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Quota is the number of manifests that may be pulled from an endpoint, as Docker Hub reports it:
// https://docs.docker.com/docker-hub/usage/pulls/.
type Quota struct {
	Limit, Remaining int64         // pulls in a window
	Window           time.Duration // 0 if not reported, which counts as a minute
	Source           string        // whose quota it is, an address or an account; empty if not reported
	At               time.Time     // when the endpoint reported it
}

const (
	// defaultWindow is the window of other registries, which limit requests and use the same headers.
	defaultWindow = time.Minute
	// maxWindow limits the window that an endpoint may report.
	maxWindow = 31 * 24 * time.Hour
	// maxSource limits Source in bytes.
	maxSource = 100
)

// parseQuota reads the headers of a response. It returns false if they report no quota that makes sense.
func parseQuota(h http.Header, now time.Time) (Quota, bool) {
	limit, window, ok := parsePolicy(h.Get("RateLimit-Limit"))
	remaining, sameWindow, hasRemaining := parsePolicy(h.Get("RateLimit-Remaining"))
	if !ok || !hasRemaining {
		return Quota{}, false
	}
	source := h.Get("Docker-RateLimit-Source")
	if len(source) > maxSource || !isPrintable(source) {
		source = ""
	}
	return Quota{Limit: limit, Remaining: remaining, Window: max(window, sameWindow), Source: source, At: now}, true
}

// reportsQuota reports whether a response is about the pull quota and not about a limit on requests of any kind.
func reportsQuota(h http.Header) bool { return h.Get("RateLimit-Remaining") != "" }

// parsePolicy reads a count and an optional window in seconds: 100;w=21600.
func parsePolicy(s string) (n int64, window time.Duration, ok bool) {
	count, parameters, _ := strings.Cut(s, ";")
	n, ok = parseCount(count)
	for p := range strings.SplitSeq(parameters, ";") {
		name, value, _ := strings.Cut(p, "=")
		if seconds, isCount := parseCount(value); isCount && strings.EqualFold(strings.TrimSpace(name), "w") {
			window = time.Duration(min(seconds, int64(maxWindow/time.Second))) * time.Second
		}
	}
	return n, window, ok
}

func parseCount(s string) (int64, bool) {
	n, err := strconv.ParseUint(strings.TrimSpace(s), 10, 63)
	return int64(n), err == nil
}

// expires returns when the whole quota is available again.
func (q *Quota) expires() time.Time {
	if q.Window == 0 {
		return q.At.Add(defaultWindow)
	}
	return q.At.Add(q.Window)
}

// keepQuota keeps the quota that a response reports, if any.
func (h *health) keepQuota(header http.Header, now time.Time) {
	if q, ok := parseQuota(header, now); ok {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.quota = &q
	}
}

// currentQuota returns the quota reported within the last window, or nil. The caller holds the lock.
func (h *health) currentQuota(now time.Time) *Quota {
	if h.quota == nil || !now.Before(h.quota.expires()) {
		return nil
	}
	q := *h.quota
	return &q
}

// Scarce reports whether less than the reserve is left of the pull quota of the first healthy endpoint. It returns false if
// that endpoint reported no quota within the last window.
func (r *Registry) Scarce() bool {
	for _, e := range r.endpoints {
		if e.health.trouble() != nil {
			continue
		}
		q := e.health.status().Quota
		return q != nil && float64(q.Remaining) < r.reserve*float64(q.Limit)
	}
	return false
}
