// Package clientconfig holds the configuration that each kind of client needs for a mirror: the files with their paths, and what
// an operator must know about them. The command client-config prints it, and docs/clients.md is made from it.
//
// It does no I/O and imports nothing of this module.
package clientconfig
