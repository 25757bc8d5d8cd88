package main_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/infra/testenv/lambda"
)

// fronts are the services that can invoke a function, some in several configurations.
var fronts = map[string]lambda.Options{
	"Function URL":                           {Front: lambda.FunctionURL},
	"streaming Function URL":                 {Front: lambda.StreamingURL, Env: []string{"ENTREPOT_LAMBDA_STREAMING=true"}},
	"HTTP API":                               {Front: lambda.HTTPAPI},
	"HTTP API with a stage":                  {Front: lambda.HTTPAPI, Stage: "prod"},
	"REST API with a stage":                  {Front: lambda.RESTAPI, Stage: "prod"},
	"load balancer":                          {Front: lambda.LoadBalancer},
	"load balancer with multi-value headers": {Front: lambda.LoadBalancerMulti},
}

// function starts the cluster's program as a Lambda function.
func (w *cluster) function(t *testing.T, o lambda.Options, env ...string) *lambda.Function {
	t.Helper()
	o.Bootstrap = w.program
	if o.Timeout == 0 {
		o.Timeout = time.Minute
	}
	all := append([]string{
		"ENTREPOT_LOG_FORMAT=json",
		"ENTREPOT_UPSTREAMS=docker.io=" + w.upstream.URL(),
		fmt.Sprintf("ENTREPOT_SEGMENT_SIZE=%d", fillSegment),
		"ENTREPOT_FILL_CONNECTIONS=2",
	}, w.store...)
	o.Env = append(append(all, o.Env...), env...)
	return lambda.Start(t, o)
}

// send sends a request to a function and returns the response and its body. header alternates names and values.
func send(t *testing.T, f *lambda.Function, method, path string, header ...string) (*http.Response, string) {
	t.Helper()
	resp, body, err := trySend(f, method, path, header...)
	require.NoError(t, err)
	return resp, body
}

func trySend(f *lambda.Function, method, path string, header ...string) (*http.Response, string, error) {
	req, err := http.NewRequest(method, f.URL()+path, nil)
	if err != nil {
		return nil, "", err
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	client := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true, DisableCompression: true, ResponseHeaderTimeout: 20 * time.Second},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp, string(body), err
}

// pulled is the outcome of a client's download of a blob.
type pulled struct {
	sum  string // digest of the bytes from the bucket
	hops int
	err  error
}

// follow downloads a blob, following redirects as a client does.
func follow(f *lambda.Function, path string) (p pulled) {
	client := &http.Client{
		Transport: &http.Transport{DisableKeepAlives: true, ResponseHeaderTimeout: 20 * time.Second},
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			if strings.Contains(r.URL.RawQuery, "hop=") {
				p.hops++
			}
			if len(via) > 9 {
				return fmt.Errorf("more than %d redirects", len(via)-1)
			}
			return nil
		},
	}
	resp, err := client.Get(f.URL() + path)
	if err != nil {
		p.err = err
		return p
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		p.err = fmt.Errorf("status %s", resp.Status)
		return p
	}
	p.sum, p.err = hashOf(resp.Body)
	return p
}
