package presign_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/backend/minio"
	"github.com/entrepot-io/entrepot/backend/s3"
	"github.com/entrepot-io/entrepot/infra/testenv"
	"github.com/entrepot-io/entrepot/presign"
)

// role is a source of temporary credentials for both SDKs: the last ones that MinIO issued.
type role struct {
	issued atomic.Pointer[credentials.Value]
}

var errUnavailable = errors.New("token service unavailable")

func (r *role) Retrieve() (credentials.Value, error) { return r.RetrieveWithCredContext(nil) }

func (r *role) RetrieveWithCredContext(*credentials.CredContext) (credentials.Value, error) {
	if v := r.issued.Load(); v != nil {
		return *v, nil
	}
	return credentials.Value{}, errUnavailable
}

func (r *role) IsExpired() bool { return false }

func (r *role) toAWS(context.Context) (aws.Credentials, error) {
	v, err := r.Retrieve()
	return aws.Credentials{
		AccessKeyID: v.AccessKeyID, SecretAccessKey: v.SecretAccessKey, SessionToken: v.SessionToken,
		CanExpire: true, Expires: v.Expiration,
	}, err
}

// timesOf returns the times between which a presigned URL is valid.
func timesOf(t *testing.T, signed string) (begin, end time.Time) {
	t.Helper()
	u, err := url.Parse(signed)
	require.NoError(t, err)
	at, err := time.Parse("20060102T150405Z", u.Query().Get("X-Amz-Date"))
	require.NoError(t, err)
	seconds, err := strconv.Atoi(u.Query().Get("X-Amz-Expires"))
	require.NoError(t, err)
	return at, at.Add(time.Duration(seconds) * time.Second)
}

// inNewWindow returns a key whose window began recently, so that the test stays within it.
func inNewWindow(t *testing.T, store backend.Store) string {
	t.Helper()
	urls := newURLs(store, config)
	for n := 0; ; n++ {
		key := fmt.Sprint("blob", n)
		if begin, _ := timesOf(t, urls.get(t, key)); time.Since(begin) < 10*time.Minute {
			return key
		}
	}
}

var config = presign.Config{Expiry: time.Hour, MinLeft: 10 * time.Minute}

func TestURLsExpireWithTemporaryCredentials(t *testing.T) {
	server := testenv.StartMinIO(t)
	server.CreateBucket(t, "images")
	stores := map[string]func(*role) (backend.Store, error){
		"minio-go": func(r *role) (backend.Store, error) {
			return minio.Open(minio.Config{
				Endpoint: server.Addr, Insecure: true, Bucket: "images",
				Credentials: credentials.New(r), CredentialsLeft: config.MinLeft,
			})
		},
		"aws-sdk-go-v2": func(r *role) (backend.Store, error) {
			return s3.Open(t.Context(), s3.Config{
				Bucket: "images", PathStyle: true, CredentialsLeft: config.MinLeft,
				AWS: aws.Config{
					Region: server.Region, BaseEndpoint: aws.String(server.Endpoint),
					Credentials: aws.NewCredentialsCache(aws.CredentialsProviderFunc(r.toAWS)), // as config.LoadDefaultConfig does
				},
			})
		},
	}
	for name, open := range stores {
		t.Run(name, func(t *testing.T) {
			var role role
			issue := func() credentials.Value {
				v := server.AssumeRole(t)
				role.issued.Store(&v)
				return v
			}
			first := issue()
			require.WithinDuration(t, time.Now().Add(15*time.Minute), first.Expiration, 30*time.Second)
			store, err := open(&role)
			require.NoError(t, err)
			key := inNewWindow(t, store)
			_, err = store.Put(t.Context(), key, strings.NewReader("content"), 7, backend.PutOptions{})
			require.NoError(t, err)
			clock := testenv.NewClock()
			c := config
			c.Now = clock.Now
			urls := newURLs(store, c)
			works := func(u string) {
				t.Helper()
				status, body := fetch(t, u)
				require.Equal(t, 200, status, body)
				require.Equal(t, "content", body)
			}
			ends := func(u string, with credentials.Value) {
				t.Helper()
				require.Contains(t, u, url.QueryEscape(with.AccessKeyID+"/"))
				_, end := timesOf(t, u)
				require.Equal(t, with.Expiration.Unix(), end.Unix())
			}

			one := urls.get(t, key)
			works(one)
			ends(one, first)
			assert.Equal(t, one, urls.get(t, key))
			assert.Equal(t, 1, urls.signatures(t))

			// Credentials that are valid for long enough are renewed in the background.
			second := issue()
			clock.Advance(4*time.Minute + 10*time.Second)
			assert.Equal(t, one, urls.get(t, key))
			require.Eventually(t, func() bool { return urls.get(t, key) != one }, 10*time.Second, time.Millisecond)
			two := urls.get(t, key)
			works(two)
			ends(two, second)
			works(one) // a client may still use it
			assert.Equal(t, 2, urls.signatures(t))

			// Callers wait for the renewal of others.
			third := issue()
			clock.Advance(6 * time.Minute)
			three := urls.get(t, key)
			works(three)
			ends(three, third)

			// If the renewal fails, the old ones serve until they expire.
			role.issued.Store(nil)
			clock.Advance(third.Expiration.Sub(clock.Now()) - 5*time.Second)
			assert.Equal(t, three, urls.get(t, key))
			clock.Advance(10 * time.Second)
			_, err = urls.Get(t.Context(), key)
			assert.ErrorIs(t, err, errUnavailable)
		})
	}
}
