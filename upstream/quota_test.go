package upstream

import (
	"net/http"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
)

func quotaHeader(limit, remaining, source string) http.Header {
	h := http.Header{}
	h.Set("ratelimit-limit", limit)
	h.Set("ratelimit-remaining", remaining)
	h.Set("docker-ratelimit-source", source)
	return h
}

func TestQuotaParsedFromHeaders(t *testing.T) {
	now := time.Now()
	for _, c := range []struct {
		limit, remaining string
		want             Quota
		ok               bool
	}{
		{"100;w=21600", "76;w=21600", Quota{Limit: 100, Remaining: 76, Window: 6 * time.Hour}, true},
		{" 200 ; W = 60 ", "0", Quota{Limit: 200, Window: time.Minute}, true},
		{"100;x=1;w=10;burst", "5", Quota{Limit: 100, Remaining: 5, Window: 10 * time.Second}, true},
		{"5000", "4999", Quota{Limit: 5000, Remaining: 4999}, true},
		{"100;w=soon", "1", Quota{Limit: 100, Remaining: 1}, true},
		{"1;w=99999999999999999", "1", Quota{Limit: 1, Remaining: 1, Window: maxWindow}, true},
		{"", "76;w=21600", Quota{}, false},
		{"100;w=21600", "", Quota{}, false},
		{"-1", "1", Quota{}, false},
		{"unlimited", "1", Quota{}, false},
		{"99999999999999999999", "1", Quota{}, false},
	} {
		got, ok := parseQuota(quotaHeader(c.limit, c.remaining, "192.0.2.1"), now)
		assert.Equal(t, c.ok, ok, c)
		if c.ok {
			c.want.Source, c.want.At = "192.0.2.1", now
		}
		assert.Equal(t, c.want, got, c)
	}
}

func FuzzQuota(f *testing.F) {
	f.Add("100;w=21600", "76;w=21600", "192.0.2.1")
	f.Add("5000", "0", "")
	f.Add(";w=", ";;w=-1;w=9999999999999999999", "\xff")
	f.Fuzz(func(t *testing.T, limit, remaining, source string) {
		now := time.Now()
		q, ok := parseQuota(quotaHeader(limit, remaining, source), now)
		if !ok {
			if q != (Quota{}) {
				t.Errorf("%+v from invalid headers", q)
			}
			return
		}
		if q.Limit < 0 || q.Remaining < 0 || q.Window < 0 || q.Window > maxWindow || !q.expires().After(now) {
			t.Errorf("%+v is out of bounds", q)
		}
		if !utf8.ValidString(q.Source) || len(q.Source) > maxSource {
			t.Errorf("%q cannot be a label", q.Source)
		}
	})
}
