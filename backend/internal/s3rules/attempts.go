package s3rules

import (
	"crypto/tls"
	"encoding/xml"
	"errors"
	"net"
	"net/http"
	"strings"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/backend/internal/link"
)

// busyCodes are the codes that ask clients to come back later, whatever the status.
var busyCodes = map[string]bool{
	"BandwidthLimitExceeded": true, "RequestLimitExceeded": true, "RequestThrottled": true, "RequestThrottledException": true, "ServerBusy": true, "ServiceUnavailable": true,
	"SlowDown": true, "SlowDownRead": true, "SlowDownWrite": true, "Throttling": true, "ThrottlingException": true,
	"ThrottledException": true, "TooManyRequests": true, "TooManyRequestsException": true,
}

// brokenCodes are the codes of failures that another attempt may not meet. S3 sends InternalError now and then, but a server
// that keeps sending it is broken rather than busy, as SeaweedFS is without free space.
var brokenCodes = map[string]bool{
	"ClientDisconnected":  true, // MinIO: the connection broke during the body
	"IncompleteBody":      true,
	"InternalError":       true,
	"InternalServerError": true,
	"OperationAborted":    true, // another operation is in progress
	"RequestTimeout":      true, // the body arrived too slowly
	"XMinioBackendDown":   true,
}

// attempts returns how many attempts a request that failed with err is worth.
func (f Failure) attempts(op string, err error) attempts {
	switch {
	case f.full() || f.Code == "NotImplemented":
		return final
	case f.Code == "RequestTimeTooSkewed":
		return once // aws-sdk-go-v2 has learned the store's clock from the response
	case busyCodes[f.Code]:
		return many
	case brokenCodes[f.Code]:
		return few
	case f.Status == 0:
		return attemptsWithoutResponse(op, err)
	}
	switch {
	case f.Status == http.StatusTooManyRequests || f.Status == http.StatusServiceUnavailable:
		return many
	case backend.TransientStatus(f.Status):
		return few
	}
	return final
}

// mayPass reports whether a request that got no response may get one later, though not soon: the store stalled for minutes,
// or its name does not resolve while it restarts (Docker, Kubernetes).
func mayPass(err error) bool {
	dns, ok := errors.AsType[*net.DNSError](err)
	return errors.Is(err, backend.ErrLate) || ok && dns.IsNotFound
}

// attemptsWithoutResponse is attempts for a request without a complete response.
func attemptsWithoutResponse(op string, err error) attempts {
	if errors.Is(err, backend.ErrLate) {
		if op == "copy" || op == "complete" {
			return final // it already had minutes
		}
		return once
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return final
	}
	if _, ok := errors.AsType[*xml.SyntaxError](err); ok && !strings.Contains(err.Error(), "unexpected EOF") {
		return final
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok && dns.IsNotFound {
		return final
	}
	if proxy, ok := errors.AsType[*link.ProxyError](err); ok && proxy.Code < 500 && proxy.Code != http.StatusTooManyRequests {
		return final
	}
	if errors.Is(err, backend.ErrUnable) || strings.Contains(err.Error(), "server gave HTTP response to HTTPS client") {
		return final
	}
	return few
}
