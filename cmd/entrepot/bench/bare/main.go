//go:build bench

// Command bare is the baseline for hits: an echo handler that answers every request with a constant 307.
package main

import (
	"log"
	"net/http"
	"os"

	"github.com/labstack/echo/v4"
)

// location is as long as a presigned URL.
const location = "http://127.0.0.1:9000/bucket/public/blobs/sha256/" + hex64 + "?X-Amz-Algorithm=AWS4-HMAC-SHA256" +
	"&X-Amz-Credential=entrepot-test%2F20261123%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20261123T000000Z" +
	"&X-Amz-Expires=3600&X-Amz-SignedHeaders=host&X-Amz-Signature=" + hex64

const hex64 = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

func main() {
	e := echo.New()
	e.GET("/v2/", func(c echo.Context) error { return c.NoContent(http.StatusOK) })
	e.Any("/v2/*", func(c echo.Context) error { return c.Redirect(http.StatusTemporaryRedirect, location) })
	log.Fatal(http.ListenAndServe(os.Args[1], e))
}
