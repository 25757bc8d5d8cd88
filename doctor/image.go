package doctor

import "strings"

// Image is an image that a check resolves.
type Image struct {
	Repository string // without the registry
	Tag        string
}

func (i Image) String() string { return i.Repository + ":" + i.Tag }

// public are images of well-known registries that anybody may pull, the smaller the better.
var public = map[string]Image{
	"docker.io":         {"library/hello-world", "latest"},
	"ghcr.io":           {"actions/actions-runner", "latest"},
	"quay.io":           {"prometheus/busybox", "latest"},
	"gcr.io":            {"distroless/static", "latest"},
	"registry.k8s.io":   {"pause", "3.9"},
	"public.ecr.aws":    {"docker/library/hello-world", "latest"},
	"mcr.microsoft.com": {"hello-world", "latest"},
}

// Images are the images to resolve, by the name of their registry.
type Images map[string]Image

// PublicImages returns images of well-known registries.
func PublicImages() Images {
	images := Images{}
	for name, image := range public {
		images[name] = image
	}
	return images
}

// ParseImage parses REGISTRY/REPOSITORY[:TAG].
func ParseImage(s string) (registry string, image Image, ok bool) {
	registry, rest, _ := strings.Cut(s, "/")
	repository, tag, tagged := strings.Cut(rest, ":")
	if !tagged {
		tag = "latest"
	}
	return registry, Image{repository, tag}, registry != "" && repository != "" && tag != "" && !strings.Contains(s, "@")
}
