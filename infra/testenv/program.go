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

// builds has the programs that this test binary has built, by build flags.
var builds struct {
	mu    sync.Mutex
	paths map[string]func() (string, error)
}

// Program builds entrepot, once per test binary, and returns its path. If ENTREPOT_TEST_RACE is set, the build includes
// the race detector. If ENTREPOT_TEST_PROGRAM names a program, Program returns that instead. To remove the program after
// the tests, a package that calls Program needs
//
//	func TestMain(m *testing.M) { os.Exit(testenv.Main(m)) }
func Program(t testing.TB) string {
	t.Helper()
	if path := os.Getenv("ENTREPOT_TEST_PROGRAM"); path != "" {
		return path
	}
	return ProgramWith(t)
}

// tag is the build tag of all builds. The Makefile gives the reason.
const tag = "lambda.norpc"

// ProgramWith is like Program, but adds build tags and ignores ENTREPOT_TEST_PROGRAM.
func ProgramWith(t testing.TB, tags ...string) string {
	t.Helper()
	flags := []string{"-tags=" + strings.Join(append(tags, tag), ",")}
	if os.Getenv("ENTREPOT_TEST_RACE") != "" {
		flags = append(flags, "-race")
	}
	return buildOnce(t, nil, flags...)
}

// ReleasedProgram builds entrepot as the Dockerfile does: static, stripped and without the race detector.
func ReleasedProgram(t testing.TB) string {
	t.Helper()
	return buildOnce(t, []string{"CGO_ENABLED=0"}, "-trimpath", "-tags="+tag, "-ldflags=-s -w")
}

// buildOnce builds the program with flags unless this test binary has done so, and returns its path.
func buildOnce(t testing.TB, env []string, flags ...string) string {
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

// StartProgram starts `entrepot serve` as Start does. A panic or data race in the program fails the test.
func StartProgram(t testing.TB, env ...string) *Process {
	t.Helper()
	return StartServe(t, Program(t), env...)
}

// StartServe is like StartProgram, for the program at path.
func StartServe(t testing.TB, path string, env ...string) *Process {
	t.Helper()
	p := Start(t, "entrepot", env, path, "serve")
	FailOnCrash(t, p)
	return p
}

// FailOnCrash fails the test at its end if the process's output reports a panic or a data race.
func FailOnCrash(t testing.TB, p *Process) {
	t.Helper()
	t.Cleanup(func() {
		out := p.Output(t)
		for _, sign := range []string{"panic: ", "fatal error: ", "WARNING: DATA RACE"} {
			if _, report, found := strings.Cut(out, sign); found {
				t.Errorf("%s crashed: %s%.4000s", p.Name, sign, report)
			}
		}
	})
}
