package handlers

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/opencontainers/go-digest"

	"github.com/entrepot-io/entrepot/mirror"
)

// Miss says how clients that Redirect includes get a blob that is not in the bucket yet. Other clients get its bytes as
// they arrive.
type Miss string

const (
	// MissStream sends the bytes as they arrive. The zero value means the same.
	MissStream Miss = "stream"
	// MissRedirect sends no bytes, for platforms that limit the duration or size of responses. The client waits until the
	// blob is stored, by redirects to the same URL. The store must be able to presign. A blob that cannot be stored is sent
	// anyway, unless LimitBody forbids it.
	MissRedirect Miss = "redirect"
)

// UnmarshalText reads "stream" or "redirect".
func (m *Miss) UnmarshalText(text []byte) error {
	switch miss := Miss(text); miss {
	case MissStream, MissRedirect:
		*m = miss
		return nil
	}
	return errors.New("write stream or redirect")
}

const (
	// longestWait limits the wait for a blob. A response begins within 20 s, since some clients give up after 30 s.
	longestWait = 18 * time.Second
	// answerMargin is the part of the request's own deadline that is reserved for the response.
	answerMargin = time.Second
	// maxHops limits redirects to the same URL: clients follow ten redirects, Go's library nine, and the last leads to the
	// bucket.
	maxHops = 8
	// hopParameter is the query parameter that counts hops.
	hopParameter = "hop"
	// comeBack is the Retry-After for a client that has used up its hops, or that found no room.
	comeBack = 10 * time.Second
)

// errFilling means that the client has used up its hops. A later request finds more of the blob, or all of it.
var errFilling = errors.New("the blob is still being fetched; try again")

// await redirects to the bucket as soon as the blob is stored. If that takes too long, it redirects to the same URL, where
// the client waits on.
func (a *API) await(c echo.Context, outcome *outcome, d digest.Digest) error {
	asked := c.Request().Context()
	ctx, cancel := context.WithDeadline(asked, waitUntil(asked, outcome.began))
	defer cancel()
	if a.Stopping != nil {
		defer context.AfterFunc(a.Stopping, cancel)()
	}
	blob, err := a.Mirror.Blob(ctx, outcome.repo, d)
	if err == nil {
		if _, _, err := requestedRange(c.Request(), d, blob.Size); err != nil {
			return refuseRange(c, blob.Size, err) // which needs no wait
		}
		err = blob.Wait(ctx)
	}
	_, limited := bodyLimit(c)
	switch {
	case errors.Is(err, mirror.ErrUnstored) && !limited:
		// It will never be in the bucket, so hops would be useless.
		return a.sendBlob(c, outcome, blob)
	case err == nil:
		key, _ := blob.StoredAt()
		return a.redirect(c, outcome, d, key)
	case asked.Err() != nil:
		return err
	case ctx.Err() != nil, errors.Is(err, mirror.ErrHandedOver): // the next request continues the fill
		return a.hop(c, outcome, d)
	}
	return err
}

// waitUntil returns when a request that began at a time must be answered.
func waitUntil(ctx context.Context, began time.Time) time.Time {
	until := began.Add(longestWait)
	if deadline, ok := ctx.Deadline(); ok && deadline.Add(-answerMargin).Before(until) {
		return deadline.Add(-answerMargin)
	}
	return until
}

// hop redirects the client to the same URL with a counter.
func (a *API) hop(c echo.Context, outcome *outcome, d digest.Digest) error {
	query, hops := takeHops(c.Request().URL.RawQuery)
	if hops >= maxHops {
		return errFilling
	}
	if query != "" {
		query += "&"
	}
	outcome.served = servedHop
	c.Response().Header().Set("Cache-Control", "no-store")
	// A URL relative to the last slash works behind proxies with any scheme, host and path. It starts with a dot since the
	// digest's colon would otherwise end a scheme. Some clients resolve "?hop=1" alone against the folder.
	return c.Redirect(http.StatusTemporaryRedirect, fmt.Sprintf("./%s?%s%s=%d", d, query, hopParameter, hops+1))
}

// takeHops removes the counter from a query, and leaves the rest as the client wrote it. An invalid counter counts as none:
// a client that invents one follows no more redirects than others.
func takeHops(query string) (rest string, hops int) {
	var kept []string
	for pair := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(pair, "=")
		if name != hopParameter {
			kept = append(kept, pair)
			continue
		}
		if n, err := strconv.ParseUint(value, 10, 16); err == nil {
			hops = int(n)
		} else if errors.Is(err, strconv.ErrRange) {
			hops = maxHops
		}
	}
	return strings.Join(kept, "&"), hops
}
