package doctor

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

const (
	// storeTimeout limits one check of a store.
	storeTimeout = 12 * time.Second
	// tidyTimeout limits the removal of the objects that the checks wrote.
	tidyTimeout = 5 * time.Second
	// A clock that differs by more than smallSkew deserves a warning. S3 refuses requests beyond maxSkew.
	smallSkew = 15 * time.Second
	maxSkew   = 15 * time.Minute
)

// Store checks that a store does what a mirror needs.
type Store struct {
	Backend backend.Store
	Name    string // the subject of the findings
	Prefix  string // of the objects that the checks write and remove; ends in a slash
}

// storeCheck is the state of the checks of one store.
type storeCheck struct {
	Store
	Findings
	key  string // of an object that exists if written is set
	body string
	// object is the object at key.
	object  backend.Object
	read    time.Time // when object was read, by this machine's clock
	written bool
}

// Check returns what the store does, and what it does not. It ends early if ctx does, or if the store cannot be reached.
func (s Store) Check(ctx context.Context) []Finding {
	c := &storeCheck{Store: s, Findings: Findings{Subject: s.Name}, key: s.Prefix + rand.Text(), body: "entrepot doctor " + rand.Text()}
	if !c.reach(ctx) {
		return c.All
	}
	for _, check := range []func(context.Context){
		c.put, c.get, c.byteRange, c.list, c.clock, c.checksum, c.conditions, c.compose, c.abort, c.uploads, c.remove,
	} {
		if ctx.Err() != nil {
			break
		}
		check(ctx)
	}
	c.tidy(ctx)
	return c.All
}

// try runs a check with a time limit.
func try(ctx context.Context, do func(context.Context) error) error {
	return backend.InTime(ctx, storeTimeout, do)
}

// reach reports whether the store answers.
func (c *storeCheck) reach(ctx context.Context) bool {
	const consequence = "the mirror is not ready and stores nothing"
	err := try(ctx, func(ctx context.Context) error {
		_, err := c.Backend.Stat(ctx, c.key)
		return err
	})
	switch {
	case err == nil || errors.Is(err, backend.ErrNotFound):
		c.OK("reachable", "it answers")
		return true
	case isPermission(err):
		return true // another check names the permission
	}
	c.Break("reachable", brief(err), consequence, storeRemedy(err))
	return false
}

func isPermission(err error) bool {
	_, ok := errors.AsType[*backend.PermissionError](err)
	return ok
}

// brief returns an error without the errors around a missing permission.
func brief(err error) error {
	if missing, ok := errors.AsType[*backend.PermissionError](err); ok {
		return missing
	}
	return err
}

// storeRemedy returns what to do about a store's error.
func storeRemedy(err error) string {
	missing, ok := errors.AsType[*backend.PermissionError](err)
	switch {
	case ok:
		return fmt.Sprintf("allow %s on %s in the policy of the mirror's credentials (docs/stores.md)", missing.Action, missing.Resource)
	case strings.Contains(err.Error(), "RequestTimeTooSkewed"):
		return "set this machine's clock, for example by NTP"
	case errors.Is(err, backend.ErrNoBucket):
		return "create the bucket, or correct ENTREPOT_STORE"
	case errors.Is(err, backend.ErrDenied):
		return "correct the credentials, or the region in AWS_REGION"
	case errors.Is(err, backend.ErrFull):
		return "delete content, or raise the quota or the size of the store"
	case errors.Is(err, backend.ErrReadOnly):
		return "make the store writable"
	case isCertificateError(err):
		return "name the store's certificate authority in AWS_CA_BUNDLE, or give the store a certificate for its name"
	}
	return "check the store's name, port and scheme in ENTREPOT_STORE or AWS_ENDPOINT_URL, firewalls, and HTTPS_PROXY"
}

// report records the outcome of a check that must succeed.
func (c *storeCheck) report(check, detail string, err error, consequence string) {
	if err == nil {
		c.OK(check, "%s", detail)
		return
	}
	c.Break(check, brief(err), consequence, storeRemedy(err))
}

