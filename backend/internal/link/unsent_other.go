//go:build !linux

package link

func boundUnsent(uintptr) {}
