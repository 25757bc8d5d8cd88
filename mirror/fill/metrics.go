package fill

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Metrics count the fills.
type Metrics struct {
	begun, failed, unstored, bytes, resumed, retried, parked prometheus.Counter
}

// NewMetrics registers the counters; a nil registerer makes counters that nobody sees.
func NewMetrics(r prometheus.Registerer) *Metrics {
	auto := promauto.With(r)
	counter := func(name, help string) prometheus.Counter {
		return auto.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	return &Metrics{
		begun:    counter("entrepot_fills_total", "Blobs whose transfer this process began or took over."),
		failed:   counter("entrepot_fills_failed_total", "Blobs whose transfer failed, or whose bytes were wrong, while clients here waited for them."),
		unstored: counter("entrepot_fills_unstored_total", "Blobs that passed through to clients here without being stored, since the bucket did not take them."),
		bytes:    counter("entrepot_fill_bytes_total", "Bytes of blobs that this process landed and stored."),
		resumed:  counter("entrepot_fills_resumed_total", "Transfers that went on from where another process or another attempt had stopped."),
		retried:  counter("entrepot_fill_retries_total", "Connections to upstreams that broke, stalled or crawled during a transfer and were replaced."),
		parked:   counter("entrepot_fills_parked_total", "Transfers that nobody read and that ended, with their state in the bucket, for others or since they had been unread for long."),
	}
}
