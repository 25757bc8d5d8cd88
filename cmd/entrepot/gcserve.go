package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/backend/fs"
	"github.com/entrepot-io/entrepot/mirror"
	"github.com/entrepot-io/entrepot/mirror/gc"
	"github.com/entrepot-io/entrepot/mirror/layout"
)

const (
	// gcGrace is the least grace period of the collector in serve. It is shorter than the usual interval, so that a run
	// deletes what the one before has marked.
	gcGrace = 30 * time.Minute
	// folderInterval is how often the collector runs on a file store by default.
	folderInterval = time.Hour
	// folderShare is the default size of a file store: its share of the space that was free or in use by the cache when it
	// was first served.
	folderShare = 0.8
	// fullPause is how often a full disk is noticed, and the least time between two runs for that reason.
	fullPause = 5 * time.Second
	// fullShare is what stays of a cache on a full disk.
	fullShare = 0.75
)

// collector removes what has been unused for longest while the mirror serves.
type collector struct {
	config gc.Config
	store  backend.Store
	folder *fs.Store // nil: a bucket
	core   *mirror.Mirror
	log    *slog.Logger
	auto   bool // the size limit is not set

	runs    *prometheus.CounterVec
	deleted prometheus.Counter
}

// collectWhileServing runs the garbage collector until ctx ends.
func (c config) collectWhileServing(ctx context.Context, store backend.Store, core *mirror.Mirror, log *slog.Logger, registry prometheus.Registerer) error {
	folder, isFolder := store.(*fs.Store)
	interval := c.GCInterval.duration
	if c.GCInterval.auto && isFolder {
		interval = folderInterval
	}
	if interval == 0 || c.platform.freezes {
		return nil
	}
	g := &collector{store: store, folder: folder, core: core, log: log, auto: c.MaxSize.auto && isFolder}
	var err error
	if g.config, err = c.collection(store, core); err != nil {
		return err
	}
	g.config.Direct = isFolder
	g.runs = promauto.With(registry).NewCounterVec(prometheus.CounterOpts{
		Name: "entrepot_gc_runs_total", Help: "Runs of the garbage collector on this replica, by result.",
	}, []string{"result"})
	g.deleted = promauto.With(registry).NewCounter(prometheus.CounterOpts{
		Name: "entrepot_gc_deleted_bytes_total", Help: "Bytes of blobs and manifests that the garbage collector deleted on this replica.",
	})
	go g.keep(ctx, interval)
	return nil
}

// collection returns what the settings say about garbage collection.
func (c config) collection(store backend.Store, core *mirror.Mirror) (g gc.Config, err error) {
	g = gc.Config{
		Store: store, Realm: layout.Public, Grace: max(gcGrace, 2*c.PresenceTTL), UseInterval: c.useInterval(),
		Limits: gc.Limits{MaxBytes: int64(c.MaxSize.size), MaxAge: time.Duration(c.MaxAge)},
		Deleted: func(kind layout.Content, d digest.Digest) {
			if kind == layout.Blobs {
				core.Forget(d)
			}
		},
	}
	if c.GCRules != "" {
		if g.Rules, err = readRules(c.GCRules); err != nil {
			return g, wrong("ENTREPOT_GC_RULES", "%w", err)
		}
	}
	return g, nil
}

// keep runs the collector at intervals, and early if the disk is full.
func (g *collector) keep(ctx context.Context, interval time.Duration) {
	regular := time.NewTicker(interval)
	defer regular.Stop()
	full := time.NewTicker(fullPause)
	defer full.Stop()
	if g.auto { // before the cache grows
		if _, err := g.folderLimit(ctx); err != nil {
			g.log.Warn("default size of the file store unknown", "error", err)
		}
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-regular.C:
			g.run(ctx, g.config.Limits.MaxBytes)
		case <-full.C:
			if g.folder != nil && g.isFull() {
				g.makeRoom(ctx)
			}
		}
	}
}

// isFull reports whether the last write of some kind found the disk full.
func (g *collector) isFull() bool {
	for _, m := range g.core.MissingAbilities() {
		if strings.Contains(m.Reason, backend.ErrFull.Error()) {
			return true
		}
	}
	return false
}

// makeRoom shrinks the cache on a full disk.
func (g *collector) makeRoom(ctx context.Context) {
	used, err := g.used(ctx)
	if err != nil {
		g.log.Warn("gc failed", "error", err)
		return
	}
	g.run(ctx, int64(float64(used)*fullShare))
}

// used returns how many bytes the store's objects take.
func (g *collector) used(ctx context.Context) (used int64, err error) {
	for o, err := range g.store.List(ctx, "", "") {
		if err != nil {
			return 0, err
		}
		used += o.Size
	}
	return used, nil
}

func (g *collector) run(ctx context.Context, maxBytes int64) {
	cfg := g.config
	cfg.Limits.MaxBytes = maxBytes
	if g.auto {
		limit, err := g.folderLimit(ctx)
		if err != nil {
			g.log.Warn("default size of the file store unknown", "error", err)
		} else if maxBytes == 0 || limit < maxBytes {
			cfg.Limits.MaxBytes = limit
		}
	}
	report, err := gc.Run(ctx, cfg)
	g.deleted.Add(float64(report.Deleted.Bytes))
	switch {
	case errors.Is(err, gc.ErrBusy):
		g.runs.WithLabelValues("busy").Inc() // another replica does it
	case ctx.Err() != nil:
	case err != nil:
		g.runs.WithLabelValues("failed").Inc()
		g.log.Warn("gc failed", "error", err)
	default:
		g.runs.WithLabelValues("done").Inc()
		g.log.Info("gc done", "images", report.Deleted.Images, "objects", report.Deleted.Objects, "bytes", report.Deleted.Bytes,
			"marked", report.Marked.Bytes, "kept", report.Kept.Bytes)
	}
}

// sizeRecord is the default size of a file store, as computed when it was first served.
type sizeRecord struct {
	MaxBytes int64 `json:"maxBytes"`
}

// folderLimit returns the default size of a file store in bytes.
func (g *collector) folderLimit(ctx context.Context) (int64, error) {
	key := layout.Public.DefaultSize()
	body, _, err := g.store.Get(ctx, key, backend.Range{})
	if err == nil {
		defer body.Close()
		var record sizeRecord
		if err := json.NewDecoder(io.LimitReader(body, 1<<10)).Decode(&record); err == nil && record.MaxBytes > 0 {
			return record.MaxBytes, nil
		}
	} else if !errors.Is(err, backend.ErrNotFound) {
		return 0, err
	}
	used, err := g.used(ctx)
	if err != nil {
		return 0, err
	}
	free, err := g.folder.Free()
	if err != nil {
		return 0, err
	}
	record := sizeRecord{MaxBytes: int64(float64(used+free) * folderShare)}
	text, _ := json.Marshal(record) // a struct of a number never fails
	if _, err := g.store.Put(ctx, key, bytes.NewReader(text), int64(len(text)), backend.PutOptions{ContentType: "application/json"}); err != nil {
		return record.MaxBytes, fmt.Errorf("record the default size: %w", err)
	}
	return record.MaxBytes, nil
}
