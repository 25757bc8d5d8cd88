package clientconfig

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
)

// Version is the version of a client. The zero value means unknown.
type Version struct{ major, minor int }

// ParseVersion parses MAJOR[.MINOR[.PATCH]], with or without v in front. It drops what follows the minor version.
func ParseVersion(s string) (Version, error) {
	major, rest, _ := strings.Cut(strings.TrimPrefix(s, "v"), ".")
	minor, _, _ := strings.Cut(rest, ".")
	first, err := strconv.ParseUint(major, 10, 16)
	second := uint64(0)
	if err == nil && minor != "" {
		second, err = strconv.ParseUint(minor, 10, 16)
	}
	if err != nil {
		return Version{}, fmt.Errorf("%q is not a version; write for example 2 or 1.7", s)
	}
	return Version{int(first), int(second)}, nil
}

func (v Version) String() string {
	if v.minor == 0 {
		return strconv.Itoa(v.major)
	}
	return fmt.Sprintf("%d.%d", v.major, v.minor)
}

func (v Version) compare(w Version) int {
	return cmp.Or(cmp.Compare(v.major, w.major), cmp.Compare(v.minor, w.minor))
}

// versions is a range of versions of a client: from the first up to, but without, the second. The zero value is all.
type versions struct {
	client       string
	from, before Version
}

func (r versions) include(v Version) bool {
	if v == (Version{}) {
		return true
	}
	return v.compare(r.from) >= 0 && (r.before == (Version{}) || v.compare(r.before) < 0)
}

func (r versions) String() string {
	switch {
	case r.client == "":
		return ""
	case r.before != (Version{}):
		return fmt.Sprintf("%s before %s", r.client, r.before)
	}
	return fmt.Sprintf("%s %s and later", r.client, r.from)
}
