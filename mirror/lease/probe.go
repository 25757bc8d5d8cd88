package lease

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/entrepot-io/entrepot/backend"
)

// Support describes how a store supports leases. The zero value means not at all.
type Support struct {
	Able bool
	// Unquoted means that the store accepts ETags in conditions only without quotes.
	Unquoted bool
	Reason   string // why the store is not Able
}

// IfMatch returns the condition that an object still has the version etag, in the form that the store accepts.
func (s Support) IfMatch(etag backend.ETag) backend.Condition {
	if s.Unquoted {
		etag = etag.Unquoted()
	}
	return backend.IfMatch(etag)
}

const (
	// probePause is the first pause between two attempts of a probe, since some stores accept one write a second per key.
	probePause = 500 * time.Millisecond
	// maxProbes is the maximum number of attempts of a probe.
	maxProbes = 4
	// probeTidy bounds the removal of a probe's objects.
	probeTidy = 5 * time.Second
)

// Probe finds out whether a store honours the conditions that leases need. Some stores refuse conditions, some ignore them,
// and some refuse those that are met. So Probe tries met and unmet ones, with objects up to the maximum size of a lease.
//
// It retries transient errors and conflicts a few times while ctx lasts, and returns the last error.
func Probe(ctx context.Context, store backend.Store, prefix string) (Support, error) {
	p := probe{store: store, prefix: prefix}
	defer p.tidy(ctx)
	for tries, pause := 1, probePause; ; tries, pause = tries+1, pause*2 {
		support, err := p.try(ctx)
		if err == nil {
			return support, nil
		}
		err = fmt.Errorf("probe store: %w", err)
		until, ends := ctx.Deadline()
		if tries == maxProbes || ends && time.Until(until) <= pause || !mayPass(err) {
			return Support{}, err
		}
		select {
		case <-ctx.Done():
			return Support{}, err
		case <-time.After(pause):
		}
	}
}

// mayPass reports whether another attempt may succeed.
func mayPass(err error) bool { return backend.Transient(err) || errors.Is(err, backend.ErrConflict) }

type probe struct {
	store  backend.Store
	prefix string
	keys   []string // possibly written
}

// outcome is the result of a conditional write.
type outcome int

const (
	done    outcome = iota // written
	unmet                  // condition not met
	refused                // conditions not supported
)

// try is one attempt. It uses a new key, since writes of an earlier attempt may be late.
func (p *probe) try(ctx context.Context) (Support, error) {
	key := p.prefix + rand.Text()
	p.keys = append(p.keys, key)

	body := large()
	first, got, err := p.writeMet(ctx, key, body, backend.Condition{IfAbsent: true})
	switch {
	case err != nil:
		return Support{}, err
	case got == refused:
		return p.unsupported(ctx, key, "conditional writes are refused")
	case got == unmet:
		return p.unsupported(ctx, key, "If-None-Match: * is refused without an object")
	}
	switch _, got, err := p.write(ctx, key, small(), backend.Condition{IfAbsent: true}); {
	case err != nil:
		return Support{}, err
	case got != unmet:
		return p.unsupported(ctx, key, "If-None-Match: * is "+ignored(got))
	}

	var support Support
	body = large()
	_, got, err = p.writeMet(ctx, key, body, support.IfMatch(first))
	if err == nil && got != done && first.Unquoted() != first {
		support.Unquoted = true
		_, got, err = p.writeMet(ctx, key, body, support.IfMatch(first))
	}
	switch {
	case err != nil:
		return Support{}, err
	case got == unmet:
		return p.unsupported(ctx, key, "If-Match with the object's own ETag is refused")
	case got == refused:
		return p.unsupported(ctx, key, "If-Match is refused")
	}
	// The object has another ETag now.
	for _, other := range []string{large(), small()} {
		switch _, got, err := p.write(ctx, key, other, support.IfMatch(first)); {
		case err != nil:
			return Support{}, err
		case got != unmet:
			return p.unsupported(ctx, key, "If-Match is "+ignored(got))
		}
	}
	found, _, err := p.read(ctx, key)
	if err != nil {
		return Support{}, err
	}
	if found != body {
		return Support{Reason: "writes take effect although their condition is not met"}, nil
	}
	support.Able = true
	return support, nil
}

func ignored(got outcome) string {
	if got == done {
		return "accepted and ignored"
	}
	return "refused"
}

// unsupported returns a Support with the reason if the store accepts the same write without a condition. Otherwise the store
// is down or accepts no writes at all.
func (p *probe) unsupported(ctx context.Context, key, reason string) (Support, error) {
	if _, _, err := p.write(ctx, key, large(), backend.Condition{}); err != nil {
		return Support{}, err
	}
	return Support{Reason: reason}, nil
}

func (p *probe) write(ctx context.Context, key, body string, c backend.Condition) (backend.ETag, outcome, error) {
	object, err := p.store.Put(ctx, key, strings.NewReader(body), int64(len(body)), backend.PutOptions{Condition: c})
	switch {
	case err == nil:
		return object.ETag, done, nil
	case c == backend.Condition{}, errors.Is(err, backend.ErrConflict):
		return "", done, err
	case errors.Is(err, backend.ErrUnable):
		return "", refused, nil
	case !errors.Is(err, backend.ErrPrecondition):
		return "", done, err
	}
	return "", unmet, nil
}

// writeMet is write with a condition that is met. After a lost response a retry meets its own effect, which looks like an
// unmet condition.
func (p *probe) writeMet(ctx context.Context, key, body string, c backend.Condition) (backend.ETag, outcome, error) {
	etag, got, err := p.write(ctx, key, body, c)
	if err != nil || got != unmet {
		return etag, got, err
	}
	switch found, etag, err := p.read(ctx, key); {
	case errors.Is(err, backend.ErrNotFound):
		return "", unmet, nil
	case err != nil:
		return "", unmet, err
	case found == body:
		return etag, done, nil
	}
	return "", unmet, nil
}

func (p *probe) read(ctx context.Context, key string) (string, backend.ETag, error) {
	body, object, err := p.store.Get(ctx, key, backend.Range{})
	if err != nil {
		return "", "", err
	}
	defer body.Close()
	data, err := io.ReadAll(io.LimitReader(body, maxSize+1))
	return string(data), object.ETag, err
}

// tidy removes the probe's objects, even if ctx has ended. The bucket's lifecycle rules remove what remains.
func (p *probe) tidy(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), probeTidy)
	defer cancel()
	for _, key := range p.keys {
		for tries := 1; p.store.Delete(ctx, key) != nil && tries < 3; tries++ {
			if pause(ctx, tries) != nil {
				return
			}
		}
	}
}

// small and large return unique bodies of the sizes that leases have.
func small() string { return rand.Text() }

func large() string {
	text := rand.Text()
	return text + strings.Repeat(".", maxSize-len(text))
}
