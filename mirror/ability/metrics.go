package ability

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

func newGauge(r prometheus.Registerer) *prometheus.GaugeVec {
	return promauto.With(r).NewGaugeVec(prometheus.GaugeOpts{
		Name: "entrepot_store_ability",
		Help: "Abilities of the bucket: 1 if the ability works, 0 if it is missing, absent until it is known.",
	}, []string{"ability"})
}

// show sets the ability's gauge to 0 if missing is an error, else to 1.
func (a *Abilities) show(ability string, missing error) {
	value := 1.0
	if missing != nil {
		value = 0
	}
	a.gauge.WithLabelValues(ability).Set(value)
}
