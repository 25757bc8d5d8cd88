package upstream

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/entrepot-io/entrepot/bounded"
)

const (
	// maxTokenAnswer limits a token service's response in bytes.
	maxTokenAnswer = 64 << 10
	// maxToken limits a token in bytes: servers accept no longer headers.
	maxToken = 32 << 10
	// maxTokenLife limits the lifetime that a token service may give to a token.
	maxTokenLife = 24 * time.Hour
)

// exchange requests a token for scopes from the token service that a challenge names.
//
// Errors never contain what a token service sent: it may repeat the request, and with it the credential.
type exchange struct {
	rt       http.RoundTripper
	agent    string
	memory   *bounded.Share
	registry *url.URL // the endpoint, whose host may be dialled at any address
	*challenge
	scopes     []string
	credential authn.AuthConfig
}

// tokenRefusal is a token service's response without a token.
type tokenRefusal struct {
	host       string
	status     int
	retryAfter time.Duration
	redirected bool // to another host than the one that the credential is for
}

func (e *tokenRefusal) Error() string {
	s := fmt.Sprintf("the token service %s answered %d %s", printable(e.host, 100), e.status, http.StatusText(e.status))
	if e.redirected {
		s += ", redirected to another host without the credential"
	}
	return s
}

// upstreamStatus returns the status to report as the upstream's, or 0. A token service's 404 does not mean that the image
// does not exist.
func (e *tokenRefusal) upstreamStatus() int {
	switch {
	case e.status == http.StatusUnauthorized, e.status == http.StatusForbidden, throttles(e.status),
		e.status == http.StatusRequestTimeout, e.status >= http.StatusInternalServerError:
		return e.status
	}
	return 0
}

// token requests a token: by POST if there is a refresh token and the service supports it, otherwise by GET.
func (x exchange) token(ctx context.Context) (string, time.Duration, error) {
	if x.credential.IdentityToken != "" {
		token, life, err := x.do(ctx, http.MethodPost)
		refused := new(tokenRefusal)
		if !errors.As(err, &refused) {
			return token, life, err
		}
		switch refused.status {
		default:
			return "", 0, err
		case http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusNotImplemented, http.StatusUnauthorized:
			// The service does not support POST. GCR answers 404, Artifactory 401.
		}
	}
	return x.do(ctx, http.MethodGet)
}

func (x exchange) do(ctx context.Context, method string) (string, time.Duration, error) {
	u := x.realmFor(method)
	allow, secret := x.allow, true
	for range maxRedirects + 1 {
		if err := x.check(u, allow); err != nil {
			return "", 0, err
		}
		req, err := x.request(ctx, method, u, secret)
		if err != nil {
			return "", 0, err
		}
		r := &route{allow: allow}
		if x.isRegistry(u) {
			r.allow = anywhere
		}
		resp, err := routed(x.rt, req, r)
		if err != nil {
			return "", 0, fmt.Errorf("request a token from %s: %w", printable(u.Host, 100), withoutWords(err))
		}
		to, again := redirect(resp, u)
		if !again {
			return x.read(ctx, resp, u, secret)
		}
		resp.Body.Close()
		if to == nil {
			return "", 0, unusable("the token service %s redirects to a malformed URL", printable(u.Host, 100))
		}
		sameOrigin := sameHost(u, to)
		switch {
		case u.Scheme == "https" && to.Scheme != "https":
			return "", 0, unusable("not following the token service %s from https to %s", printable(u.Host, 100), printable(to.Scheme, 20))
		case method == http.MethodPost && resp.StatusCode != http.StatusTemporaryRedirect && resp.StatusCode != http.StatusPermanentRedirect:
			method, secret = http.MethodGet, false
		case method == http.MethodPost && !sameOrigin:
			return "", 0, unusable("not sending the credential to %s, to which the token service %s redirects",
				printable(to.Host, 100), printable(u.Host, 100))
		}
		secret = secret && sameOrigin
		allow = r.beyond(u.Hostname())
		u = to
	}
	return "", 0, unusable("too many redirects by the token service")
}

// redirect reports whether a response is a redirect, and returns its target, or nil if that is malformed.
func redirect(resp *http.Response, from *url.URL) (_ *url.URL, ok bool) {
	switch resp.StatusCode {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
	default:
		return nil, false
	}
	location := resp.Header.Get("Location")
	to, err := from.Parse(location)
	if err != nil || location == "" || to.Host == "" {
		return nil, true
	}
	to.User, to.Fragment = nil, ""
	return to, true
}

// sameHost reports whether a redirect stays on the same host, with TLS if it was used before.
func sameHost(from, to *url.URL) bool {
	if from.Scheme == to.Scheme {
		return strings.EqualFold(from.Host, to.Host)
	}
	return to.Scheme == "https" && strings.EqualFold(from.Hostname(), to.Hostname()) && from.Port() == "" && to.Port() == ""
}

func (x exchange) isRegistry(u *url.URL) bool {
	return u.Scheme == x.registry.Scheme && strings.EqualFold(u.Host, x.registry.Host)
}

