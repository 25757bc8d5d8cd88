package lambda

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// maxFromLoadBalancer is a load balancer's limit for a response, in bytes of JSON.
const maxFromLoadBalancer = 1 << 20

// serve invokes the function with the request's event and translates its response to HTTP.
func (f *Function) serve(w http.ResponseWriter, r *http.Request) {
	if f.Stage != "" && !strings.HasPrefix(r.URL.Path, "/"+f.Stage+"/") {
		http.Error(w, `{"message":"Not Found"}`, http.StatusNotFound)
		return
	}
	event, err := f.event(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	response, err := f.Invoke(event)
	if err == nil {
		err = f.answer(w, r, response)
	}
	if err != nil {
		f.t.Logf("%s: %s %s: %v", f.Front, r.Method, r.URL, err)
		http.Error(w, `{"message":"Internal Server Error"}`, http.StatusBadGateway)
	}
}

var errFormat = errors.New("response does not have the front's format")

// httpResponse is a buffered response in any of the fronts' formats.
type httpResponse struct {
	StatusCode        int                 `json:"statusCode"`
	Headers           map[string]string   `json:"headers"`
	MultiValueHeaders map[string][]string `json:"multiValueHeaders"`
	Cookies           []string            `json:"cookies"`
	Body              string              `json:"body"`
	IsBase64Encoded   bool                `json:"isBase64Encoded"`
}

// answer sends a function's response to the client. If it returns an error, it has sent nothing.
func (f *Function) answer(w http.ResponseWriter, r *http.Request, response *Response) error {
	if f.Front == StreamingURL {
		if response.Prelude == nil { // the front passes it on unchanged
			_, _ = w.Write(response.JSON)
			return nil
		}
		send(w, r, response.Prelude.StatusCode, headersOf(response.Prelude.Headers, nil, response.Prelude.Cookies), response.Body)
		return nil
	}
	if response.Prelude != nil {
		return f.refuse(errFormat)
	}
	var a httpResponse
	if err := json.Unmarshal(response.JSON, &a); err != nil || a.StatusCode < 100 {
		return f.refuse(errFormat)
	}
	all := a.MultiValueHeaders
	switch f.Front {
	case LoadBalancer, LoadBalancerMulti:
		if len(response.JSON) > maxFromLoadBalancer {
			return f.refuse(fmt.Errorf("response of %d bytes exceeds the load balancer's limit of %d", len(response.JSON), maxFromLoadBalancer))
		}
		if (f.Front == LoadBalancerMulti) != (a.MultiValueHeaders != nil) {
			return f.refuse(errFormat)
		}
	case FunctionURL, HTTPAPI:
		all = nil // these fronts ignore multi-value headers
	}
	body := []byte(a.Body)
	if a.IsBase64Encoded {
		var err error
		if body, err = base64.StdEncoding.DecodeString(a.Body); err != nil {
			return f.refuse(errFormat)
		}
	}
	send(w, r, a.StatusCode, headersOf(a.Headers, all, a.Cookies), strings.NewReader(string(body)))
	return nil
}

func (f *Function) refuse(err error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.count.Refused++
	return err
}

func headersOf(one map[string]string, all map[string][]string, cookies []string) http.Header {
	h := http.Header{}
	for name, value := range one {
		h.Set(name, value)
	}
	for name, values := range all {
		h[http.CanonicalHeaderKey(name)] = values
	}
	for _, cookie := range cookies {
		h.Add("Set-Cookie", cookie)
	}
	return h
}

// send writes a response. Except for HEAD, net/http sets the Content-Length.
func send(w http.ResponseWriter, r *http.Request, status int, header http.Header, body io.Reader) {
	if r.Method != http.MethodHead {
		header.Del("Content-Length")
	}
	for name, values := range header {
		w.Header()[name] = values
	}
	w.WriteHeader(status)
	if _, err := io.Copy(w, body); err != nil && r.Method != http.MethodHead {
		panic(http.ErrAbortHandler) // close the client's connection too
	}
}
