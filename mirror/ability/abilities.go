package ability

import (
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/mirror/lease"
)

// Config configures Abilities.
type Config struct {
	Store  backend.Store
	Prefix string // of the objects that probes write
	// Support is how the store supports leases, if known: leases are then not probed. Nil if unknown.
	Support *lease.Support
	Log     *slog.Logger
	// Metrics registers the gauge; nil means no metrics.
	Metrics prometheus.Registerer
	Now     func() time.Time // nil means time.Now
}

// Abilities tracks the abilities of one store. Its methods are safe for concurrent use.
type Abilities struct {
	Config
	leases leases
	copies copies
	writes map[Purpose]*writes
	gauge  *prometheus.GaugeVec
}

// Names of abilities, as in the metric and on the status page.
const (
	conditionalWrites = "conditional_writes"
	serverSideCopies  = "copies"
)

// New returns Abilities that know nothing except cfg.Support. It does no I/O.
func New(cfg Config) *Abilities {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	a := &Abilities{Config: cfg, writes: map[Purpose]*writes{}, gauge: newGauge(cfg.Metrics)}
	a.leases.probing = make(chan struct{}, 1)
	for _, p := range Purposes() {
		a.writes[p] = &writes{}
	}
	if cfg.Support != nil {
		a.setLeases(*cfg.Support)
	}
	return a
}

// Missing is an ability that the store lacks, for now or for good.
type Missing struct {
	Ability string    `json:"ability"` // the ability's name, as in the metric
	Effect  string    `json:"effect"`  // consequence, one line
	Reason  string    `json:"reason"`  // the store's error
	Since   time.Time `json:"since"`
}

// Missing returns the abilities known to be missing now, in a fixed order.
func (a *Abilities) Missing() []Missing {
	all := append([]Missing{}, a.leases.missing()...)
	all = append(all, a.copies.missing()...)
	for _, p := range Purposes() {
		all = append(all, a.writes[p].missing(p)...)
	}
	return all
}

// String describes m in one line.
func (m Missing) String() string {
	return fmt.Sprintf("%s is missing (%s): %s", m.Ability, m.Effect, strings.Join(strings.Fields(m.Reason), " "))
}

// status records whether an ability is missing. The zero value means present or unknown.
type status struct {
	mu     sync.Mutex
	reason error // nil if present or unknown
	since  time.Time
}

// missing returns the ability in a slice if it is missing.
func (s *status) missing(ability, effect string) []Missing {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reason == nil {
		return nil
	}
	return []Missing{{Ability: ability, Effect: effect, Reason: s.reason.Error(), Since: s.since}}
}

// set records why the ability is missing, or nil if it is present, and reports whether that changed.
func (s *status) set(reason error, now time.Time) (changed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	changed = (s.reason == nil) != (reason == nil)
	if changed {
		s.since = now
	}
	s.reason = reason
	return changed
}
