package backendtest

import (
	"strings"
	"testing"

	"github.com/entrepot-io/entrepot/backend"
)

// Deviations maps each promise that a server breaks, as "group/promise", to the server's behavior.
type Deviations map[string]string

// Deviations of servers that entrepot supports.
var (
	Ceph16 = Deviations{
		"conditions/IfMatch writes only over its version":         "only without quotes, and not by CompleteMultipartUpload",
		"conditions/IfMatch does not write if there is no object": "CompleteMultipartUpload ignores conditions",
		"conditions/IfAbsent writes only if there is no object":   "CompleteMultipartUpload ignores conditions",
		"conditions/one of several IfAbsent writers wins":         "CompleteMultipartUpload ignores conditions",
		"conditions/one of several IfMatch writers wins":          "only without quotes, and not by CompleteMultipartUpload",
		"compose/the condition applies to the object at the key":  "CompleteMultipartUpload ignores conditions",
	}
	Rclone = Deviations{
		"put/bytes with another SHA-256 are refused": "it does not check the hash of a body, and a stream's hash is known only after it was stored",
		"keys/a long segment is stored or refused":   "it lists an object that it could not store until its cache of the folder expires",
		"concurrency/concurrent readers see whole objects": "if an object is replaced when a GET begins, the GET ends early, " +
			"and the rest of a body larger than 64 KiB is lost",
	}
)

// Open wraps the function open passed to Run, and skips the promises that the server breaks.
func (d Deviations) Open(open func(t *testing.T) backend.Store) func(t *testing.T) backend.Store {
	deviates := map[string]string{}
	for promise, instead := range d {
		deviates[strings.ReplaceAll(promise, " ", "_")] = instead // as in test names
	}
	return func(t *testing.T) backend.Store {
		t.Helper()
		_, promise, _ := strings.Cut(t.Name(), "/")
		if instead, ok := deviates[promise]; ok {
			t.Skip("the server deviates: " + instead)
		}
		return open(t)
	}
}
