package handlers

import "testing"

// White-box, since over HTTP a fuzzer would spend its time on connections.
func FuzzParseRange(f *testing.F) {
	for _, header := range []string{"", "bytes=0-", "bytes=1-2", "bytes=-5", "bytes=5-1", "bytes=0-0,1-1", "bytes= 1-2", "bytes=18446744073709551615-"} {
		f.Add(header, int64(10))
	}
	f.Fuzz(func(t *testing.T, header string, size int64) {
		if size < 0 {
			return
		}
		r, partial, err := parseRange(header, size)
		if partial && err != nil {
			t.Fatalf("%q of %d is both a part and an error", header, size)
		}
		if partial && (r.offset < 0 || r.length <= 0 || r.offset+r.length > size || r.offset+r.length < 0) {
			t.Fatalf("%q of %d gives %+v, which is no part of it", header, size, r)
		}
	})
}

func FuzzParseRoute(f *testing.F) {
	for _, path := range []string{"/v2", "/v2/", "/v2/a/manifests/b", "/v2/a/manifests/manifests/manifests/x", "/v2//blobs/x", "/v2/a/tags/list", "/v2/tags/list"} {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		r, err := parseRoute(path)
		if err != nil {
			return
		}
		var again string
		switch r.kind {
		case kindBase:
			return
		case kindTags:
			again = "/v2/" + r.name + "/tags/list"
		case kindManifest, kindBlob, kindReferrers:
			again = "/v2/" + r.name + "/" + map[kind]string{kindManifest: "manifests", kindBlob: "blobs", kindReferrers: "referrers"}[r.kind] + "/" + r.ref
		}
		if again != path || r.name == "" {
			t.Fatalf("%q is parsed as %+v", path, r)
		}
	})
}
