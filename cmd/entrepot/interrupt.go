package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// errInterrupted is the error of an interrupted command whose next run continues.
var errInterrupted = errors.New("interrupted; run the command again to continue")

// interruptible returns a command's context. It ends at the first SIGINT or SIGTERM.
func interruptible(cmd *cobra.Command) (ctx context.Context, stop context.CancelFunc) {
	return signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
}
