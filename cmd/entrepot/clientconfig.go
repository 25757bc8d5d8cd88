package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"github.com/entrepot-io/entrepot/clientconfig"
	"github.com/entrepot-io/entrepot/doctor"
)

// clientConfigCommand returns the command that prints a client's configuration.
func clientConfigCommand() *cobra.Command {
	var mirrorURL, version string
	var images []string
	var check bool
	cmd := &cobra.Command{
		Use:   "client-config CLIENT",
		Short: "Print a client's configuration for the mirror, or check the mirror as a client",
		Long: "Print the files that a client needs to pull through the mirror, with their paths, and which upstreams it cannot mirror. " +
			"With --check, test the mirror from this machine in place of that: resolve an image of each upstream as such a client does, and get " +
			"a small blob of it, from the bucket if the mirror redirects there.\n\n" +
			"CLIENT is one of " + strings.Join(clientconfig.Clients(), ", ") + ".",
		Example: "  entrepot client-config containerd --url https://mirror.example.com\n" +
			"  entrepot client-config podman --url http://mirror:5000 --upstreams docker.io,ghcr.io --check",
		Args: oneClient,
	}
	flags := cmd.Flags()
	flags.StringVar(&mirrorURL, "url", "", "`URL` of the mirror for its clients, such as https://mirror.example.com (required)")
	flags.StringVar(&version, "client-version", "", "`VERSION` of the client, such as 1.7; default: print the files for all versions")
	flags.BoolVar(&check, "check", false, "test the mirror instead of printing files")
	flags.StringArrayVar(&images, "image", nil, "`IMAGE` that --check resolves, such as corp.example/app:1; may be repeated; default: a public image of each upstream")
	format := addOutputFlag(cmd)
	operator(cmd, func(cmd *cobra.Command, cfg config, args []string) error {
		m, v, err := readMirror(cfg, mirrorURL, version)
		if err != nil {
			return err
		}
		sections, err := clientconfig.For(args[0], v, m)
		if err != nil {
			return usageError{fmt.Errorf("client-config: %w", err)}
		}
		if check {
			known, err := readImages(images)
			if err != nil {
				return err
			}
			ctx, stop := interruptible(cmd)
			defer stop()
			return checkMirror(ctx, m, sections[0], known, *format, cmd.OutOrStdout())
		}
		return printClientConfig(cmd.OutOrStdout(), *format, args[0], m, sections)
	})
	flags.Lookup("upstreams").Hidden = false
	flags.Lookup("upstreams").Usage = "upstreams of the mirror, as in ENTREPOT_UPSTREAMS; the first is its default"
	return cmd
}

func oneClient(_ *cobra.Command, args []string) error {
	if len(args) != 1 {
		return usageError{fmt.Errorf("client-config: name one client: %s", strings.Join(clientconfig.Clients(), ", "))}
	}
	return nil
}

// readMirror returns the mirror and the client's version that the flags describe.
func readMirror(cfg config, mirrorURL, version string) (m clientconfig.Mirror, v clientconfig.Version, err error) {
	if mirrorURL == "" {
		return m, v, usageError{errors.New("client-config: name the mirror's URL with --url, for example https://mirror.example.com")}
	}
	if m.URL, err = parseEndpoint(mirrorURL); err != nil {
		return m, v, usageError{fmt.Errorf("--url: %w", err)}
	}
	if m.URL.Path = strings.TrimSuffix(m.URL.Path, "/"); m.URL.Path != "" {
		return m, v, usageError{fmt.Errorf("--url: %q has a path, which most clients do not support; give the mirror a host name of its own", mirrorURL)}
	}
	for _, u := range cfg.Upstreams {
		m.Upstreams = append(m.Upstreams, u.name)
	}
	if version != "" {
		if v, err = clientconfig.ParseVersion(version); err != nil {
			return m, v, usageError{fmt.Errorf("--client-version: %w", err)}
		}
	}
	return m, v, nil
}

// readImages returns public images, and those of a command line in place of them.
func readImages(images []string) (doctor.Images, error) {
	known := doctor.PublicImages()
	for _, text := range images {
		registry, image, ok := doctor.ParseImage(text)
		if !ok {
			return nil, usageError{fmt.Errorf("--image: %q is not an image; write REGISTRY/REPOSITORY:TAG, for example corp.example/app:1", text)}
		}
		known[registry] = image
	}
	return known, nil
}

// checkMirror checks the mirror as a client with the configuration in a section does.
func checkMirror(ctx context.Context, m clientconfig.Mirror, s clientconfig.Section, images doctor.Images, format outputFormat, w io.Writer) error {
	skipped := map[string]bool{}
	for _, n := range s.NotMirrored {
		skipped[n.Upstream] = true
	}
	check := doctor.Mirror{
		URL: m.URL, Images: images,
		Query:  func(string) url.Values { return nil },
		Prefix: func(string) string { return "" },
	}
	for _, upstream := range m.Upstreams {
		if !skipped[upstream] {
			check.Upstreams = append(check.Upstreams, upstream)
		}
	}
	switch s.Naming {
	case clientconfig.ByNS:
		check.Query = func(upstream string) url.Values { return url.Values{"ns": {upstream}} }
	case clientconfig.ByPath:
		check.Prefix = func(upstream string) string {
			return strings.TrimPrefix(m.Location(upstream)+"/", m.URL.Host+"/")
		}
	case clientconfig.ByDefault: // it asks for images of the default upstream without naming it
	}
	return printFindings(w, format, check.Check(ctx))
}

// printClientConfig prints the configuration of a client.
func printClientConfig(w io.Writer, format outputFormat, client string, m clientconfig.Mirror, sections []clientconfig.Section) error {
	if format == "json" {
		return printJSON(w, map[string]any{"client": client, "url": m.URL.String(), "upstreams": m.Upstreams, "sections": sections})
	}
	for i, s := range sections {
		if i > 0 {
			fmt.Fprintln(w)
		}
		if err := s.WriteText(w); err != nil {
			return err
		}
	}
	return nil
}
