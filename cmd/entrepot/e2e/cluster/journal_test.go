//go:build e2e

package cluster_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// A journal records the test's events: faults, clients' failures and, if the test fails, the replicas' logs.
type journal struct {
	mu      sync.Mutex
	began   time.Time
	entries []entry
	failed  time.Time // of the first failure
	all     []string  // failures, in order
}

type entry struct {
	at           time.Time
	source, text string
}

func newJournal() *journal { return &journal{began: time.Now()} }

func (j *journal) add(source, format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.entries = append(j.entries, entry{time.Now(), source, fmt.Sprintf(format, args...)})
}

// fail records a failure and marks the test as failed.
func (j *journal) fail(t *testing.T, source, format string, args ...any) {
	t.Helper()
	j.add(source, "FAILURE: "+format, args...)
	j.mu.Lock()
	if j.failed.IsZero() {
		j.failed = time.Now()
	}
	j.all = append(j.all, source+": "+fmt.Sprintf(format, args...))
	j.mu.Unlock()
	t.Errorf("%s: "+format, append([]any{source}, args...)...)
}

// printFailures logs all failures again. Call it last: a CI shows the end of a long output.
func (j *journal) printFailures(t *testing.T) {
	t.Helper()
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, failure := range j.all {
		t.Logf("FAILURE %s", failure)
	}
}

// What print shows: the time before and after the first failure, and the maximum number of entries.
const (
	shownBefore = 45 * time.Second
	shownAfter  = 5 * time.Second
	maxShown    = 1500
)

// print logs the events around the first failure, merged with the replicas' logs.
func (j *journal) print(t *testing.T, logs map[string]string) {
	t.Helper()
	j.mu.Lock()
	entries, failed := slices.Clone(j.entries), j.failed
	j.mu.Unlock()
	if failed.IsZero() {
		failed = time.Now()
	}
	for source, log := range logs {
		entries = append(entries, parseLog(source, log)...)
	}
	slices.SortStableFunc(entries, func(a, b entry) int { return a.at.Compare(b.at) })
	entries = slices.DeleteFunc(entries, func(e entry) bool {
		return e.at.Before(failed.Add(-shownBefore)) || e.at.After(failed.Add(shownAfter))
	})
	var text strings.Builder
	for _, e := range entries[max(0, len(entries)-maxShown):] {
		fmt.Fprintf(&text, "%8.2f s  %-12s %s\n", e.at.Sub(j.began).Seconds(), e.source, e.text)
	}
	t.Logf("events around the first failure, which was after %.0f s:\n%s", failed.Sub(j.began).Seconds(), text.String())
}

// save writes the journal and the logs to the folder in ENTREPOT_CLUSTER_LOGS, if set.
func (j *journal) save(t *testing.T, logs map[string]string) {
	t.Helper()
	folder := os.Getenv("ENTREPOT_CLUSTER_LOGS")
	if folder == "" {
		return
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for _, e := range j.entries {
		fmt.Fprintf(&text, "%s %8.2f %-12s %s\n", e.at.Format(time.StampMicro), e.at.Sub(j.began).Seconds(), e.source, e.text)
	}
	write(t, folder, "journal.txt", text.String())
	for source, log := range logs {
		write(t, folder, strings.ReplaceAll(source, " ", "-")+".log", log)
	}
	t.Logf("journal and logs saved to %s", filepath.Clean(folder))
}

// parseLog returns the lines of a replica's log, without successful requests.
func parseLog(source, log string) []entry {
	var entries []entry
	for line := range strings.Lines(log) {
		var fields map[string]any
		if json.Unmarshal([]byte(line), &fields) != nil {
			continue
		}
		at, err := time.Parse(time.RFC3339Nano, fmt.Sprint(fields["time"]))
		if status, _ := fields["status"].(float64); err != nil || fields["msg"] == "request" && status < 400 && fields["error"] == nil {
			continue
		}
		delete(fields, "time")
		entries = append(entries, entry{at, source, oneLine(fields)})
	}
	return entries
}

func oneLine(fields map[string]any) string {
	words := []string{fmt.Sprint(fields["level"]), fmt.Sprint(fields["msg"])}
	delete(fields, "level")
	delete(fields, "msg")
	var names []string
	for name := range fields {
		names = append(names, name)
	}
	slices.SortFunc(names, cmp.Compare[string])
	for _, name := range names {
		words = append(words, fmt.Sprintf("%s=%v", name, fields[name]))
	}
	return strings.Join(words, " ")
}