func (x exchange) check(u *url.URL, allow reach) error {
	if u.Scheme != "https" && (u.Scheme != "http" || x.registry.Scheme != "http") {
		return unusable("not using the token service %s over %s, since the registry uses https", printable(u.Host, 100), printable(u.Scheme, 20))
	}
	if x.isRegistry(u) {
		return nil
	}
	if kind, known := reachOfHost(u.Hostname()); known && kind&allow == 0 {
		return &forbiddenError{kind, printable(u.Host, 100)}
	}
	return nil
}

// realmFor returns the URL of the token service, with the query of a GET.
func (x exchange) realmFor(method string) *url.URL {
	u := *x.realm
	if method == http.MethodGet {
		query := u.Query()
		query["scope"] = x.scopes
		if x.service != "" {
			query.Set("service", x.service)
		}
		u.RawQuery = query.Encode()
	}
	return &u
}

// request returns the request for a token, with the credential if secret is set.
func (x exchange) request(ctx context.Context, method string, u *url.URL, secret bool) (*http.Request, error) {
	if method == http.MethodPost {
		form := url.Values{
			"grant_type":    {"refresh_token"},
			"refresh_token": {x.credential.IdentityToken},
			"client_id":     {"entrepot"},
			"scope":         {strings.Join(x.scopes, " ")},
		}
		if x.service != "" {
			form.Set("service", x.service)
		}
		req, err := http.NewRequestWithContext(ctx, method, u.String(), strings.NewReader(form.Encode()))
		if err == nil {
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			x.address(req)
		}
		return req, err
	}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), nil)
	if err != nil {
		return nil, err
	}
	x.address(req)
	if authorization := basicAuthorization(x.credential); secret && authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	return req, nil
}

func (x exchange) address(req *http.Request) {
	req.Header.Set("User-Agent", x.agent)
	req.Header.Set("Accept", "application/json")
	req.Header.Set("Accept-Encoding", "identity")
}

// basicAuthorization returns the header's value for a credential, or an empty string if it has no name or password.
func basicAuthorization(c authn.AuthConfig) string {
	password := c.Password
	if password == "" {
		password = c.IdentityToken
	}
	switch {
	case c.Username != "" || password != "":
		r := http.Request{Header: http.Header{}}
		r.SetBasicAuth(c.Username, password)
		return r.Header.Get("Authorization")
	case c.Auth != "":
		return "Basic " + c.Auth
	}
	return ""
}

func (x exchange) read(ctx context.Context, resp *http.Response, u *url.URL, secret bool) (string, time.Duration, error) {
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return "", 0, &tokenRefusal{u.Host, resp.StatusCode, retryAfter(resp.Header), !secret}
	}
	if err := decode(ctx, x.memory, resp); err != nil {
		return "", 0, fmt.Errorf("the token service %s: %w", printable(u.Host, 100), withoutWords(err))
	}
	body, err := readBody(ctx, x.memory, resp, maxTokenAnswer)
	switch {
	case errors.Is(err, bounded.ErrTooLarge):
	case err != nil:
		return "", 0, fmt.Errorf("read from the token service %s: %w", printable(u.Host, 100), withoutWords(err))
	default:
		if token, life := readToken(body); token != "" {
			return token, life, nil
		}
	}
	return "", 0, unusable("the token service %s answered without a usable token", printable(u.Host, 100))
}

// readToken reads a token and its lifetime from a response, as liberally as all known clients together. It returns an empty
// string if there is none.
func readToken(body []byte) (string, time.Duration) {
	var token, access, life bounded.JSON
	document, err := bounded.Parse(bytes.TrimPrefix(body, []byte("\ufeff")))
	if err != nil {
		return "", 0
	}
	err = document.Fields(func(name string, value bounded.JSON) error {
		switch name {
		case "token":
			token = value
		case "access_token":
			access = value
		case "expires_in":
			life = value
		}
		return nil
	})
	if err != nil {
		return "", 0
	}
	text, _ := token.Text(maxTokenAnswer)
	if text == "" {
		text, _ = access.Text(maxTokenAnswer)
	}
	text = strings.TrimSpace(text)
	if len(text) > maxToken || strings.IndexFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }) >= 0 {
		return "", 0
	}
	return strings.Clone(text), readLife(life)
}

// readLife reads seconds from a number of any form or a string.
func readLife(raw []byte) time.Duration {
	text := strings.Trim(string(raw[:min(len(raw), 100)]), `" `)
	seconds, err := strconv.ParseFloat(strings.TrimSuffix(text, "s"), 64)
	if err != nil || !(seconds > 0) {
		return defaultTokenLife
	}
	return time.Duration(min(seconds, maxTokenLife.Seconds()) * float64(time.Second))
}

// withoutWords returns an error of a request to a token service unchanged if it contains nothing that the service sent, and
// otherwise a general one.
func withoutWords(err error) error {
	var (
		operation   *net.OpError
		timeout     net.Error
		certificate *tls.CertificateVerificationError
		forbidden   *forbiddenError
	)
	switch {
	case errors.As(err, &forbidden):
		return forbidden
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded), errors.Is(err, io.EOF),
		errors.Is(err, io.ErrUnexpectedEOF), errors.As(err, &operation), errors.As(err, &certificate),
		errors.Is(err, bounded.ErrFull), errors.As(err, &timeout) && timeout.Timeout():
		return brief(err)
	}
	return errors.New("malformed response")
}
