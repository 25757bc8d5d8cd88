package awslambda

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// These tests are inside the package since Serve does not return. cmd/entrepot tests the whole program against the real
// protocol.

// urlEvent returns an event of a Function URL, with more appended to its fields.
func urlEvent(method, more string) string {
	return fmt.Sprintf(`{"version":"2.0","rawPath":"/v2/a%%2Fb","rawQueryString":"ns=x%%2Fy","headers":{"host":"mirror.example","accept":"a,b"},`+
		`"requestContext":{"domainName":"abc.lambda-url.eu-central-1.on.aws","http":{"method":%q,"sourceIp":"2001:db8::7"}}%s}`, method, more)
}

const balancerEvent = `{"requestContext":{"elb":{}},"httpMethod":"GET","path":"/v2/","headers":{"x-forwarded-for":%q}}`

// answerOf returns the HTTP response that a handler's response to an event becomes.
func answerOf(t *testing.T, streaming bool, event string, handler http.HandlerFunc) (status int, header http.Header, body []byte) {
	t.Helper()
	s := &server{Config: Config{Handler: handler, Streaming: streaming, Log: slog.New(slog.DiscardHandler)}}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	response, err := s.invoke(ctx, json.RawMessage(event))
	require.NoError(t, err)
	var text []byte
	if stream, ok := response.(io.Reader); ok {
		all, err := io.ReadAll(stream)
		require.NoError(t, err)
		text, body, _ = bytes.Cut(all, make([]byte, 8))
	} else {
		text, err = json.Marshal(response)
		require.NoError(t, err)
	}
	var a struct {
		StatusCode        int
		Headers           map[string]string
		MultiValueHeaders http.Header
		Cookies           []string
		Body              string
		IsBase64Encoded   bool
	}
	require.NoError(t, json.Unmarshal(text, &a), "%s", text)
	header = multi(a.Headers, a.MultiValueHeaders)
	header["Set-Cookie"] = append(header["Set-Cookie"], a.Cookies...)
	if a.IsBase64Encoded {
		a.Body = string(must(base64.StdEncoding.DecodeString(a.Body)))
	}
	return a.StatusCode, header, append([]byte(a.Body), body...)
}

func must(data []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return data
}

func TestHandlerGetsTheClientsRequest(t *testing.T) {
	more := `,"cookies":["a=b","c=d"],"isBase64Encoded":true,"body":"not base64, but nobody reads it"`
	status, header, body := answerOf(t, false, urlEvent("PUT", more), func(w http.ResponseWriter, r *http.Request) {
		sent, err := io.ReadAll(r.Body)
		assert.NoError(t, err)
		assert.Empty(t, sent)
		assert.Zero(t, r.ContentLength)
		assert.Equal(t, "PUT", r.Method)
		assert.Equal(t, "mirror.example", r.Host)
		assert.Equal(t, "/v2/a/b", r.URL.Path)
		assert.Equal(t, "/v2/a%2Fb", r.URL.EscapedPath())
		assert.Equal(t, "x/y", r.URL.Query().Get("ns"))
		assert.Equal(t, "/v2/a%2Fb?ns=x%2Fy", r.RequestURI)
		assert.Equal(t, "[2001:db8::7]:0", r.RemoteAddr)
		assert.Equal(t, "a,b", r.Header.Get("Accept"))
		assert.Equal(t, "a=b; c=d", r.Header.Get("Cookie"))
		w.Header().Add("Warning", "one")
		w.Header().Add("Warning", "two")
		w.Header().Add("Set-Cookie", "e=f, g")
		w.Header().Add("Set-Cookie", "h=i")
		w.WriteHeader(http.StatusTeapot)
		w.Header().Set("Late", "x")
		_, _ = w.Write([]byte{0, 255, 2})
	})
	assert.Equal(t, http.StatusTeapot, status)
	assert.Equal(t, []byte{0, 255, 2}, body)
	assert.Equal(t, "one, two", header.Get("Warning"))
	assert.Equal(t, []string{"e=f, g", "h=i"}, header["Set-Cookie"])
	assert.Empty(t, header.Get("Late"), "set after WriteHeader")
}

