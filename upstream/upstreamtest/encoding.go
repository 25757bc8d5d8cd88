package upstreamtest

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
)

// encoded returns a body in the fault's encoding, and sets Content-Encoding.
func (a *answer) encoded(body io.Reader) []byte {
	var out bytes.Buffer
	var w io.WriteCloser
	switch a.fault.Encoding {
	case "gzip":
		w = gzip.NewWriter(&out)
	case "deflate":
		w = zlib.NewWriter(&out)
	case "zstd":
		w, _ = zstd.NewWriter(&out) // fails only for bad options
	default:
		panic(fmt.Sprintf("no encoding %q", a.fault.Encoding))
	}
	if _, err := io.Copy(w, body); err != nil {
		panic(fmt.Sprintf("encode a body: %v", err))
	}
	if err := w.Close(); err != nil {
		panic(fmt.Sprintf("encode a body: %v", err))
	}
	a.Header().Set("Content-Encoding", a.fault.Encoding)
	return out.Bytes()
}
