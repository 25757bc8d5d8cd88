package distribution

import (
	"net/url"
	"strconv"
	"strings"
	"time"
)

// configuration is the part that is still to be translated.
type configuration struct {
	tree tree
	out  *Translation
}

// take removes a scalar and returns it. A key without a value counts as missing.
func (c *configuration) take(key string) (value string, has bool) {
	path := split(key)
	found, has := c.tree.at(path...)
	if _, isTree := found.(tree); isTree || !has {
		return "", false // a mapping is left for explainRest
	}
	c.tree.remove(path...)
	value, _ = found.(string)
	return value, value != ""
}

// takeBool removes a truth value and reports whether it is a given one.
func (c *configuration) takeBool(key string, want bool) bool {
	value, has := c.take(key)
	return has && isTrue(value) == want
}

// isTrue reads a truth value of YAML 1.1, as distribution does.
func isTrue(s string) bool {
	switch strings.ToLower(s) {
	case "true", "yes", "on", "y", "1", "t":
		return true
	}
	return false
}

// set translates a key's text as it is.
func (c *configuration) set(key, variable string) {
	if value, has := c.take(key); has {
		c.out.set(key, variable, value)
	}
}

// takeURL removes an http or https URL and returns it without credentials, query and trailing slash. It returns nil if there is
// none.
func (c *configuration) takeURL(key, defaultScheme string) *url.URL {
	text, has := c.take(key)
	if !has {
		return nil
	}
	if !strings.Contains(text, "://") && defaultScheme != "" {
		text = defaultScheme + "://" + text
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		c.out.note(key, "is not a URL with http or https")
		return nil
	}
	if u.User != nil {
		c.out.note(key, "contains credentials, which are left out")
	}
	return &url.URL{Scheme: u.Scheme, Host: strings.ToLower(u.Host), Path: strings.TrimRight(u.Path, "/")}
}

// takeDuration removes a duration. A number without a unit is in nanoseconds.
func (c *configuration) takeDuration(key string) (d time.Duration, has bool) {
	text, has := c.take(key)
	if !has {
		return 0, false
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return time.Duration(n), true
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		c.out.note(key, "is not a duration")
		return 0, false
	}
	return d, true
}

// duration formats a duration without units that are 0.
func duration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
