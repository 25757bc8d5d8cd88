package lambda

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// A Front is a service that translates HTTP requests to function invocations.
type Front int

// The fronts.
const (
	FunctionURL       Front = iota // invoke mode BUFFERED
	StreamingURL                   // a Function URL with invoke mode RESPONSE_STREAM
	HTTPAPI                        // payload format 2.0
	RESTAPI                        // payload format 1.0
	LoadBalancer                   // passes one value per header
	LoadBalancerMulti              // multi-value headers enabled in the target group
)

func (f Front) String() string {
	return [...]string{"Function URL", "streaming Function URL", "HTTP API", "REST API", "load balancer", "load balancer with multi-value headers"}[f]
}

// event returns the event that the front creates from a request.
func (f *Function) event(r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	source, _, _ := net.SplitHostPort(r.RemoteAddr) // net/http sets a valid one
	header := r.Header.Clone()
	header.Set("Host", r.Host)
	header.Set("X-Forwarded-For", strings.Join(append(header.Values("X-Forwarded-For"), source), ", "))
	header.Set("X-Forwarded-Proto", "https")
	raw, _, _ := strings.Cut(r.RequestURI, "?")
	event := map[string]any{"body": "", "isBase64Encoded": false}
	if len(body) > 0 {
		event["body"], event["isBase64Encoded"] = base64.StdEncoding.EncodeToString(body), true
	}
	switch f.Front {
	case FunctionURL, StreamingURL:
		f.version2(event, r, header, source, raw, "abcdef.lambda-url.eu-central-1.on.aws")
	case HTTPAPI:
		// HTTP APIs unescape the path, and cut it at an escaped question mark.
		path, err := url.PathUnescape(raw)
		if err != nil {
			return nil, err
		}
		path, _, _ = strings.Cut(path, "?")
		f.version2(event, r, header, source, path, "abcdef.execute-api.eu-central-1.amazonaws.com")
	case RESTAPI:
		f.rest(event, r, header, source, raw)
	case LoadBalancer, LoadBalancerMulti:
		f.loadBalancer(event, r, header, raw)
	}
	return json.Marshal(event)
}

func (f *Function) stage() string {
	if f.Stage == "" {
		return "$default"
	}
	return f.Stage
}

func (f *Function) version2(event map[string]any, r *http.Request, header http.Header, source, path, domain string) {
	var cookies []string
	for _, line := range header.Values("Cookie") {
		cookies = append(cookies, strings.Split(line, "; ")...)
	}
	header.Del("Cookie")
	joined := map[string]string{}
	for name, values := range header {
		joined[strings.ToLower(name)] = strings.Join(values, ",")
	}
	one := map[string]string{}
	for name, values := range r.URL.Query() {
		one[name] = strings.Join(values, ",")
	}
	event["version"], event["routeKey"], event["rawPath"], event["rawQueryString"] = "2.0", "$default", path, r.URL.RawQuery
	event["headers"], event["queryStringParameters"] = joined, one
	if len(cookies) > 0 {
		event["cookies"] = cookies
	}
	id, _, _ := strings.Cut(domain, ".")
	event["requestContext"] = map[string]any{
		"accountId": "anonymous", "apiId": id, "domainName": domain, "domainPrefix": id, "requestId": rand.Text(), "routeKey": "$default",
		"stage": f.stage(), "time": time.Now().UTC().Format("02/Jan/2006:15:04:05 +0000"), "timeEpoch": time.Now().UnixMilli(),
		"http": map[string]any{
			"method": r.Method, "path": path, "protocol": r.Proto, "sourceIp": source, "userAgent": r.UserAgent(),
		},
	}
}

func (f *Function) rest(event map[string]any, r *http.Request, header http.Header, source, raw string) {
	path := strings.TrimPrefix(raw, "/"+f.Stage)
	last, query := map[string]string{}, map[string]string{}
	for name, values := range header {
		last[name] = values[len(values)-1]
	}
	for name, values := range r.URL.Query() {
		query[name] = values[len(values)-1]
	}
	event["resource"], event["path"], event["httpMethod"] = "/{proxy+}", path, r.Method
	event["headers"], event["multiValueHeaders"] = last, header
	event["queryStringParameters"], event["multiValueQueryStringParameters"] = query, r.URL.Query()
	event["requestContext"] = map[string]any{
		"accountId": "123456789012", "apiId": "abcdef", "stage": f.stage(), "path": raw, "httpMethod": r.Method, "requestId": rand.Text(),
		"resourcePath": "/{proxy+}", "protocol": r.Proto, "identity": map[string]any{"sourceIp": source, "userAgent": r.UserAgent()},
	}
}

// loadBalancer passes on path and query unchanged. Without multi-value headers it keeps the last of several values.
func (f *Function) loadBalancer(event map[string]any, r *http.Request, header http.Header, raw string) {
	headers, query := map[string][]string{}, map[string][]string{}
	for name, values := range header {
		headers[strings.ToLower(name)] = values
	}
	headers["x-amzn-trace-id"] = []string{"Root=1-67891233-abcdef012345678912345678"}
	for pair := range strings.SplitSeq(r.URL.RawQuery, "&") {
		if name, value, _ := strings.Cut(pair, "="); name != "" {
			query[name] = append(query[name], value)
		}
	}
	event["requestContext"] = map[string]any{"elb": map[string]any{
		"targetGroupArn": "arn:aws:elasticloadbalancing:eu-central-1:123456789012:targetgroup/mirror/49e9d65c45c6791a",
	}}
	event["httpMethod"], event["path"] = r.Method, raw
	if f.Front == LoadBalancerMulti {
		event["multiValueHeaders"], event["multiValueQueryStringParameters"] = headers, query
		return
	}
	event["headers"], event["queryStringParameters"] = lasts(headers), lasts(query)
}

func lasts(all map[string][]string) map[string]string {
	last := map[string]string{}
	for name, values := range all {
		last[name] = values[len(values)-1]
	}
	return last
}

// HealthCheck returns the event of a load balancer's health check.
func HealthCheck(path string) []byte {
	return fmt.Appendf(nil, `{"requestContext":{"elb":{"targetGroupArn":"arn:aws:elasticloadbalancing:eu-central-1:123456789012:targetgroup/mirror/49e9d65c45c6791a"}},`+
		`"httpMethod":"GET","path":%q,"queryStringParameters":{},"headers":{"user-agent":"ELB-HealthChecker/2.0"},"body":"","isBase64Encoded":false}`, path)
}
