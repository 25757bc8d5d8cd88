package presign

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
)

// CDNKey is a key pair for CloudFront's signed URLs.
type CDNKey struct {
	ID      string
	Private crypto.Signer // from ParseCDNKey; other ECDSA signers give each replica different URLs
}

// ParseCDNKey parses a private key in PEM: RSA, or ECDSA with P-256, which CloudFront supports.
func ParseCDNKey(text []byte) (crypto.Signer, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("no private key in PEM format found")
	}
	var key any
	var err error
	switch block.Type {
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(block.Bytes)
	case "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	default:
		return nil, fmt.Errorf("PEM block is a %s, want an unencrypted private key", block.Type)
	}
	if err != nil {
		return nil, err
	}
	switch key := key.(type) {
	case *rsa.PrivateKey:
		return key, nil
	case *ecdsa.PrivateKey:
		if key.Curve != elliptic.P256() {
			return nil, fmt.Errorf("ECDSA key with %s is not supported by CloudFront, want P-256", key.Params().Name)
		}
		return repeatable{key}, nil
	}
	return nil, errors.New("unsupported key type, want RSA or ECDSA")
}

// repeatable signs deterministically (RFC 6979), so that all replicas have the same URLs.
type repeatable struct{ *ecdsa.PrivateKey }

func (r repeatable) Sign(_ io.Reader, digest []byte, o crypto.SignerOpts) ([]byte, error) {
	return r.PrivateKey.Sign(nil, digest, o)
}
