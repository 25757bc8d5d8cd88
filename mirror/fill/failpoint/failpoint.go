//go:build !failpoints

// Package failpoint lets tests kill or stop the process at a named moment of a fill.
package failpoint

// Reached marks such a moment. It does nothing unless the program is built with the tag failpoints.
func Reached(moment string) {}
