package lease

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"math"
	"slices"

	"github.com/entrepot-io/entrepot/bounded"
)

const (
	// maxSize limits a lease's object in bytes, so that each write is one small request. Larger objects are sent in parts, and
	// some stores ignore conditions when they complete an upload.
	maxSize = 16 << 10
	// MaxState limits the JSON of a state in bytes. A larger one counts as unreadable.
	MaxState = 12 << 10
	// maxBefore limits the length of Record.Before, and maxEpoch the bytes of each epoch.
	maxBefore, maxEpoch = 64, 64
	// maxTurn limits Record.Turn.
	maxTurn = 1 << 30
	// format is the version of the format in which this release writes leases. It reads all earlier ones.
	format = 1
	// maxRead limits the bytes read of a lease's object, since earlier versions wrote larger ones.
	maxRead = 4 << 20
)

// Record is the content of a lease's object.
type Record[S any] struct {
	// Format is the version of the record's format; 0 means 1. Every format has Format and Epoch.
	Format int `json:"format,omitempty"`
	// Epoch names one holding of the lease. It is unique, even after the object was deleted.
	Epoch string `json:"epoch"`
	Turn  int    `json:"turn"` // holders so far
	// Nonce is new in each write, since equal bytes can have equal ETags, which conditions could not distinguish.
	Nonce    string `json:"nonce"`
	Released bool   `json:"released,omitempty"` // free; the next holder continues from State
	// Before holds the epochs of the former holders, beginning with the one that set State; see Held.Before.
	Before []string `json:"before,omitempty"`
	State  S        `json:"state"`
}

// next returns the record of the next holder.
func (r Record[S]) next() Record[S] {
	next := Record[S]{Epoch: rand.Text(), Turn: min(max(r.Turn, 1), maxTurn) + 1, Before: slices.Clone(r.Before), State: r.State}
	if r.Epoch != "" {
		next.Before = append(next.Before, r.Epoch)
	}
	next.Before = next.Before[max(0, len(next.Before)-maxBefore):]
	return next
}

// encode returns the bytes of the object, with a new nonce. It drops the oldest entries of Before to stay within maxSize.
func (r *Record[S]) encode() ([]byte, error) {
	r.Format, r.Nonce = format, rand.Text()
	for {
		data, err := json.Marshal(r)
		switch {
		case err != nil:
			return nil, fmt.Errorf("write lease: %w", err)
		case len(data) <= maxSize:
			return data, nil
		case len(r.Before) == 0:
			return nil, fmt.Errorf("write lease: state too large: record of %d bytes exceeds %d", len(data), maxSize)
		}
		r.Before = r.Before[(len(r.Before)+1)/2:]
	}
}

// decode reads a record. An unreadable or invalid one counts as released without a state, so that the next holder starts
// over. So does one of a newer format, but only after it has expired: until then its holder may be at work.
func decode[S any](data []byte) Record[S] {
	record, err := parse[S](data)
	if record.Format > format && record.Epoch != "" {
		return Record[S]{Format: record.Format, Epoch: record.Epoch}
	}
	if err != nil || record.Epoch == "" {
		return Record[S]{Released: true}
	}
	if state, err := json.Marshal(record.State); err != nil || len(state) > MaxState {
		return Record[S]{Released: true}
	}
	return record
}

// parse reads the fields of a record, or only those that every format has if the format is newer.
func parse[S any](data []byte) (record Record[S], err error) {
	document, err := bounded.Parse(data)
	if err != nil {
		return record, err
	}
	err = document.Fields(func(name string, value bounded.JSON) error {
		switch name {
		case "format":
			version, _ := value.Number()
			record.Format = int(min(max(version, 0), math.MaxInt32))
		case "epoch":
			record.Epoch, _ = value.Text(maxEpoch)
		}
		return nil
	})
	if err != nil || record.Format > format {
		return record, err
	}
	err = document.Fields(func(name string, value bounded.JSON) error {
		switch name {
		case "turn":
			turn, _ := value.Number()
			record.Turn = int(turn)
		case "nonce":
			record.Nonce, _ = value.Text(maxEpoch)
		case "released":
			return json.Unmarshal(value, &record.Released)
		case "before":
			return value.Elements(func(value bounded.JSON) error {
				if epoch, _ := value.Text(maxEpoch); epoch != "" {
					record.Before = append(record.Before[max(0, len(record.Before)-maxBefore):], epoch)
				}
				return nil
			})
		case "state":
			return json.Unmarshal(value, &record.State)
		}
		return nil
	})
	return record, err
}
