package doctor

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
)

// isCertificateError reports whether a connection failed because of the server's certificate.
func isCertificateError(err error) bool {
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return true
	}
	_, ok := errors.AsType[x509.HostnameError](err)
	return ok
}
