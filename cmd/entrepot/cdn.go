package main

import (
	"errors"
	"os"

	"github.com/entrepot-io/entrepot/presign"
)

// checkCDN rejects contradictory CDN settings.
func (c config) checkCDN() error {
	hasKey := c.CDNKey != "" || c.CDNKeyFile != ""
	switch {
	case c.CDNURL.URL == nil && c.CDNKeyID != "":
		return wrong("ENTREPOT_CDN_KEY_ID", "signs URLs of a CDN, but no CDN is configured; set ENTREPOT_CDN_URL")
	case c.CDNURL.URL == nil && c.CDNKeyFile != "":
		return wrong("ENTREPOT_CDN_KEY_FILE", "signs URLs of a CDN, but no CDN is configured; set ENTREPOT_CDN_URL")
	case c.CDNURL.URL == nil && c.CDNKey != "":
		return wrong("ENTREPOT_CDN_KEY", "signs URLs of a CDN, but no CDN is configured; set ENTREPOT_CDN_URL")
	case c.CDNURL.URL == nil:
		return nil
	case c.Store.isFolder():
		return wrong("ENTREPOT_CDN_URL", "a CDN needs a bucket as its origin, but %s is a folder; set ENTREPOT_STORE to a bucket", c.Store)
	case c.StorePublicEndpoint.URL != nil:
		return wrong("ENTREPOT_CDN_URL", "conflicts with ENTREPOT_STORE_PUBLIC_ENDPOINT; set only one of them")
	case c.CDNKeyID == "" && hasKey:
		return wrong("ENTREPOT_CDN_KEY_ID", "is missing; set it to CloudFront's ID of the public key that belongs to the private key")
	case c.CDNKeyID != "" && !hasKey:
		return wrong("ENTREPOT_CDN_KEY_ID", "has no private key; set ENTREPOT_CDN_KEY_FILE or ENTREPOT_CDN_KEY")
	case c.CDNKey != "" && c.CDNKeyFile != "":
		return wrong("ENTREPOT_CDN_KEY", "conflicts with ENTREPOT_CDN_KEY_FILE; set only one of them")
	}
	return nil
}

// openCDN returns the configured CDN, or nil if there is none.
func (c config) openCDN() (*presign.CDN, error) {
	if c.CDNURL.URL == nil {
		return nil, nil
	}
	if c.CDNKeyID == "" {
		return presign.NewCDN(c.CDNURL.URL, c.Store.prefix, nil), nil
	}
	variable, text := "ENTREPOT_CDN_KEY", []byte(c.CDNKey)
	if c.CDNKeyFile != "" {
		variable = "ENTREPOT_CDN_KEY_FILE"
		var err error
		if text, err = os.ReadFile(c.CDNKeyFile); err != nil {
			return nil, wrong(variable, "%w", errors.Unwrap(err))
		}
	}
	key, err := presign.ParseCDNKey(text)
	if err != nil {
		return nil, wrong(variable, "%w", err)
	}
	return presign.NewCDN(c.CDNURL.URL, c.Store.prefix, &presign.CDNKey{ID: c.CDNKeyID, Private: key}), nil
}
