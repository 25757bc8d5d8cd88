package s3rules

import (
	"context"
	"errors"
	"net/url"
	"strings"

	"github.com/entrepot-io/entrepot/backend"
)

// Listing decodes the keys of one listing. Listings ask for URL-encoded keys, since XML cannot represent all characters.
type Listing struct {
	Requests
	*Quirks
	Root   string // of the store in its bucket; empty, or ends with a slash
	Prefix string // of the listing, relative to Root
}

// Key returns the store's key for a key from a response that does not say whether its keys are encoded, and whether it
// begins with the prefix.
//
// Some servers ignore encoding-type; others encode without saying so. Often the key itself shows which. If it does not,
// Key looks once which of the two possible keys exists.
func (l Listing) Key(ctx context.Context, listed string) (string, bool, error) {
	plain, isPlain := l.cut(listed)
	text, err := url.QueryUnescape(listed)
	decoded, isDecoded := l.cut(text)
	switch {
	case err != nil || strings.ContainsFunc(listed, alwaysEncoded), isPlain && !isDecoded:
		l.listedKeys.CompareAndSwap(0, plainKeys)
		return plain, isPlain, nil
	case text == listed:
		return plain, isPlain, nil
	case !isPlain:
		if isDecoded {
			l.listedKeys.CompareAndSwap(0, encodedKeys)
		}
		return decoded, isDecoded, nil
	case l.listedKeys.Load() == 0:
		if err := l.ask(ctx, plain, decoded); err != nil {
			return "", false, err
		}
	}
	if l.listedKeys.Load() == encodedKeys {
		return decoded, true, nil
	}
	return plain, true, nil
}

// ask finds out which of the two readings of a key exists. It learns nothing if neither does.
func (l Listing) ask(ctx context.Context, plain, decoded string) error {
	exists := func(key string) (bool, error) {
		_, err := l.Stat(ctx, key)
		if errors.Is(err, backend.ErrNotFound) || errors.Is(err, backend.ErrKey) {
			return false, nil
		}
		return err == nil, err
	}
	if yes, err := exists(plain); yes || err != nil {
		if yes {
			l.listedKeys.Store(plainKeys)
		}
		return err
	}
	yes, err := exists(decoded)
	if yes {
		l.listedKeys.Store(encodedKeys)
	}
	return err
}

func (l Listing) cut(key string) (string, bool) {
	if !strings.HasPrefix(key, l.Root+l.Prefix) {
		return "", false
	}
	return key[len(l.Root):], true
}

// alwaysEncoded reports whether every URL encoding escapes r.
func alwaysEncoded(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune("\"<>\\^`{|}", r) }
