package main

import (
	"fmt"
	"os"
	"runtime/debug"

	"github.com/entrepot-io/entrepot/doctor"
	"github.com/entrepot-io/entrepot/mirror"
)

const (
	// streamMemory is the memory in bytes for streams to clients, and factMemory that for cached facts: see docs/operations.md.
	streamMemory = 32 << 20
	factMemory   = 200 << 20
	// A folder with less than leastFree bytes or leastShare of its file system deserves a warning.
	leastFree  = 1 << 30
	leastShare = 0.05
)

// checkMachine checks this machine's memory and disk.
func (c config) checkMachine() []doctor.Finding {
	f := &doctor.Findings{Subject: "this machine"}
	c.checkMemory(f, memoryLimit())
	c.checkDisk(f)
	return f.All
}

// checkMemory compares the memory that the settings allow with a limit in bytes, 0 for unknown.
func (c config) checkMemory(f *doctor.Findings, limit int64) {
	kept := int64(c.ManifestCache)
	need := int64(c.FillMemory) + kept + mirror.Buffers(kept) + baseMemory + streamMemory
	detail := fmt.Sprintf("the settings allow %s, and %s more for facts about many blobs", byteSize(need), byteSize(factMemory))
	const remedy = "lower ENTREPOT_FILL_MEMORY or ENTREPOT_MANIFEST_CACHE, or give the mirror more memory"
	if limit > 0 {
		detail += fmt.Sprintf("; there are %s", byteSize(limit))
	}
	switch {
	case limit > 0 && need > limit:
		f.Break("memory", detail, "the kernel kills the mirror under load", remedy)
	case limit > 0 && need+factMemory > limit:
		f.Warn("memory", detail, "the kernel may kill a mirror that has served many blobs", remedy)
	default:
		f.OK("memory", "%s", detail)
	}
	if own := debug.SetMemoryLimit(-1); os.Getenv("GOMEMLIMIT") != "" && own < need {
		f.Warn("GOMEMLIMIT", fmt.Sprintf("%s is less than the settings allow, %s", byteSize(own), byteSize(need)),
			"the mirror spends its time on garbage collection under load", "raise it, or remove it: entrepot sets a limit itself")
	}
}

// checkDisk looks at the room in the store's folder.
func (c config) checkDisk(f *doctor.Findings) {
	if !c.Store.isFolder() {
		f.OK("disk", "not needed: the store is a bucket")
		return
	}
	room, ok := roomIn(c.Store.path)
	if !ok {
		return
	}
	const consequence = "new content passes through and is not stored"
	remedy := "delete content, or move " + c.Store.path + " to a larger disk"
	detail := fmt.Sprintf("%s of %s are free in %s", byteSize(room.free), byteSize(room.total), c.Store.path)
	switch {
	case room.free == 0 || room.noFiles:
		f.Break("disk", detail+map[bool]string{true: ", but no more files can be created"}[room.noFiles], consequence, remedy)
	case !c.MaxSize.auto && int64(c.MaxSize.size) > room.total:
		f.Warn("disk", fmt.Sprintf("%s, but ENTREPOT_MAX_SIZE is %s", detail, c.MaxSize), "the disk is full before the collector runs for its size", "lower ENTREPOT_MAX_SIZE, or "+remedy)
	case room.free < leastFree || float64(room.free) < leastShare*float64(room.total):
		f.Warn("disk", detail, "soon "+consequence, remedy)
	default:
		f.OK("disk", "%s", detail)
	}
}

// room is the room in a file system, in bytes.
type room struct {
	free, total int64
	noFiles     bool // no inodes are free
}
