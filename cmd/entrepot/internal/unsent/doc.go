// Package unsent delays the exit of a server until its clients have received their responses. The kernel keeps up to some
// megabytes of a response for a client that reads slowly. It sends them even after the process has exited, unless the
// network of a container is removed together with the process.
//
// On systems other than Linux the package does nothing.
package unsent
