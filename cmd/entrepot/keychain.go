package main

import (
	"strings"
	"time"

	"github.com/docker/cli/cli/config/configfile"
	"github.com/docker/cli/cli/config/types"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
)

// credentialsTTL is how long a credential for an upstream is cached. Files are replaced, and the credentials of helpers
// expire: ECR's after 12 h.
const credentialsTTL = 10 * time.Minute

// keychain returns the credentials for upstreams: those in ENTREPOT_DOCKER_CONFIG, then those of Docker and Podman.
func (c config) keychain() (authn.Keychain, error) {
	if c.DockerConfig == "" {
		return authn.RefreshingKeychain(authn.DefaultKeychain, credentialsTTL), nil
	}
	file := configfile.New("")
	// The library's error is dropped: it may contain parts of the text.
	if err := file.LoadFromReader(strings.NewReader(string(c.DockerConfig))); err != nil {
		return nil, wrong("ENTREPOT_DOCKER_CONFIG", "is not a Docker config.json; write for example {\"auths\":{\"ghcr.io\":{\"auth\":\"...\"}}}")
	}
	if !file.ContainsAuth() {
		return nil, wrong("ENTREPOT_DOCKER_CONFIG", "has no credentials; write for example {\"auths\":{\"ghcr.io\":{\"auth\":\"...\"}}}")
	}
	return authn.RefreshingKeychain(authn.NewMultiKeychain(fileKeychain{file}, authn.DefaultKeychain), credentialsTTL), nil
}

// fileKeychain provides the credentials in one config.json.
type fileKeychain struct{ *configfile.ConfigFile }

// Resolve implements authn.Keychain.
func (k fileKeychain) Resolve(target authn.Resource) (authn.Authenticator, error) {
	host := target.RegistryStr()
	if host == name.DefaultRegistry {
		host = authn.DefaultAuthKey
	}
	found, err := k.GetAuthConfig(host)
	if err != nil {
		return nil, err
	}
	if found.ServerAddress = ""; found == (types.AuthConfig{}) {
		return authn.Anonymous, nil
	}
	return authn.FromConfig(authn.AuthConfig{
		Username: found.Username, Password: found.Password, IdentityToken: found.IdentityToken, RegistryToken: found.RegistryToken,
	}), nil
}
