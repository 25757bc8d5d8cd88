package mirror

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"strings"
	"time"
)

// Forever is the TTL of a tag that is never revalidated.
const Forever = time.Duration(math.MaxInt64)

// TTLRules are the TTLs of tags by patterns of their names. The first rule that matches counts.
type TTLRules []ttlRule

type ttlRule struct {
	pattern *regexp.Regexp
	ttl     time.Duration
}

// ParseTTLRules parses rules of the form PATTERN=TTL,... A pattern is a REGISTRY/REPOSITORY:TAG in which * matches any
// characters. A TTL is a duration, which the function duration parses, or "forever".
func ParseTTLRules(text string, duration func(string) (time.Duration, error)) (TTLRules, error) {
	var rules TTLRules
	for entry := range strings.SplitSeq(text, ",") {
		if entry = strings.TrimSpace(entry); entry == "" {
			continue
		}
		pattern, value, ok := strings.Cut(entry, "=")
		repository, tag := pattern, ""
		if at := strings.LastIndex(pattern, ":"); at >= 0 {
			repository, tag = pattern[:at], pattern[at+1:]
		}
		if !ok || repository == "" || tag == "" || strings.Contains(tag, "/") {
			return nil, fmt.Errorf("%q is not PATTERN=TTL; write for example docker.io/library/*:*=1h or *:latest=10s", entry)
		}
		rule := ttlRule{ttl: Forever}
		if value != "forever" {
			var err error
			if rule.ttl, err = duration(value); err != nil {
				return nil, fmt.Errorf("%q: %w, or forever", entry, err)
			}
			if rule.ttl < 0 {
				return nil, fmt.Errorf("%q: the TTL is negative; write 0s to ask the upstream every time", entry)
			}
		}
		// The pattern is quoted, so it always compiles.
		rule.pattern = regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(pattern), `\*`, ".*") + "$")
		rules = append(rules, rule)
	}
	if len(rules) == 0 {
		return nil, errors.New("has no rule; write for example *:latest=10s")
	}
	return rules, nil
}

// Of returns the TTL of the tag with a full name, or otherwise if no rule matches.
func (r TTLRules) Of(name string, otherwise time.Duration) time.Duration {
	for _, rule := range r {
		if rule.pattern.MatchString(name) {
			return rule.ttl
		}
	}
	return otherwise
}
