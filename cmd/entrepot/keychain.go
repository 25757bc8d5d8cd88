package main

import (
	"strings"
	"time"

	"github.com/docker/cli/cli/config/configfile"
	"github.com/docker/cli/cli/config/types"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
)

// credentialsAge is after what time a credential is looked up anew: files are replaced, and what helpers give expires,
// of ECR after 12 h.
const credentialsAge = 10 * time.Minute

// keychain finds credentials for upstreams in ENTREPOT_DOCKER_CONFIG, and then where Docker and Podman keep them.
func (c config) keychain() (authn.Keychain, error) {
	if c.DockerConfig == "" {
		return authn.RefreshingKeychain(authn.DefaultKeychain, credentialsAge), nil
	}
	file := configfile.New("")
	// The library's errors may have parts of the text in them.
	if err := file.LoadFromReader(strings.NewReader(string(c.DockerConfig))); err != nil {
		return nil, wrong("ENTREPOT_DOCKER_CONFIG", "is not what Docker's config.json has; write for example {\"auths\":{\"ghcr.io\":{\"auth\":\"...\"}}}")
	}
	if !file.ContainsAuth() {
		return nil, wrong("ENTREPOT_DOCKER_CONFIG", "has no credentials; write for example {\"auths\":{\"ghcr.io\":{\"auth\":\"...\"}}}")
	}
	return authn.RefreshingKeychain(authn.NewMultiKeychain(fileKeychain{file}, authn.DefaultKeychain), credentialsAge), nil
}

// fileKeychain has the credentials of one config.json.
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
