package main_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// pullFully pulls an image like a client: the manifest, then each blob, whose bytes it verifies.
func pullFully(ctx context.Context, repository, tag string) error {
	body, err := fetchAll(ctx, repository+"/manifests/"+tag)
	if err != nil {
		return err
	}
	var manifest v1.Manifest
	if err := json.Unmarshal(body, &manifest); err != nil {
		return err
	}
	for _, d := range append(manifest.Layers, manifest.Config) {
		body, err := fetchAll(ctx, repository+"/blobs/"+d.Digest.String())
		if err != nil {
			return err
		}
		if sum := sha256.Sum256(body); hex.EncodeToString(sum[:]) != d.Digest.Encoded() {
			return fmt.Errorf("blob %s has other bytes", d.Digest)
		}
	}
	return nil
}

func fetchAll(ctx context.Context, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", v1.MediaTypeImageManifest)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = errors.New(resp.Status)
	}
	if err != nil {
		return nil, fmt.Errorf("GET %s: %w: %.200s", resp.Request.URL, err, body)
	}
	return body, nil
}
