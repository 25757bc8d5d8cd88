package main

import (
	"errors"
	"os"

	"github.com/entrepot-io/entrepot/presign"
)

func (c config) checkCDN() error {
	hasKey := c.CDNKey != "" || c.CDNKeyFile != ""
	switch {
	case c.CDN.URL == nil && c.CDNKeyID != "":
		return wrong("ENTREPOT_CDN_KEY_ID", "is for signing URLs of a CDN, and there is none; set ENTREPOT_CDN_URL")
	case c.CDN.URL == nil && c.CDNKeyFile != "":
		return wrong("ENTREPOT_CDN_KEY_FILE", "is for signing URLs of a CDN, and there is none; set ENTREPOT_CDN_URL")
	case c.CDN.URL == nil && c.CDNKey != "":
		return wrong("ENTREPOT_CDN_KEY", "is for signing URLs of a CDN, and there is none; set ENTREPOT_CDN_URL")
	case c.CDN.URL == nil:
		return nil
	case c.Store.scheme == "file":
		return wrong("ENTREPOT_CDN_URL", "a CDN has a bucket as its origin, and %s is a folder; set ENTREPOT_STORE", c.Store)
	case c.StorePublic.URL != nil:
		return wrong("ENTREPOT_CDN_URL", "clients go to the CDN or to ENTREPOT_STORE_PUBLIC_ENDPOINT; set one of them")
	case c.CDNKeyID == "" && hasKey:
		return wrong("ENTREPOT_CDN_KEY_ID", "is missing: the ID that CloudFront knows the private key's public key by")
	case c.CDNKeyID != "" && !hasKey:
		return wrong("ENTREPOT_CDN_KEY_ID", "has no private key; set ENTREPOT_CDN_KEY_FILE or ENTREPOT_CDN_KEY")
	case c.CDNKey != "" && c.CDNKeyFile != "":
		return wrong("ENTREPOT_CDN_KEY", "there is ENTREPOT_CDN_KEY_FILE too; set one of them")
	}
	return nil
}

// openCDN returns nil where none is configured.
func (c config) openCDN() (*presign.CDN, error) {
	if c.CDN.URL == nil {
		return nil, nil
	}
	if c.CDNKeyID == "" {
		return presign.NewCDN(c.CDN.URL, c.Store.prefix, nil), nil
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
	return presign.NewCDN(c.CDN.URL, c.Store.prefix, &presign.CDNKey{ID: c.CDNKeyID, Private: key}), nil
}