func TestLoadBalancerPeerIsLastForwardedAddress(t *testing.T) {
	for forwarded, want := range map[string]string{
		"192.0.2.1":                          "192.0.2.1:0",
		"10.0.0.1, 192.0.2.1":                "192.0.2.1:0",
		"10.0.0.1,192.0.2.1:4711":            "192.0.2.1:0",
		"2001:db8::7":                        "[2001:db8::7]:0",
		"10.0.0.1, [2001:db8::7]:4711":       "[2001:db8::7]:0",
		"":                                   "",
		"sent by the client, not an address": "not an address:0",
	} {
		answerOf(t, false, fmt.Sprintf(balancerEvent, forwarded), func(_ http.ResponseWriter, r *http.Request) {
			assert.Equal(t, want, r.RemoteAddr, forwarded)
		})
	}
}

func TestOversizedOrAbortedResponseBecomes500(t *testing.T) {
	for name, test := range map[string]struct {
		event string
		bytes int
	}{
		"Function URL, too large":      {urlEvent("GET", ""), maxResponse},
		"load balancer, too large":     {fmt.Sprintf(balancerEvent, "192.0.2.1"), maxALBResponse},
		"Function URL, aborted":        {urlEvent("GET", ""), 0},
		"Function URL, aborted midway": {urlEvent("GET", ""), 100},
		"load balancer, aborted":       {fmt.Sprintf(balancerEvent, "192.0.2.1"), 1},
	} {
		t.Run(name, func(t *testing.T) {
			status, header, body := answerOf(t, false, test.event, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Docker-Content-Digest", "sha256:x")
				for range test.bytes / 1000 {
					if _, err := w.Write(make([]byte, 1000)); err != nil {
						return
					}
				}
				panic(http.ErrAbortHandler)
			})
			assert.Equal(t, http.StatusInternalServerError, status)
			assert.Contains(t, string(body), `{"errors":[{"code":"UNAVAILABLE","message":"the answer`)
			assert.Empty(t, header.Get("Docker-Content-Digest"))
		})
	}
}

func TestLargestBodyFitsTheLimit(t *testing.T) {
	for _, f := range []httpEvent{new(functionURL), new(httpAPI), new(restAPI), new(loadBalancer)} {
		for _, fill := range []string{"a", `"`, "\x01", "\xff", "é", "\u2028", "<"} {
			body := strings.Repeat(fill, int(maxBody(f))/len(fill))
			header := http.Header{"Location": {strings.Repeat("x", 3000)}}
			response := must(json.Marshal(f.response(httpResponse{"GET", http.StatusOK, header, []byte(body)})))
			assert.LessOrEqual(t, len(response), f.limit(), "%T %q", f, fill)
		}
	}
}

func TestStreamedResponseHasABodyIfAllowed(t *testing.T) {
	for status, want := range map[int]string{
		http.StatusTemporaryRedirect: "Temporary Redirect\n", http.StatusNoContent: "", http.StatusNotModified: "",
	} {
		got, _, body := answerOf(t, true, urlEvent("GET", ""), func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
		assert.Equal(t, status, got)
		assert.Equal(t, want, string(body))
	}
	_, header, body := answerOf(t, true, urlEvent("HEAD", ""), func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "7") })
	assert.Empty(t, body)
	assert.Equal(t, "7", header.Get("Content-Length"))
}

func TestHandOverPrecedesResponseAndTimeout(t *testing.T) {
	for _, timeout := range []time.Duration{time.Second, 3 * time.Second, 10 * time.Second, 30 * time.Second, 15 * time.Minute} {
		var handlerDeadline, handOverDeadline time.Time
		s := &server{Config: Config{Log: slog.New(slog.DiscardHandler)}}
		s.Handler = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			handlerDeadline, _ = r.Context().Deadline()
			assert.Zero(t, handOverDeadline, "handover before the handler ended")
		})
		s.HandOver = func(ctx context.Context) error {
			handOverDeadline, _ = ctx.Deadline()
			return context.DeadlineExceeded // does not fail the invocation
		}
		ctx, cancel := context.WithTimeout(t.Context(), timeout)
		began := time.Now()
		_, err := s.invoke(ctx, json.RawMessage(urlEvent("GET", "")))
		cancel()
		require.NoError(t, err)
		handler, handOver := handlerDeadline.Sub(began), handOverDeadline.Sub(began)
		t.Logf("timeout %s: handler until %s, handover until %s", timeout, handler, handOver)
		assert.GreaterOrEqual(t, handler, min(timeout/2, handlerTimeout))
		assert.LessOrEqual(t, handler, min(timeout*3/4, handlerTimeout+time.Second))
		assert.Less(t, handOver, timeout)
	}
}
