package distribution

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// variablePrefix starts the variables that override the configuration's keys.
const variablePrefix = "REGISTRY_"

// sections are the keys at the top of a configuration. distribution ignores variables for others, such as those that
// Kubernetes sets for a Service named registry.
var sections = []string{
	"version", "log", "loglevel", "storage", "auth", "middleware", "http", "notifications", "redis", "health", "catalog", "tags", "proxy",
	"validation", "policy",
}

// override replaces values by those of variables, as distribution does: REGISTRY_STORAGE_S3_BUCKET is storage.s3.bucket, the
// value is YAML, and an element of a sequence is named by its number. Shorter names come first.
func (t tree) override(environ []string) error {
	for _, variable := range slices.Sorted(slices.Values(environ)) {
		name, text, _ := strings.Cut(variable, "=")
		rest, ok := strings.CutPrefix(name, variablePrefix)
		path := strings.Split(rest, "_")
		if !ok || path[0] != strings.ToUpper(path[0]) || !slices.Contains(sections, strings.ToLower(path[0])) {
			continue
		}
		value, err := parse([]byte(text))
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if t.set(path, value); path[0] == "STORAGE" {
			t.expandDriver()
		}
	}
	return nil
}

// set sets the value at a path of upper-case keys. It does not replace a scalar by a mapping, nor leave a gap in a sequence.
func (t tree) set(path []string, value any) {
	key := strings.ToLower(path[0])
	for existing := range t {
		if strings.ToUpper(existing) == path[0] {
			key = existing
		}
	}
	if _, isSequence := t["0"]; isSequence {
		if n, err := strconv.Atoi(key); err != nil || n < 0 || n > len(t) {
			return
		}
	}
	if len(path) == 1 {
		t[key] = value
		return
	}
	if t[key] == nil {
		t[key] = tree{}
	}
	if below, ok := t[key].(tree); ok {
		below.set(path[1:], value)
	}
}

// expandDriver makes a mapping of the short form "storage: filesystem".
func (t tree) expandDriver() {
	if driver, ok := t["storage"].(string); ok {
		t["storage"] = tree{driver: nil}
	}
}
