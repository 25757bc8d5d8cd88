package awslambda

import (
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-lambda-go/events"
)

// loadBalancer is a request to an Application Load Balancer. The path and the query are as the client sent them. A setting
// of the target group decides whether headers have one value or several, in requests and responses alike.
type loadBalancer struct{ events.ALBTargetGroupRequest }

func (e *loadBalancer) request() httpRequest {
	var query []string
	for name, values := range pairs(e.QueryStringParameters, e.MultiValueQueryStringParameters) {
		for _, value := range values {
			query = append(query, name+"="+value)
		}
	}
	slices.Sort(query) // map order is random
	header := multi(e.Headers, e.MultiValueHeaders)
	return httpRequest{
		method: e.HTTPMethod, path: e.Path, query: strings.Join(query, "&"), header: header, peer: peer(header),
	}
}

// peer returns the client's address: the last one in X-Forwarded-For, which the load balancer added. It is empty for the
// load balancer's health checks.
func peer(header http.Header) string {
	list := header.Values("X-Forwarded-For")
	if len(list) == 0 {
		return ""
	}
	last := list[len(list)-1]
	last = strings.TrimSpace(last[strings.LastIndexByte(last, ',')+1:])
	if host, _, err := net.SplitHostPort(last); err == nil { // the load balancer is configured to add ports
		return host
	}
	return strings.Trim(last, "[]")
}

func (e *loadBalancer) response(r httpResponse) any {
	text, isBase64 := r.text(e.limit())
	response := events.ALBTargetGroupResponse{
		StatusCode: r.status, StatusDescription: strconv.Itoa(r.status) + " " + http.StatusText(r.status),
		Body: text, IsBase64Encoded: isBase64,
	}
	if e.MultiValueHeaders != nil {
		response.MultiValueHeaders = r.header
	} else {
		response.Headers = r.joined()
	}
	return response
}

func (*loadBalancer) limit() int { return maxALBResponse }
