package awslambda

import (
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-lambda-go/events"
)

// loadBalancer is a request to an Application Load Balancer. Its path and its query are as the client wrote them.
// Whether there is one value for each header or several is a setting of the target group, which holds for the response too.
type loadBalancer struct{ events.ALBTargetGroupRequest }

func (e *loadBalancer) request() (httpRequest, error) {
	body, err := decoded(e.Body, e.IsBase64Encoded)
	var query []string
	for name, values := range pairs(e.QueryStringParameters, e.MultiValueQueryStringParameters) {
		for _, value := range values {
			query = append(query, name+"="+value)
		}
	}
	slices.Sort(query) // the order of a map differs each time
	header := multi(e.Headers, e.MultiValueHeaders)
	return httpRequest{
		method: e.HTTPMethod, path: e.Path, query: strings.Join(query, "&"), header: header, body: body, peer: peer(header),
	}, err
}

// peer is the address that a load balancer was asked from: the last of X-Forwarded-For, which it has added. Its own
// health checks have none.
func peer(header http.Header) string {
	list := header.Values("X-Forwarded-For")
	if len(list) == 0 {
		return ""
	}
	last := list[len(list)-1]
	last = strings.TrimSpace(last[strings.LastIndexByte(last, ',')+1:])
	if host, _, err := net.SplitHostPort(last); err == nil { // where it is set to tell ports
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
