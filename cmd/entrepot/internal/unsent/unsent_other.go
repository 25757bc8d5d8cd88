//go:build !linux

package unsent

import (
	"context"
	"net"
	"net/http"
)

// Tracker does nothing on this system.
type Tracker struct{}

// ConnState is the server's http.Server.ConnState.
func (*Tracker) ConnState(net.Conn, http.ConnState) {}

// Drain does nothing.
func (*Tracker) Drain() {}

// Wait returns 0 immediately.
func (*Tracker) Wait(context.Context) (lost int) { return 0 }
