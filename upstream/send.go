package upstream

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/entrepot-io/entrepot/bounded"
)

// request is one request of the pull API, the same for each endpoint of an upstream.
type request struct {
	method string
	repo   Repository
	path   string // below the repository, such as manifests/latest
	query  url.Values
	header http.Header
	// optional requests revalidate something that can be served without them, so endpoints that do not respond get none.
	optional bool
	// odd is not nil if the request only asks for a hint. It is set if an endpoint gives none that is usable.
	odd *bool
}

func (q request) isManifest() bool { return q.kind() == "manifests" }

// kind returns manifests, blobs, tags or referrers.
func (q request) kind() string {
	kind, _, _ := strings.Cut(q.path, "/")
	return kind
}

// counts reports whether Docker Hub counts the request as a pull.
func (q request) counts() bool { return q.method == http.MethodGet && q.isManifest() }

// accept accepts a response, and may read its body, or returns why not. others reports whether another endpoint may have a
// better one.
type accept func(e *endpoint, resp *http.Response, others bool) error

// errStatus rejects a response for its status; its body has the details.
var errStatus = errors.New("unexpected status")

// send tries the endpoints in order, slow ones last, until accept takes a response. If none does, the result of the last
// endpoint counts: it is the origin, while those before it may be partial mirrors that lack existing content.
func (r *Registry) send(ctx context.Context, q request, take accept) (*http.Response, error) {
	return r.sendTo(ctx, r.endpoints, q, take)
}

// sendTo is send for some of the endpoints.
func (r *Registry) sendTo(ctx context.Context, endpoints []*endpoint, q request, take accept) (*http.Response, error) {
	if r.offline {
		return nil, r.offlineError()
	}
	last := len(endpoints) - 1
	asked := make([]bool, len(endpoints))
	var origin *Error
	for _, slow := range []bool{false, true} {
		for i, e := range endpoints {
			if asked[i] {
				continue
			}
			a, err := e.health.admit(q, slow)
			if a != nil {
				asked[i] = true
				var resp *http.Response
				if resp, err = r.ask(ctx, e, a, q, take, unasked(endpoints, asked)); resp != nil {
					return resp, nil
				}
			}
			if i == last {
				origin = err
			}
			switch {
			case err != nil && errors.Is(err, bounded.ErrFull):
				return nil, err.Err // memory is short here, whatever the endpoint
			case ctx.Err() == nil:
			case asked[last]:
				return nil, origin
			default:
				return nil, r.fail(e, nil, context.Cause(ctx))
			}
		}
	}
	return nil, origin
}

func unasked(endpoints []*endpoint, asked []bool) []*endpoint {
	var all []*endpoint
	for i, e := range endpoints {
		if !asked[i] {
			all = append(all, e)
		}
	}
	return all
}

// errGivenUp ends a request because another endpoint may respond sooner.
var errGivenUp = errors.New("given up for another endpoint")

// ask tries one endpoint. It gives up after the budget if another endpoint admits the request.
func (r *Registry) ask(ctx context.Context, e *endpoint, a *attempt, q request, take accept,
	others []*endpoint) (*http.Response, *Error) {
	asking, giveUp := context.WithCancelCause(ctx)
	decided := make(chan struct{})
	late := time.AfterFunc(r.budget, func() {
		defer close(decided)
		if a.overdue() && wouldAdmit(others, q) {
			giveUp(errGivenUp)
		}
	})
	// What happens after a redirect to another host does not count.
	redirected := func(location) { a.end(fine, time.Now(), nil) }
	at := location{e, e.url(q.repo.Path()+"/"+q.path, q.query), anywhere}
	resp, err := e.do(withRedirects(asking, redirected), q.method, at, q.repo, q.header)
	came := time.Now()
	if !late.Stop() {
		<-decided // decide before the caller reads the body
	}
	if errors.Is(context.Cause(asking), errGivenUp) {
		if err == nil {
			resp.Body.Close()
		}
		a.end(noAnswer, came, e.health.late)
		return nil, e.health.late
	}
	if err == nil && q.isManifest() && e.isOwn(resp.Request.URL) {
		e.health.keepQuota(resp.Header, came)
	}
	var failed *Error
	defer func() {
		if failed != nil {
			giveUp(nil)
		}
	}()
	if err != nil {
		failed = r.fail(e, nil, err)
	} else if bad := take(e, resp, len(others) > 0); bad == nil {
		a.end(fine, came, nil)
		resp.Body = endOnClose{resp.Body, giveUp}
		return resp, nil
	} else if bad == errStatus {
		failed = r.fail(e, resp, nil)
	} else {
		failed = r.unfit(e, resp, bad)
	}
	v := verdictOn(ctx, a, q, resp, failed)
	if q.odd != nil && v.isOdd(failed) {
		*q.odd, v = true, unclear
	}
	a.end(v, came, failed)
	return nil, failed
}

func wouldAdmit(endpoints []*endpoint, q request) bool {
	return slices.ContainsFunc(endpoints, func(e *endpoint) bool { return e.health.wouldAdmit(q) })
}

// endOnClose is a body that ends its request's context when it is closed.
type endOnClose struct {
	io.ReadCloser
	end context.CancelCauseFunc
}

func (b endOnClose) Close() error {
	defer b.end(nil)
	return b.ReadCloser.Close()
}

// fail returns the *Error for a response that was rejected, or for the failure to get one.
func (r *Registry) fail(e *endpoint, resp *http.Response, err error) *Error {
	var failed *Error
	if err != nil {
		failed = noAnswerError(err)
	} else {
		failed = answerError(resp)
	}
	failed.Registry, failed.Endpoint = r.name, e.base.String()
	return failed
}

// unfit returns the *Error for a response with a good status and bad content. It does not wait for the body.
func (r *Registry) unfit(e *endpoint, resp *http.Response, why error) *Error {
	resp.Body.Close()
	return &Error{Registry: r.name, Endpoint: e.base.String(), Status: resp.StatusCode, RetryAfter: retryAfter(resp.Header), Err: brief(why)}
}

func ok(resp *http.Response) bool { return resp.StatusCode == http.StatusOK }
