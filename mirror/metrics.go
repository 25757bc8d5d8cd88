package mirror

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/entrepot-io/entrepot/bounded"
)

// The ways to answer a request for a tag or a list.
const (
	answerFirst       = "first"       // there was no record
	answerFresh       = "fresh"       // from a fresh record
	answerRevalidated = "revalidated" // the upstream's answer
	answerStale       = "stale"       // from a stale record, since the upstream failed
	answerDeleted     = "deleted"     // from a record, though the upstream has deleted the tag or list
)

// Kinds of lists.
const (
	listOfTags      = "tags"
	listOfReferrers = "referrers"
)

type metrics struct{ tags, lists *prometheus.CounterVec }

func newMetrics(r prometheus.Registerer, memory *bounded.Budget) metrics {
	auto := promauto.With(r)
	auto.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "entrepot_buffer_bytes", Help: "Memory in use for manifests and lists, except small ones.",
	}, func() float64 { return float64(memory.Used()) })
	auto.NewCounterFunc(prometheus.CounterOpts{
		Name: "entrepot_buffers_refused_total", Help: "Manifests and lists that were refused because no memory became free in time.",
	}, func() float64 { return float64(memory.Refused()) })
	auto.NewCounterFunc(prometheus.CounterOpts{
		Name: "entrepot_readers_cut_total", Help: "Clients disconnected because they read a manifest or a list too slowly while others waited for memory.",
	}, func() float64 { return float64(memory.Cut()) })
	return metrics{
		tags: auto.NewCounterVec(prometheus.CounterOpts{
			Name: "entrepot_tag_answers_total",
			Help: "Answers about tags: first (there was no record), fresh (from the record), revalidated (by the upstream), stale (the upstream failed), deleted (still served, though deleted upstream).",
		}, []string{"upstream", "answer"}),
		lists: auto.NewCounterVec(prometheus.CounterOpts{
			Name: "entrepot_list_answers_total",
			Help: "Answers about lists of tags or referrers, as in entrepot_tag_answers_total.",
		}, []string{"upstream", "list", "answer"}),
	}
}

func (m metrics) tag(registry, how string) { m.tags.WithLabelValues(registry, how).Inc() }

func (m metrics) list(registry, list, how string) { m.lists.WithLabelValues(registry, list, how).Inc() }
