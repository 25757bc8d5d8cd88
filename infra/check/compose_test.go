package check

import (
	"context"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
)

// loadCompose parses compose.yaml as `docker compose` does, with environment as its .env file.
func loadCompose(t testing.TB, environment map[string]string) (*types.Project, error) {
	t.Helper()
	file := path("compose", "compose.yaml")
	return loader.LoadWithContext(context.Background(), types.ConfigDetails{
		WorkingDir:  path("compose"),
		ConfigFiles: []types.ConfigFile{{Filename: file}},
		Environment: environment,
	})
}

// secrets are values for the variables in .env.example.
var secrets = map[string]string{"MINIO_ROOT_PASSWORD": "root-password", "STORE_SECRET": "store-secret"}

func composeProject(t testing.TB) *types.Project {
	t.Helper()
	project, err := loadCompose(t, secrets)
	if err != nil {
		t.Fatalf("parse compose.yaml: %v", err)
	}
	return project
}

func TestComposeRequiresSecrets(t *testing.T) {
	for missing := range secrets {
		environment := map[string]string{}
		for name, value := range secrets {
			if name != missing {
				environment[name] = value
			}
		}
		if _, err := loadCompose(t, environment); err == nil || !strings.Contains(err.Error(), missing) {
			t.Errorf("without %s: error %v, want one that names the variable", missing, err)
		}
		if !strings.Contains(read(t, path("compose", ".env.example")), missing+"=") {
			t.Errorf(".env.example lacks %s", missing)
		}
	}
}

var pinned = regexp.MustCompile(`:[^@/]+@sha256:[0-9a-f]{64}$`)

func TestComposeImagesArePinned(t *testing.T) {
	pulled := 0
	project := composeProject(t)
	built := builders(project)
	for _, service := range project.Services {
		if built[service.Image] != nil {
			continue
		}
		pulled++
		if !pinned.MatchString(service.Image) {
			t.Errorf("%s: the image %s has no tag with a digest", service.Name, service.Image)
		}
	}
	for _, file := range []string{"compose/minio/Dockerfile", "../Dockerfile"} {
		for _, image := range regexp.MustCompile(`(?m)^ARG [A-Z]+_IMAGE=(.*)$`).FindAllStringSubmatch(read(t, path(file)), -1) {
			pulled++
			if !pinned.MatchString(image[1]) {
				t.Errorf("%s: the image %s has no tag with a digest", file, image[1])
			}
		}
	}
	if pulled != 5 {
		t.Errorf("found %d pulled images, want 5: nginx, Prometheus, Go twice, Debian", pulled)
	}
}

// builders maps each image to the services that build it.
func builders(project *types.Project) map[string][]string {
	built := map[string][]string{}
	for _, service := range project.Services {
		if service.Build != nil {
			built[service.Image] = append(built[service.Image], service.Name)
		}
	}
	return built
}

// If two services build one image, Compose runs both builds concurrently. In containerd's image store BuildKit then fails
// with "already exists": https://github.com/desec-io/desec-stack/issues/1233.
func TestComposeBuildsEachImageOnce(t *testing.T) {
	for image, services := range builders(composeProject(t)) {
		if len(services) > 1 {
			t.Errorf("%s is built by %s", image, strings.Join(services, " and "))
		}
	}
}

// Compose must build the versions that the tests use.
func TestComposeBuildsPinnedVersions(t *testing.T) {
	makefile := read(t, path("..", "Makefile"))
	built := regexp.MustCompile(`go install .* (\S+@v\S+)`).FindAllStringSubmatch(read(t, path("compose", "minio", "Dockerfile")), -1)
	if len(built) != 2 {
		t.Fatalf("the Dockerfile builds %d programs, want 2: minio and mc", len(built))
	}
	for _, program := range built {
		if !strings.Contains(makefile, ":= "+program[1]+"\n") {
			t.Errorf("the Makefile does not pin %s", program[1])
		}
	}
}

func TestComposeConfiguresEntrepot(t *testing.T) {
	project := composeProject(t)
	replicas := 0
	for _, service := range project.Services {
		if !strings.HasPrefix(service.Name, "entrepot") {
			continue
		}
		replicas++
		environment := environmentOf(service)
		mustBeValidSettings(t, environment)
		if environment["AWS_SECRET_ACCESS_KEY"] != secrets["STORE_SECRET"] {
			t.Errorf("%s does not use the secret of the user that minio-setup creates", service.Name)
		}
		if !service.ReadOnly || len(service.CapDrop) != 1 || service.CapDrop[0] != "ALL" {
			t.Errorf("%s: read_only %t, cap_drop %v", service.Name, service.ReadOnly, service.CapDrop)
		}
		if dependency := service.DependsOn["minio-setup"]; dependency.Condition != types.ServiceConditionCompletedSuccessfully {
			t.Errorf("%s waits for minio-setup with condition %q", service.Name, dependency.Condition)
		}
	}
	if replicas != 2 {
		t.Errorf("%d replicas, want 2", replicas)
	}
	for _, service := range project.Services {
		for _, volume := range service.Volumes {
			if _, err := os.Stat(volume.Source); volume.Type == types.VolumeTypeBind && err != nil {
				t.Errorf("%s: missing mount source: %v", service.Name, err)
			}
		}
		if build := service.Build; build != nil {
			if _, err := os.Stat(build.Context + "/Dockerfile"); err != nil {
				t.Errorf("%s: missing Dockerfile: %v", service.Name, err)
			}
		}
	}
}

func environmentOf(service types.ServiceConfig) map[string]string {
	environment := map[string]string{}
	for name, value := range service.Environment {
		if value != nil {
			environment[name] = *value
		}
	}
	return environment
}
