package awslambda

import (
	"bytes"
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/aws/aws-lambda-go/events"
)

// httpResponse is a complete HTTP response.
type httpResponse struct {
	method string // of the request
	status int
	header http.Header
	body   []byte
}

// text returns the body for a result of at most limit bytes. Text stays text unless escaping makes it too long: by default
// a REST API does not decode Base64.
func (r httpResponse) text(limit int) (body string, isBase64 bool) {
	if utf8.Valid(r.body) && maxEscapedLength(r.body) <= limit-overhead {
		return string(r.body), false
	}
	return base64.StdEncoding.EncodeToString(r.body), true
}

// maxEscapedLength returns an upper bound for the length of text as a JSON string, in bytes.
func maxEscapedLength(text []byte) (n int) {
	for _, b := range text {
		switch {
		case b == '"' || b == '\\' || b == '\n':
			n += 2
		case b < ' ' || b == '<' || b == '>' || b == '&':
			n += len(`\u0000`)
		case b == 0xe2: // may begin U+2028
			n += len(`\u2028`) - 2
		default:
			n++
		}
	}
	return n
}

// joined returns the headers except Set-Cookie, with the values of each name joined by commas.
func (r httpResponse) joined() map[string]string {
	one := make(map[string]string, len(r.header))
	for name, values := range r.header {
		if name != "Set-Cookie" {
			one[name] = strings.Join(values, ", ")
		}
	}
	return one
}

// streamed returns the result for a Function URL with invoke mode RESPONSE_STREAM. A response without a body can hang
// there until the function times out (aws-lambda-web-adapter#499), so an empty body becomes the status text if the status
// allows a body.
func (r httpResponse) streamed() *events.LambdaFunctionURLStreamingResponse {
	body, header := r.body, r.joined()
	if len(body) == 0 && r.method != http.MethodHead && r.status != http.StatusNoContent && r.status != http.StatusNotModified {
		body = []byte(http.StatusText(r.status) + "\n")
		header["Content-Type"] = "text/plain; charset=utf-8"
		delete(header, "Content-Length")
	}
	return &events.LambdaFunctionURLStreamingResponse{
		StatusCode: r.status, Headers: header, Cookies: r.header["Set-Cookie"], Body: bytes.NewReader(body),
	}
}

// errTooLarge means that the platform would refuse the response.
var errTooLarge = errors.New("the answer exceeds the platform's limit")

// writer buffers a response. Write fails with errTooLarge once the body exceeds the limit.
type writer struct {
	header http.Header
	status int
	sent   http.Header // copy of header made by WriteHeader
	body   bytes.Buffer
	limit  int64 // of the body, in bytes
	err    error // nil or errTooLarge
}

func (w *writer) Header() http.Header { return w.header }

func (w *writer) WriteHeader(status int) {
	if w.status == 0 && status >= http.StatusOK { // results carry no informational responses
		w.status, w.sent = status, w.header.Clone()
	}
}

func (w *writer) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	if int64(w.body.Len()+len(p)) > w.limit {
		w.err = errTooLarge
		return 0, w.err
	}
	return w.body.Write(p)
}

// Flush does nothing: the result is sent as a whole.
func (w *writer) Flush() {}

// response returns what the handler wrote.
func (w *writer) response(method string) httpResponse {
	w.WriteHeader(http.StatusOK)
	return httpResponse{method, w.status, w.sent, w.body.Bytes()}
}
