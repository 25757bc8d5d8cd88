package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/spf13/cobra"
)

// healthcheckCommand returns the command for container health checks in images without a shell and curl.
func healthcheckCommand() *cobra.Command {
	return configured(&cobra.Command{
		Use:   "healthcheck",
		Short: "Check that the entrepot on this machine is ready; exit 0 if it is",
		Args:  noArgs,
	}, func(cmd *cobra.Command, cfg config, _ []string) error {
		return healthcheck(cmd.Context(), cfg.Listen)
	})
}

// healthcheckTimeout bounds a health check, which is one request on the same machine.
const healthcheckTimeout = 5 * time.Second

// healthcheck returns an error unless /readyz at a listener's address returns 200.
func healthcheck(ctx context.Context, listen string) error {
	ctx, cancel := context.WithTimeout(ctx, healthcheckTimeout)
	defer cancel()
	url := "http://" + dialAddress(listen) + "/readyz"
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		reason, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10)) // on an error the status has to do
		return fmt.Errorf("%s: %s: %s", url, resp.Status, reason)
	}
	return nil
}
