package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// memoryLimit returns the memory that this process may use, in bytes: that of its control group or the machine's. 0 means unknown.
func memoryLimit() int64 {
	var limit int64
	take := func(bytes int64) {
		if bytes > 0 && (limit == 0 || bytes < limit) {
			limit = bytes
		}
	}
	for _, file := range []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"} {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // there is no such limit
		}
		if n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil { // or "max"
			take(n)
		}
	}
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return limit
	}
	for line := range bytes.Lines(text) {
		var kib int64
		if n, _ := fmt.Sscanf(string(line), "MemTotal: %d kB", &kib); n == 1 {
			take(kib << 10)
		}
	}
	return limit
}

// roomIn returns the room in the file system of a folder, which need not exist yet. ok is false if it is unknown.
func roomIn(folder string) (r room, ok bool) {
	folder, err := filepath.Abs(folder)
	if err != nil {
		return room{}, false
	}
	var s syscall.Statfs_t
	for err = syscall.Statfs(folder, &s); err == syscall.ENOENT && folder != "/"; err = syscall.Statfs(folder, &s) {
		folder = filepath.Dir(folder)
	}
	if err != nil {
		return room{}, false
	}
	// Some file systems have no fixed number of inodes, and report 0 of 0.
	return room{free: int64(s.Bavail) * s.Bsize, total: int64(s.Blocks) * s.Bsize, noFiles: s.Files > 0 && s.Ffree == 0}, true
}