func (c *storeCheck) put(ctx context.Context) {
	err := try(ctx, func(ctx context.Context) error {
		_, err := c.Backend.Put(ctx, c.key, strings.NewReader(c.body), int64(len(c.body)), backend.PutOptions{})
		return err
	})
	c.written = err == nil
	c.report("write", "an object was written", err, "new content passes through and is not stored: each pull of it goes to the upstream")
}

func (c *storeCheck) get(ctx context.Context) {
	err := try(ctx, func(ctx context.Context) error {
		text, object, err := c.readObject(ctx, backend.Range{})
		c.object, c.read = object, time.Now()
		if err == nil && text != c.body {
			return errors.New("the object has other bytes than were written")
		}
		if errors.Is(err, backend.ErrNotFound) && !c.written {
			return nil // reading is permitted
		}
		return err
	})
	c.report("read", "an object was read", err, "nothing that is stored can be served")
}

func (c *storeCheck) byteRange(ctx context.Context) {
	if !c.written {
		return
	}
	const offset, length = 3, 5
	err := try(ctx, func(ctx context.Context) error {
		text, _, err := c.readObject(ctx, backend.Range{Offset: offset, Length: length})
		if err == nil && text != c.body[offset:offset+length] {
			return errors.New("a range has other bytes than that part of the object")
		}
		return err
	})
	if isPermission(err) {
		return // of reading, which another check names
	}
	c.report("range", "a part of an object was read", err, "large blobs cannot be resumed, and streams break")
}

func (c *storeCheck) readObject(ctx context.Context, r backend.Range) (string, backend.Object, error) {
	body, object, err := c.Backend.Get(ctx, c.key, r)
	if err != nil {
		return "", backend.Object{}, err
	}
	defer body.Close()
	text, err := io.ReadAll(body)
	return string(text), object, err
}

func (c *storeCheck) list(ctx context.Context) {
	err := try(ctx, func(ctx context.Context) error {
		found := false
		for o, err := range c.Backend.List(ctx, strings.TrimSuffix(c.Prefix, "/"), "") {
			if err != nil {
				return err
			}
			found = found || o.Key == c.key
		}
		if c.written && !found {
			return errors.New("a list lacks an object that was written")
		}
		return nil
	})
	c.report("list", "objects were listed", err, "fills cannot be taken over, and ls, du and gc do not work; S3 answers 403 for missing objects")
}

// clock compares the store's clock with this machine's.
func (c *storeCheck) clock(context.Context) {
	if c.object.AsOf.IsZero() {
		return
	}
	skew := c.read.Sub(c.object.AsOf).Round(time.Second)
	detail := fmt.Sprintf("this machine's clock and the store's differ by %s", skew.Abs())
	switch {
	case skew.Abs() >= maxSkew:
		c.Break("clock", detail, "the store refuses requests and presigned URLs", "set the clock that is wrong, for example by NTP")
	case skew.Abs() >= smallSkew:
		c.Warn("clock", detail, "presigned URLs expire earlier or later than they should, or are refused at first", "set the clock that is wrong, for example by NTP")
	default:
		c.OK("clock", "%s", detail)
	}
}

func (c *storeCheck) remove(ctx context.Context) {
	if !c.written {
		return
	}
	err := try(ctx, func(ctx context.Context) error {
		if err := c.Backend.Delete(ctx, c.key); err != nil {
			return err
		}
		if _, err := c.Backend.Stat(ctx, c.key); err == nil {
			return errors.New("a deleted object is still there")
		} else if !errors.Is(err, backend.ErrNotFound) && !isPermission(err) {
			return err
		}
		return nil
	})
	c.report("delete", "an object was deleted", err, "segments of finished fills stay until lifecycle rules remove them, and gc and rm do not work")
}

// tidy removes the objects that the checks wrote, even if ctx has ended. If that fails, lifecycle rules remove them.
func (c *storeCheck) tidy(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tidyTimeout)
	defer cancel()
	for _, suffix := range []string{"", "-sum", "-copy"} {
		if err := c.Backend.Delete(ctx, c.key+suffix); err != nil {
			return // the check of deletion has reported it
		}
	}
}
