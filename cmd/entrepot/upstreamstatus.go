package main

import (
	"encoding/json"
	"time"

	"github.com/entrepot-io/entrepot/upstream"
)

// upstreamStatus is the upstreams' part of the status page: the current state of each endpoint, by upstream.
type upstreamStatus []*upstream.Registry

type endpointStatus struct {
	URL    string       `json:"url"`
	State  string       `json:"state"`
	Until  time.Time    `json:"until,omitzero"`
	Reason string       `json:"reason,omitempty"`
	Quota  *quotaStatus `json:"quota,omitempty"`
}

type quotaStatus struct {
	Limit     int64     `json:"limit"`
	Remaining int64     `json:"remaining"`
	Window    float64   `json:"window"` // seconds
	Source    string    `json:"source,omitempty"`
	At        time.Time `json:"at"`
}

// MarshalJSON implements json.Marshaler. It sends no requests.
func (s upstreamStatus) MarshalJSON() ([]byte, error) {
	all := map[string][]endpointStatus{}
	for _, u := range s {
		for _, e := range u.Status() {
			status := endpointStatus{URL: e.URL, State: e.State, Until: e.Until, Reason: e.Reason}
			if q := e.Quota; q != nil {
				status.Quota = &quotaStatus{q.Limit, q.Remaining, q.Window.Seconds(), q.Source, q.At}
			}
			all[u.Name()] = append(all[u.Name()], status)
		}
	}
	return json.Marshal(all)
}
