package handlers

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"
	"github.com/opencontainers/go-digest"

	"github.com/entrepot-io/entrepot/bounded"
)

// content is a manifest or a blob whose bytes are sent from here.
type content struct {
	digest    digest.Digest // empty if unknown (schema 1 without a digest)
	mediaType string
	size      int64 // bytes
	filling   bool  // the fill is in progress, so bytes may take a while
	inMemory  bool  // completely
	// open reads length bytes from offset on; a length of 0 means up to the end.
	open func(ctx context.Context, offset, length int64) (io.ReadCloser, error)
}

// setIdentity sets the headers that identify the content, as the distribution spec defines them.
func setIdentity(h http.Header, d digest.Digest) {
	if d == "" {
		return
	}
	// Like Set, with one allocation for both.
	values := [...]string{d.String(), `"` + d.String() + `"`}
	h["Docker-Content-Digest"], h["Etag"] = values[0:1:1], values[1:2:2]
}

// notModified reports whether the client already has this content. Some clients send the digest without quotes.
func notModified(r *http.Request, d digest.Digest) bool {
	for _, header := range r.Header.Values("If-None-Match") {
		for tag := range strings.SplitSeq(header, ",") {
			tag = strings.Trim(strings.TrimPrefix(strings.TrimSpace(tag), "W/"), `"`)
			if d != "" && (tag == d.String() || tag == "*") {
				return true
			}
		}
	}
	return false
}

// send responds with the whole content, the requested range, or only the headers.
func (a *API) send(c echo.Context, body content) error {
	r, w := c.Request(), c.Response()
	h := w.Header()
	setIdentity(h, body.digest)
	if notModified(r, body.digest) {
		return c.NoContent(http.StatusNotModified)
	}
	h.Set("Content-Type", body.mediaType)
	h.Set("Accept-Ranges", "bytes")
	part, partial, err := requestedRange(r, body.digest, body.size)
	if err != nil {
		return refuseRange(c, body.size, err)
	}
	status := http.StatusOK
	if partial {
		status = http.StatusPartialContent
		h.Set("Content-Range", part.contentRange(body.size))
	}
	h.Set("Content-Length", strconv.FormatInt(part.length, 10))
	if r.Method == http.MethodHead {
		w.WriteHeader(status)
		return nil
	}
	length := part.length
	if part.offset+length == body.size {
		length = 0
	}
	bytes, err := body.open(r.Context(), part.offset, length)
	if err != nil {
		for _, name := range []string{"Content-Length", "Content-Range", "Content-Type", "Accept-Ranges", "ETag", "Docker-Content-Digest"} {
			h.Del(name)
		}
		return err
	}
	defer bytes.Close()
	w.WriteHeader(status)
	// echo's writer would hide that the one below can send a file without copying it.
	var n int64
	switch {
	case body.filling:
		if err := http.NewResponseController(w.Writer).Flush(); err != nil {
			return err
		}
		n, err = streamFill(w.Writer, bytes)
	case body.inMemory && part.length > bounded.Small:
		n, err = a.watched(w.Writer, func(w io.Writer) (int64, error) { return io.Copy(w, bytes) })
	default:
		n, err = stream(w.Writer, bytes)
	}
	w.Size += n
	if err == nil && n != part.length {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// requestedRange returns the requested part of the content, or all of it. Error: errRange.
func requestedRange(r *http.Request, d digest.Digest, size int64) (part byteRange, partial bool, err error) {
	if r.Method == http.MethodGet && rangeApplies(r, d) {
		if part, partial, err = parseRange(r.Header.Get("Range"), size); partial || err != nil {
			return part, partial, err
		}
	}
	return byteRange{0, size}, false, nil
}

func refuseRange(c echo.Context, size int64, err error) error {
	c.Response().Header().Set("Content-Range", fmt.Sprintf("bytes */%d", size))
	return writeProblem(c, problem{status: http.StatusRequestedRangeNotSatisfiable, code: "RANGE_INVALID", message: err.Error()})
}

// rangeApplies honors If-Range, RFC 9110 section 13.1.5: the client has part of exactly this content.
func rangeApplies(r *http.Request, d digest.Digest) bool {
	condition := r.Header.Get("If-Range")
	return condition == "" || condition == `"`+d.String()+`"`
}
