package upstream

import (
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
)

func FuzzIsSHA256AgreesWithValidate(f *testing.F) {
	hex := strings.Repeat("0123456789abcdef", 4)
	for _, s := range []string{"sha256:" + hex, "sha256:" + hex[1:], "sha256:" + hex + "0", "sha256:" + strings.ToUpper(hex), "sha512:" + hex + hex, "sha256:", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if isSHA256(s) && digest.Digest(s).Validate() != nil {
			t.Errorf("isSHA256 accepts the invalid digest %q", s)
		}
	})
}
