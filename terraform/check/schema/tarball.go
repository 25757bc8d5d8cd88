package schema

import (
	"archive/tar"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// files calls take with each file of an npm package.
func files(tarball string, take func(name string, content io.Reader) error) error {
	f, err := os.Open(tarball)
	if err != nil {
		return err
	}
	defer f.Close()
	plain, err := gzip.NewReader(f)
	if err != nil {
		return fmt.Errorf("%s: %w", tarball, err)
	}
	for archive := tar.NewReader(plain); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = take(strings.TrimPrefix(header.Name, "package/"), archive)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", tarball, err)
		}
	}
}

const sourceMap = "//# sourceMappingURL=data:application/json;base64,"

// sources returns the TypeScript source of each resource by folder. The package has it in the source maps at the end of
// the compiled files, several of them for a large resource.
func sources(tarball string) (map[string]string, error) {
	all := map[string]string{}
	err := files(tarball, func(name string, content io.Reader) error {
		parts := strings.Split(name, "/")
		if parts[0] != "lib" || len(parts) < 3 || !strings.HasSuffix(name, ".js") {
			return nil
		}
		compiled, err := io.ReadAll(content)
		if err != nil {
			return err
		}
		_, encoded, ok := strings.Cut(string(compiled), sourceMap)
		if !ok {
			return nil
		}
		text, err := base64.StdEncoding.DecodeString(strings.TrimSpace(encoded))
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		var m struct {
			SourcesContent []string `json:"sourcesContent"`
		}
		if err := json.Unmarshal(text, &m); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		all[parts[1]] += strings.Join(m.SourcesContent, "\n")
		return nil
	})
	return all, err
}
