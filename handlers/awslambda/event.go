package awslambda

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-lambda-go/events"
)

// httpEvent is an event that one of the supported AWS services made from an HTTP request.
type httpEvent interface {
	// request returns the HTTP request in the event.
	request() httpRequest
	// response returns the function's result, from which the service makes the HTTP response.
	response(httpResponse) any
	// limit returns the maximum size of the result in bytes, as JSON.
	limit() int
}

const (
	// maxResponse is Lambda's limit for a result in bytes. API Gateway's is larger.
	maxResponse = 6 << 20
	// maxALBResponse is a load balancer's limit for a result in bytes.
	maxALBResponse = 1 << 20
	// overhead is the space in bytes reserved for everything except the body. A redirect's URL takes up to 3 KB.
	overhead = 16 << 10
)

// maxBody returns the maximum size of a body in bytes. Its result stays within the limit in either encoding.
func maxBody(e httpEvent) int64 { return int64(e.limit()-overhead) / 4 * 3 }

// shape holds the fields that tell the kinds of events apart.
type shape struct {
	Version        string `json:"version"`
	RawPath        string `json:"rawPath"`
	HTTPMethod     string `json:"httpMethod"`
	Source         string `json:"source"`
	DetailType     string `json:"detail-type"`
	Command        string `json:"command"`
	RequestContext struct {
		ELB        json.RawMessage `json:"elb"`
		HTTP       json.RawMessage `json:"http"`
		DomainName string          `json:"domainName"`
	} `json:"requestContext"`
}

// isScheduled reports whether the event comes from an EventBridge rule or schedule.
func (s shape) isScheduled() bool { return s.Source == "aws.events" || s.Source == "aws.scheduler" }

// parse decodes an event. It returns a nil httpEvent for a scheduled event and a command. streaming says that Function URLs have invoke
// mode RESPONSE_STREAM.
func parse(payload []byte, streaming bool) (httpEvent, shape, error) {
	var s shape
	if err := json.Unmarshal(payload, &s); err != nil {
		return nil, s, fmt.Errorf("not an HTTP event: %w", err)
	}
	var e httpEvent
	switch {
	case s.RequestContext.ELB != nil:
		e = new(loadBalancer)
	case s.RequestContext.HTTP != nil && strings.Contains(s.RequestContext.DomainName, ".lambda-url."):
		e = &functionURL{streaming: streaming}
	case s.RequestContext.HTTP != nil:
		e = new(httpAPI)
	case s.HTTPMethod != "":
		e = new(restAPI)
	case s.isScheduled() || s.Command != "":
		return nil, s, nil
	default:
		return nil, s, errors.New("not an HTTP event: no requestContext.http (Function URL or HTTP API), requestContext.elb (load balancer) or httpMethod (REST API)")
	}
	if err := json.Unmarshal(payload, e); err != nil {
		return nil, s, fmt.Errorf("decode event: %w", err)
	}
	return e, s, nil
}

// functionURL is a request to a Function URL. The path is as the client sent it.
type functionURL struct {
	events.LambdaFunctionURLRequest
	streaming bool
}

func (e *functionURL) request() httpRequest {
	return httpRequest{
		method: e.RequestContext.HTTP.Method, path: e.RawPath, query: e.RawQueryString,
		header: single(e.Headers, e.Cookies), peer: e.RequestContext.HTTP.SourceIP,
	}
}

func (e *functionURL) response(r httpResponse) any {
	if e.streaming {
		return r.streamed()
	}
	text, isBase64 := r.text(e.limit())
	return events.LambdaFunctionURLResponse{
		StatusCode: r.status, Headers: r.joined(), Cookies: r.header["Set-Cookie"], Body: text, IsBase64Encoded: isBase64,
	}
}

func (*functionURL) limit() int { return maxResponse }

// httpAPI is a request to an HTTP API in payload format 2.0. The path is unescaped, and starts with the stage unless that
// is the default stage.
type httpAPI struct{ events.APIGatewayV2HTTPRequest }

func (e *httpAPI) request() httpRequest {
	return httpRequest{
		method: e.RequestContext.HTTP.Method, path: withoutStage(e.RawPath, e.RequestContext.Stage), unescaped: true, query: e.RawQueryString,
		header: single(e.Headers, e.Cookies), peer: e.RequestContext.HTTP.SourceIP,
	}
}

func (e *httpAPI) response(r httpResponse) any {
	text, isBase64 := r.text(e.limit())
	return events.APIGatewayV2HTTPResponse{
		StatusCode: r.status, Headers: r.joined(), Cookies: r.header["Set-Cookie"], Body: text, IsBase64Encoded: isBase64,
	}
}

func (*httpAPI) limit() int { return maxResponse }

func withoutStage(path, stage string) string {
	if rest, ok := strings.CutPrefix(path, "/"+stage+"/"); ok && stage != "" {
		return "/" + rest
	}
	return path
}

// restAPI is a request to a REST API, or to an HTTP API in payload format 1.0. The query is unescaped, the path is not.
type restAPI struct{ events.APIGatewayProxyRequest }

func (e *restAPI) request() httpRequest {
	path := e.Path
	if path == e.RequestContext.Path { // not a REST API, which has the stage in RequestContext.Path only
		path = withoutStage(path, e.RequestContext.Stage)
	}
	return httpRequest{
		method: e.HTTPMethod, path: path,
		query:  pairs(e.QueryStringParameters, e.MultiValueQueryStringParameters).Encode(),
		header: multi(e.Headers, e.MultiValueHeaders), peer: e.RequestContext.Identity.SourceIP,
	}
}

func (e *restAPI) response(r httpResponse) any {
	text, isBase64 := r.text(e.limit())
	return events.APIGatewayProxyResponse{
		StatusCode: r.status, MultiValueHeaders: r.header, Body: text, IsBase64Encoded: isBase64,
	}
}

func (*restAPI) limit() int { return maxResponse }
