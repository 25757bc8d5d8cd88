package main

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/entrepot-io/entrepot/doctor"
)

// checkSettings looks for settings that contradict each other or have no effect. loadConfig has refused those with which the mirror
// does not start.
func (c config) checkSettings(environ []string) *doctor.Findings {
	f := &doctor.Findings{Subject: "settings"}
	for _, unknown := range unknownVariables(environ) {
		remedy := "correct its spelling (docs/configuration.md), or remove it"
		if unknown.Nearest != "" {
			remedy = "write " + unknown.Nearest + ", or remove it"
		}
		f.Warn(unknown.Variable, "no setting has this name", "it has no effect", remedy)
	}
	c.checkRedirects(f)
	c.checkTimes(f)
	c.checkGarbage(f)
	c.checkAddresses(f)
	if c.FillMemory < c.SegmentSize*byteSize(c.FillConnections) {
		f.Warn("ENTREPOT_FILL_MEMORY", fmt.Sprintf("%s does not hold %d segments of %s", c.FillMemory, c.FillConnections, c.SegmentSize),
			"fewer connections than ENTREPOT_FILL_CONNECTIONS are used", "raise ENTREPOT_FILL_MEMORY, or lower ENTREPOT_FILL_CONNECTIONS or ENTREPOT_SEGMENT_SIZE")
	}
	if c.LambdaStreaming && !c.platform.function {
		f.Warn("ENTREPOT_LAMBDA_STREAMING", "this is not AWS Lambda", "it has no effect", "remove it, or run doctor with the function's settings elsewhere in mind")
	}
	if len(f.All) == 0 {
		f.OK("contradictions", "none")
	}
	return f
}

// checkRedirects looks at the settings of redirects.
func (c config) checkRedirects(f *doctor.Findings) {
	never := c.Redirect.String() == "never"
	switch {
	case c.Store.isFolder() && c.StorePublicEndpoint.URL != nil:
		f.Warn("ENTREPOT_STORE_PUBLIC_ENDPOINT", "the store is a folder", "it has no effect: clients get streams", "remove it, or set ENTREPOT_STORE to a bucket")
	case never && c.StorePublicEndpoint.URL != nil:
		f.Warn("ENTREPOT_STORE_PUBLIC_ENDPOINT", "ENTREPOT_REDIRECT is never", "it has no effect: clients get streams", "remove one of them")
	case never && c.CDNURL.URL != nil:
		f.Warn("ENTREPOT_CDN_URL", "ENTREPOT_REDIRECT is never", "it has no effect: clients get streams", "remove one of them")
	}
	if slices.ContainsFunc(c.TrustedProxies, func(p netip.Prefix) bool { return p.Bits() == 0 }) {
		f.Warn("ENTREPOT_TRUSTED_PROXIES", "it contains all addresses", "every client can claim any address, and the lists in ENTREPOT_REDIRECT and ENTREPOT_STREAM_TO match it",
			"list only the networks of load balancers")
	}
	if !never && !c.Store.isFolder() && c.PresignMinLeft < time.Minute {
		f.Warn("ENTREPOT_PRESIGN_MIN_LEFT", fmt.Sprintf("a client may get a URL that expires in %s", c.PresignMinLeft),
			"slow clients meet an expired URL", "set it to 10m")
	}
}

// checkTimes looks at the settings of freshness.
func (c config) checkTimes(f *doctor.Findings) {
	if c.StaleMax > 0 && c.StaleMax < c.TagTTL {
		f.Warn("ENTREPOT_STALE_MAX", fmt.Sprintf("%s is less than ENTREPOT_TAG_TTL, %s", c.StaleMax, c.TagTTL),
			"no tag is served stale: pulls fail as soon as the upstream does", "raise it, or lower ENTREPOT_TAG_TTL")
	}
	if c.QuotaReserve >= 1 {
		f.Warn("ENTREPOT_QUOTA_RESERVE", "all pulls are reserved for content that is not cached", "tags that have moved are served stale for good, if the upstream reports a quota",
			"set it to 10%")
	}
}

// checkGarbage looks at the settings of the garbage collector.
func (c config) checkGarbage(f *doctor.Findings) {
	runs := c.GCInterval.duration > 0 || c.GCInterval.auto && c.Store.isFolder()
	limited := c.MaxSize.size > 0 || c.MaxAge > 0 || c.GCRules != ""
	switch {
	case limited && !runs:
		f.Warn("ENTREPOT_GC_INTERVAL", "replicas collect no garbage", "ENTREPOT_MAX_SIZE, ENTREPOT_MAX_AGE and ENTREPOT_GC_RULES have no effect on them",
			"set it to 1h, or run entrepot gc regularly")
	case limited && !c.RecordUse:
		f.Warn("ENTREPOT_RECORD_USE", "uses are not recorded, but there are limits to what is kept", "images count as unused since they were cached: those in use are removed too",
			"set it to true")
	}
	if c.GCRules == "" {
		return
	}
	if _, err := readRules(c.GCRules); err != nil {
		f.Break("ENTREPOT_GC_RULES", err, "the mirror does not start", "correct the file (docs/garbage-collection.md)")
	}
}

// checkAddresses looks for an address that is used twice.
func (c config) checkAddresses(f *doctor.Findings) {
	if c.AdminListen != "" && c.AdminListen == c.Listen {
		f.Break("ENTREPOT_ADMIN_LISTEN", "it is the same as ENTREPOT_LISTEN", "the mirror does not start", "choose another port, such as :5001")
	}
	_, port, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return // serve says what is wrong with it
	}
	own := ownNames(c.Listen)
	for _, u := range c.Upstreams {
		for _, e := range u.endpoints {
			if host, p := nameOf(e); p == port && slices.ContainsFunc(own, func(name string) bool { return strings.EqualFold(name, host) }) {
				f.Break("ENTREPOT_UPSTREAMS", fmt.Sprintf("the endpoint %s of %s is the mirror itself", e, u.name), "requests for cold content wait for themselves, and fail",
					"name the registry's own address")
			}
		}
	}
}
