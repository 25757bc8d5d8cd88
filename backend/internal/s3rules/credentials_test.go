package s3rules_test

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/backend/internal/s3rules"
)

const left = 10 * time.Minute

// source issues credentials that are valid for life (0: an hour).
type source struct {
	key     string
	life    time.Duration
	err     error
	static  bool
	hangs   bool
	fetched atomic.Int32
}

func (s *source) fetch(ctx context.Context) (aws.Credentials, error) {
	s.fetched.Add(1)
	if s.hangs {
		<-ctx.Done()
		return aws.Credentials{}, ctx.Err()
	}
	return aws.Credentials{AccessKeyID: s.key, SecretAccessKey: "secret", CanExpire: !s.static, Expires: time.Now().Add(cmp.Or(s.life, time.Hour))}, s.err
}

func (s *source) presigner(t *testing.T) *s3rules.Presigner {
	t.Helper()
	p, err := s3rules.NewPresigner("https://bucket.example.com", "", "us-east-1", s3rules.NewCredentials(s.fetch, left))
	require.NoError(t, err)
	return p
}

func signer(t *testing.T, p *s3rules.Presigner) backend.Signer {
	t.Helper()
	signer, err := p.Signer(t.Context(), time.Now())
	require.NoError(t, err)
	return signer
}

// lifeOf returns how long a URL signed now is valid.
func lifeOf(t *testing.T, s backend.Signer) time.Duration {
	t.Helper()
	_, until, err := s.PresignGet("key", time.Now(), 24*time.Hour)
	require.NoError(t, err)
	return time.Until(until)
}

func TestCredentialsAreRenewedInBackground(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{key: "one"}
		p := s.presigner(t)
		one := signer(t, p)
		assert.Equal(t, time.Hour, lifeOf(t, one))
		time.Sleep(time.Hour - left - time.Minute - time.Second)
		assert.True(t, one == signer(t, p))
		synctest.Wait()
		assert.EqualValues(t, 1, s.fetched.Load())

		time.Sleep(2 * time.Second)
		assert.True(t, one == signer(t, p), "old ones are used while new ones are fetched")
		synctest.Wait()
		two := signer(t, p)
		assert.False(t, one == two)
		assert.Greater(t, lifeOf(t, two), 59*time.Minute)
		assert.EqualValues(t, 2, s.fetched.Load())
	})
}

func TestCallersWaitIfCredentialsExpireSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{key: "one"}
		p := s.presigner(t)
		signer(t, p)
		time.Sleep(time.Hour - left + time.Second) // without calls in between
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() { assert.Greater(t, lifeOf(t, signer(t, p)), left) })
		}
		all.Wait()
		assert.EqualValues(t, 2, s.fetched.Load(), "one fetch for all")
	})
}

func TestOldCredentialsServeIfRenewalFails(t *testing.T) {
	for name, breakIt := range map[string]func(*source){
		"source fails": func(s *source) { s.err = errors.New("unavailable") },
		"source hangs": func(s *source) { s.hangs = true },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &source{key: "one"}
				p := s.presigner(t)
				one, end := signer(t, p), time.Now().Add(time.Hour)
				breakIt(s)
				time.Sleep(50 * time.Minute)
				calls := 0
				for ; time.Until(end) > 20*time.Second; calls++ {
					began := time.Now()
					assert.True(t, one == signer(t, p))
					assert.LessOrEqual(t, time.Since(began), 10*time.Second)
					time.Sleep(time.Second)
				}
				assert.Greater(t, calls, 400)
				assert.InDelta(t, 10, s.fetched.Load(), 2, "one fetch a minute")
				time.Sleep(time.Until(end))
				_, err := p.Signer(t.Context(), time.Now())
				assert.ErrorContains(t, err, "credentials")
			})
		})
	}
}

func TestUnchangedCredentialsAreFetchedOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		issued := aws.Credentials{AccessKeyID: "one", SecretAccessKey: "secret", CanExpire: true, Expires: time.Now().Add(time.Hour)}
		var fetched atomic.Int32
		p, err := s3rules.NewPresigner("https://bucket.example.com", "", "us-east-1", s3rules.NewCredentials(func(context.Context) (aws.Credentials, error) {
			fetched.Add(1)
			return issued, nil
		}, left))
		require.NoError(t, err)
		one := signer(t, p)
		time.Sleep(50 * time.Minute)
		for range 5 * 60 {
			assert.True(t, one == signer(t, p))
			time.Sleep(time.Second)
		}
		assert.InDelta(t, 6, fetched.Load(), 1)
		issued.AccessKeyID, issued.Expires = "two", time.Now().Add(time.Hour)
		time.Sleep(time.Minute)
		assert.GreaterOrEqual(t, lifeOf(t, signer(t, p)), 59*time.Minute)
	})
}

func TestShortCredentialsAreFetchedOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{key: "one", life: left / 2}
		p := s.presigner(t)
		for range 10 * 60 {
			assert.GreaterOrEqual(t, lifeOf(t, signer(t, p)), left/2-time.Minute)
			time.Sleep(time.Second)
		}
		assert.InDelta(t, 10, s.fetched.Load(), 1)
	})
}

func TestStaticCredentialsAreFetchedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{key: "one", static: true}
		p := s.presigner(t)
		one := signer(t, p)
		time.Sleep(1000 * time.Hour)
		assert.True(t, one == signer(t, p))
		assert.Equal(t, 24*time.Hour, lifeOf(t, one))
		assert.EqualValues(t, 1, s.fetched.Load())
	})
}

func TestFetchOutlivesItsFirstCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{hangs: true}
		p := s.presigner(t)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		_, err := p.Signer(ctx, time.Now())
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, time.Second, time.Since(began))
		_, err = p.Signer(t.Context(), time.Now())
		assert.Error(t, err)
		assert.Equal(t, 10*time.Second, time.Since(began))
		assert.EqualValues(t, 1, s.fetched.Load())
	})
}
