package clientconfig_test

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/entrepot-io/entrepot/clientconfig"
	"github.com/entrepot-io/entrepot/infra/testenv"
)

func mirror(t *testing.T, address string, upstreams ...string) clientconfig.Mirror {
	t.Helper()
	u, err := url.Parse(address)
	require.NoError(t, err)
	return clientconfig.Mirror{URL: u, Upstreams: upstreams}
}

func version(t *testing.T, s string) (v clientconfig.Version) {
	t.Helper()
	if s == "" {
		return v
	}
	v, err := clientconfig.ParseVersion(s)
	require.NoError(t, err)
	return v
}

func TestClientsPage(t *testing.T) {
	var sections []string
	for _, s := range clientconfig.Page(mirror(t, "http://mirror:5000", "docker.io", "ghcr.io")) {
		sections = append(sections, s.Markdown())
	}
	testenv.Page(t, "docs/clients.md", "clients", strings.Join(sections, "\n"))
}

func TestThePageHasEveryClient(t *testing.T) {
	m := mirror(t, "http://mirror:5000", "docker.io")
	titles := map[string]bool{}
	for _, s := range clientconfig.Page(m) {
		titles[s.Title] = true
	}
	for _, client := range clientconfig.Clients() {
		sections, err := clientconfig.For(client, clientconfig.Version{}, m)
		require.NoError(t, err)
		for _, s := range sections {
			assert.True(t, titles[s.Title], s.Title)
		}
	}
}

func TestFilesAreWellFormed(t *testing.T) {
	for _, address := range []string{"http://mirror:5000", "https://mirror.example.com"} {
		for _, client := range clientconfig.Clients() {
			sections, err := clientconfig.For(client, clientconfig.Version{}, mirror(t, address, "docker.io", "ghcr.io", "corp:5000", "local"))
			require.NoError(t, err)
			for _, s := range sections {
				var text strings.Builder
				require.NoError(t, s.WriteText(&text))
				for _, f := range s.Files {
					assert.Contains(t, text.String(), "==> "+f.Path+" <==\n"+f.Text, "the file is printed unchanged")
					assert.NotContains(t, f.Text, "local\"")
					var content any
					switch {
					case strings.HasSuffix(f.Path, ".json"):
						err = json.Unmarshal([]byte(f.Text), &content)
					case strings.HasSuffix(f.Path, ".yaml"):
						err = yaml.Unmarshal([]byte(f.Text), &content)
					default:
						err = toml.Unmarshal([]byte(f.Text), &content)
					}
					require.NoError(t, err, "%s of %s:\n%s", f.Path, client, f.Text)
					if strings.HasPrefix(address, "https") {
						assert.NotContains(t, f.Text, "insecure")
						assert.NotContains(t, f.Text, "http = true")
					}
				}
			}
		}
	}
}

func TestUpstreamsThatAClientCannotMirror(t *testing.T) {
	for name, c := range map[string]struct {
		client, version string
		upstreams       []string
		want            map[string]string // upstream, and what to pull instead
	}{
		"Docker 20":            {"docker", "20.10", []string{"docker.io", "ghcr.io"}, map[string]string{"ghcr.io": "mirror:5000/ghcr.io/org/app"}},
		"Docker Hub not first": {"docker", "20.10", []string{"ghcr.io", "docker.io"}, map[string]string{"ghcr.io": "mirror:5000/org/app", "docker.io": "mirror:5000/docker.io/org/app"}},
		"a name without a dot": {"containerd", "2", []string{"docker.io", "corp"}, map[string]string{"corp": "mirror:5000/corp/org/app"}},
		"all":                  {"podman", "", []string{"docker.io", "ghcr.io"}, map[string]string{}},
	} {
		t.Run(name, func(t *testing.T) {
			sections, err := clientconfig.For(c.client, version(t, c.version), mirror(t, "http://mirror:5000", c.upstreams...))
			require.NoError(t, err)
			require.Len(t, sections, 1)
			got := map[string]string{}
			for _, n := range sections[0].NotMirrored {
				got[n.Upstream] = n.Instead
				assert.NotEmpty(t, n.Reason)
			}
			assert.Equal(t, c.want, got)
		})
	}
}

func TestVersionsSelectFiles(t *testing.T) {
	for name, want := range map[string]string{
		"containerd 2":     "version = 3",
		"containerd v2.4":  "version = 3",
		"containerd 1.6":   "version = 2",
		"docker 20.10":     "registry-mirrors",
		"talos 1.11":       "machine:",
		"talos 1.12.3":     "RegistryMirrorConfig",
		"containerd 1.7.9": "version = 2",
	} {
		client, v, _ := strings.Cut(name, " ")
		sections, err := clientconfig.For(client, version(t, v), mirror(t, "http://mirror:5000", "docker.io"))
		require.NoError(t, err)
		assert.Contains(t, sections[0].Files[0].Text, want, name)
	}
	_, err := clientconfig.For("containerd", version(t, "1.4"), mirror(t, "http://mirror:5000", "docker.io"))
	assert.ErrorContains(t, err, "containerd 1.4")
	_, err = clientconfig.For("rkt", clientconfig.Version{}, mirror(t, "http://mirror:5000", "docker.io"))
	assert.ErrorContains(t, err, "write one of docker, containerd")
	_, err = clientconfig.ParseVersion("new")
	assert.ErrorContains(t, err, "write for example")
}
