package testenv

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// builds are the programs that this test binary has built, by the flags of the build.
var builds struct {
	mu    sync.Mutex
	paths map[string]func() (string, error)
}

// Program builds the program, once for each test binary, and returns its path. With ENTREPOT_TEST_RACE set it has the
// race detector in it; ENTREPOT_TEST_PROGRAM names one that is built already. A package whose tests call it has
//
//	func TestMain(m *testing.M) { os.Exit(testenv.Main(m)) }
//
// so that what was built is removed.
func Program(t testing.TB) string {
	t.Helper()
	if path := os.Getenv("ENTREPOT_TEST_PROGRAM"); path != "" {
		return path
	}
	return ProgramWith(t)
}

// tag is that of all builds; the Makefile says why.
const tag = "lambda.norpc"

// ProgramWith is Program with build tags besides those of all builds, and always built.
func ProgramWith(t testing.TB, tags ...string) string {
	t.Helper()
	flags := []string{"-tags=" + strings.Join(append(tags, tag), ",")}
	if os.Getenv("ENTREPOT_TEST_RACE") != "" {
		flags = append(flags, "-race")
	}
	return built(t, nil, flags...)
}

// ReleasedProgram is the program as the Dockerfile builds it: static, stripped, and never with the race detector in it.
func ReleasedProgram(t testing.TB) string {
	t.Helper()
	return built(t, []string{"CGO_ENABLED=0"}, "-trimpath", "-tags="+tag, "-ldflags=-s -w")
}

// built is the path of the program as it is built with flags.
func built(t testing.TB, env []string, flags ...string) string {
	t.Helper()
	key := strings.Join(flags, " ")
	builds.mu.Lock()
	build, ok := builds.paths[key]
	if !ok {
		if builds.paths == nil {
			builds.paths = map[string]func() (string, error){}
		}
		folder := Lasting(t).TempDir()
		build = sync.OnceValues(func() (string, error) { return buildProgram(folder, env, flags) })
		builds.paths[key] = build
	}
	builds.mu.Unlock()
	path, err := build()
	if err != nil {
		t.Fatalf("build ./cmd/entrepot: %v", err)
	}
	return path
}

func buildProgram(folder string, env, flags []string) (string, error) {
	path := filepath.Join(folder, "entrepot")
	build := exec.Command("go", append(append([]string{"build", "-o", path}, flags...), "./cmd/entrepot")...)
	build.Dir, build.Env = Root(), append(os.Environ(), env...)
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	return path, nil
}

// StartProgram starts the program to serve, as Start does. A panic or a data race that it writes of fails the test.
func StartProgram(t testing.TB, env ...string) *Process {
	t.Helper()
	return StartServe(t, Program(t), env...)
}

// StartServe is StartProgram for the program at a path.
func StartServe(t testing.TB, path string, env ...string) *Process {
	t.Helper()
	p := Start(t, "entrepot", env, path, "serve")
	MayNotCrash(t, p)
	return p
}

// MayNotCrash fails the test where the program writes of a panic or of a data race.
func MayNotCrash(t testing.TB, p *Process) {
	t.Helper()
	t.Cleanup(func() {
		out := p.Output(t)
		for _, sign := range []string{"panic: ", "fatal error: ", "WARNING: DATA RACE"} {
			if _, report, found := strings.Cut(out, sign); found {
				t.Errorf("the program has written: %s%.4000s", sign, report)
			}
		}
	})
}
