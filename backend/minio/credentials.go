package minio

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/entrepot-io/entrepot/backend/internal/s3rules"
)

// keep renews the source's credentials before they are valid for less than left. A source that gets them from the store
// uses client, which trusts the same certificate authorities.
func keep(source *credentials.Credentials, client *http.Client, endpoint string, left time.Duration) *s3rules.Credentials {
	return s3rules.NewCredentials(func(ctx context.Context) (aws.Credentials, error) {
		if source == nil {
			return aws.Credentials{}, errors.New("not configured")
		}
		source.Expire() // otherwise it returns the old ones for most of their validity
		v, err := source.GetWithContext(&credentials.CredContext{Context: ctx, Client: client, Endpoint: endpoint})
		if err == nil && v.AccessKeyID == "" {
			err = errors.New("not found")
		}
		return aws.Credentials{
			AccessKeyID: v.AccessKeyID, SecretAccessKey: v.SecretAccessKey, SessionToken: v.SessionToken,
			CanExpire: !v.Expiration.IsZero(), Expires: v.Expiration,
		}, err
	}, left)
}

// provider passes the credentials to minio-go.
type provider struct{ *s3rules.Credentials }

func (p provider) Retrieve() (credentials.Value, error) { return p.RetrieveWithCredContext(nil) }

func (p provider) RetrieveWithCredContext(cc *credentials.CredContext) (credentials.Value, error) {
	ctx := context.Background()
	if cc != nil && cc.Context != nil {
		ctx = cc.Context
	}
	c, err := p.Credentials.Retrieve(ctx)
	return credentials.Value{
		AccessKeyID: c.AccessKeyID, SecretAccessKey: c.SecretAccessKey, SessionToken: c.SessionToken,
		SignerType: credentials.SignatureV4,
	}, err
}

// IsExpired returns true, so that minio-go asks every time and gets renewed credentials.
func (p provider) IsExpired() bool { return true }
