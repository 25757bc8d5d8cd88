package testenv

import (
	"archive/tar"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"
)

// goImageApplets are the busybox applets that the build's shell scripts need.
var goImageApplets = []string{"sh", "mkdir", "cp", "chown", "dirname", "echo", "find", "touch", "["}

// ImportGoImage creates an image with this machine's Go, a shell, CA certificates and the program's modules. It replaces
// the golang image in a Dockerfile's build stage if that cannot be pulled.
func (d *Docker) ImportGoImage(t testing.TB, name string) {
	t.Helper()
	modules := downloadModules(t)
	load := d.Command("import",
		"--change", "ENV PATH=/usr/local/go/bin:/bin GOPROXY=file:///modules GOTOOLCHAIN=local", "-", name)
	pipe, err := load.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	load.Stdout, load.Stderr = &out, &out
	if err := load.Start(); err != nil {
		t.Fatalf("docker import: %v", err)
	}
	written := writeGoImage(t, pipe, modules)
	pipe.Close()
	if err := load.Wait(); err != nil || written != nil {
		t.Fatalf("docker import: %v, %v\n%s", written, err, &out)
	}
}

// downloadModules downloads the modules in go.mod into a folder that serves as a module proxy, and returns its path.
func downloadModules(t testing.TB) string {
	t.Helper()
	cache := t.TempDir()
	download := exec.Command("go", "mod", "download")
	download.Dir = Root()
	// Use this machine's module cache first.
	shared := strings.TrimSpace(string(goEnv(t, "GOMODCACHE")))
	proxies := "file://" + filepath.ToSlash(filepath.Join(shared, "cache", "download")) + "," + strings.TrimSpace(string(goEnv(t, "GOPROXY")))
	download.Env = append(os.Environ(), "GOMODCACHE="+cache, "GOPROXY="+proxies, "GOFLAGS=-modcacherw")
	if out, err := download.CombinedOutput(); err != nil {
		t.Fatalf("go mod download: %v\n%s", err, out)
	}
	return filepath.Join(cache, "cache", "download")
}

func goEnv(t testing.TB, name string) []byte {
	t.Helper()
	value, err := exec.Command("go", "env", name).Output()
	if err != nil {
		t.Fatalf("go env %s: %v", name, err)
	}
	return value
}

func writeGoImage(t testing.TB, w io.Writer, modules string) error {
	t.Helper()
	archive := tar.NewWriter(w)
	goroot := strings.TrimSpace(string(goEnv(t, "GOROOT")))
	busybox := Tool(t, "busybox")
	for _, add := range []func() error{
		func() error {
			return archive.WriteHeader(&tar.Header{Name: "tmp/", Typeflag: tar.TypeDir, Mode: 0o1777})
		},
		func() error { return addFile(archive, "bin/busybox", busybox) },
		func() error {
			return addFile(archive, "etc/ssl/certs/ca-certificates.crt", "/etc/ssl/certs/ca-certificates.crt")
		},
		func() error { return addTree(archive, "usr/local/go", goroot, "test", "doc", "api", "misc") },
		func() error { return addTree(archive, "modules", modules) },
	} {
		if err := add(); err != nil {
			return err
		}
	}
	for _, applet := range goImageApplets {
		if err := archive.WriteHeader(&tar.Header{Name: "bin/" + applet, Typeflag: tar.TypeSymlink, Linkname: "busybox"}); err != nil {
			return err
		}
	}
	return archive.Close()
}

// addTree adds the regular files of a folder to the archive, except those in the folders in without.
func addTree(archive *tar.Writer, name, folder string, without ...string) error {
	return filepath.WalkDir(folder, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(folder, file)
		if err != nil {
			return err
		}
		for _, left := range without {
			if entry.IsDir() && relative == left {
				return filepath.SkipDir
			}
		}
		if !entry.Type().IsRegular() {
			return nil
		}
		return addFile(archive, path.Join(name, filepath.ToSlash(relative)), file)
	})
}

func addFile(archive *tar.Writer, name, file string) error {
	content, err := os.Open(file)
	if err != nil {
		return err
	}
	defer content.Close()
	info, err := content.Stat()
	if err != nil {
		return err
	}
	header, err := tar.FileInfoHeader(info, "")
	if err != nil {
		return err
	}
	header.Name = name
	if err := archive.WriteHeader(header); err != nil {
		return err
	}
	_, err = io.Copy(archive, content)
	return err
}
