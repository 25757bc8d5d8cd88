package mirror

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/bounded"
)

// record is an upstream's last answer about a subject, as far as this process knows. Do not change a shared one.
type record[V any] struct {
	value V
	// version is the version of the record's object in the bucket. For an unstored record it is the version of the object to
	// replace. Empty if there is no object.
	version backend.ETag
	// replaced is the version that this process overwrote with this record; empty if it did not.
	replaced backend.ETag
	unstored bool // only this process has the record

	asked   time.Time // when the upstream was asked for the value, by this process's clock
	undated bool      // asked is unknown, since the times in the bucket contradict each other
	gone    time.Time // when a replica first saw that the upstream had deleted it, by this process's clock; zero if it has not
	seen    time.Time // when this record was last the newest one, by this process's clock
	nonce   string
	// replaceAfter is when an unstored record may replace the one in the bucket, by this process's clock. Until then that one
	// belongs to a newer release. Zero: at once.
	replaceAfter time.Time
}

// fresh reports whether the upstream was asked within the TTL.
func (r *record[V]) fresh(now time.Time, ttl time.Duration) bool {
	age := elapsed(r.asked, now)
	return !r.undated && age < ttl && age > -granularity
}

// isCurrent reports whether the bucket need not be read again.
func (r *record[V]) isCurrent(now time.Time) bool {
	since := elapsed(r.seen, now)
	return since < recordLife && since > -granularity
}

// meta is the part of a record in the bucket that is not its value. The fields of both are in one JSON object. All times are
// by the store's clock, since the clocks of replicas differ: a record's age is its object's age plus AgeMillis.
type meta struct {
	// Format is the version of the record's format; 0 means 1. See docs/formats.md.
	Format int `json:"format,omitempty"`
	// Checked is when the upstream was asked, as far as the writer knew the store's clock. It counts if the object was copied
	// later, for example to another bucket. Otherwise the object's own time is more precise.
	Checked   time.Time `json:"checked,omitzero"`
	AgeMillis int64     `json:"ageMillis,omitempty"` // the time from the question to the write
	Gone      time.Time `json:"gone,omitzero"`       // when a replica first saw that the upstream had deleted it
	// Nonce is new in each write, since equal bytes can have equal ETags, which conditions could not distinguish.
	Nonce string `json:"nonce,omitempty"`
}

// encode returns a record as JSON at a time, in pieces. fields are the fields of its value.
func (r *record[V]) encode(fields [][]byte, now time.Time, clock *storeClock) ([][]byte, error) {
	age := max(elapsed(r.asked, now), 0)
	m := meta{Format: recordFormat, AgeMillis: age.Milliseconds(), Nonce: r.nonce}
	if stored := clock.at(now); !stored.IsZero() {
		m.Checked = stored.Add(-age).Truncate(time.Second)
		if !r.gone.IsZero() {
			m.Gone = stored.Add(-max(elapsed(r.gone, now), 0)).Truncate(time.Second)
		}
	}
	rest, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	if len(fields) == 0 {
		return [][]byte{rest}, nil
	}
	return slices.Concat([][]byte{[]byte("{")}, fields, [][]byte{[]byte(","), rest[1:]}), nil // the fields of two objects in one
}

// encodeFields returns the fields of a small value.
func encodeFields[V any](value V) ([][]byte, error) {
	object, err := json.Marshal(value)
	if err != nil || string(object) == "{}" {
		return nil, err
	}
	return [][]byte{object[1 : len(object)-1]}, nil
}

// maxMeta limits each field of a meta in bytes.
const maxMeta = 100

func readMeta(record bounded.JSON) (m meta, err error) {
	fields := map[string]any{"format": &m.Format, "checked": &m.Checked, "ageMillis": &m.AgeMillis, "gone": &m.Gone, "nonce": &m.Nonce}
	err = record.Fields(func(name string, value bounded.JSON) error {
		field, ok := fields[name]
		switch {
		case !ok:
			return nil
		case len(value) > maxMeta:
			return fmt.Errorf("%s has %d bytes, more than %d", name, len(value), maxMeta)
		}
		return json.Unmarshal(value, field)
	})
	return m, err
}

// read decodes a record from an object that was received at a time by this process's clock.
func (k *records[V, A]) read(data []byte, object backend.Object, at time.Time) (*record[V], error) {
	document, err := bounded.Parse(data)
	if err != nil {
		return nil, err
	}
	m, err := readMeta(document)
	if err != nil {
		return nil, fmt.Errorf("read age of record: %w", err)
	}
	if m.Format > recordFormat {
		return nil, &newerError{format: m.Format, written: at.Add(-max(object.AsOf.Sub(object.Modified), 0))}
	}
	value, err := k.decode(document)
	if err != nil {
		return nil, err
	}
	r := &record[V]{value: value, version: object.ETag, seen: at}
	age, dated := m.age(object)
	r.asked, r.undated, r.nonce = at.Add(-age), !dated, m.Nonce
	if !m.Gone.IsZero() {
		r.gone = at.Add(-max(object.AsOf.Sub(m.Gone), 0))
	}
	return r, nil
}

// age returns the time from the request to the upstream to the store's response. It is unknown for a record from the future,
// which was written when the clock of a replica or of the store was wrong.
func (m meta) age(object backend.Object) (age time.Duration, known bool) {
	stored := object.AsOf.Sub(object.Modified)
	if object.AsOf.IsZero() || object.Modified.IsZero() || stored < -granularity || m.AgeMillis < 0 ||
		m.Checked.Sub(object.AsOf) > granularity {
		return 0, false
	}
	age = max(stored, 0) + min(time.Duration(m.AgeMillis)*time.Millisecond, forgotten)
	if m.Checked.IsZero() {
		return age, true
	}
	if checked := object.AsOf.Sub(m.Checked); checked > age+granularity {
		age = checked
	}
	return age, true
}

// forgotten limits ages, so that sums of them do not overflow.
const forgotten = 100 * 365 * 24 * time.Hour
