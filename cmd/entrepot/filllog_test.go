package main_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// logLine is a log event with its attributes.
type logLine map[string]any

func (l logLine) text(name string) string { s, _ := l[name].(string); return s }

func (l logLine) time(t *testing.T) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339Nano, l.text("time"))
	require.NoError(t, err)
	return at
}

// logged returns the log events with a message.
func (r *replica) logged(t *testing.T, message string) []logLine {
	t.Helper()
	var lines []logLine
	for text := range strings.SplitSeq(r.Output(t), "\n") {
		var line logLine
		if strings.HasPrefix(text, "{") && json.Unmarshal([]byte(text), &line) == nil && line.text("msg") == message {
			lines = append(lines, line)
		}
	}
	return lines
}

// metrics returns the replica's metrics in Prometheus's text format.
func (r *replica) metrics(t *testing.T) string { t.Helper(); return r.adminPage(t, "/metrics") }

// adminPage returns a page of the admin port.
func (r *replica) adminPage(t *testing.T, path string) string {
	t.Helper()
	resp, err := http.Get("http://" + r.admin + path)
	require.NoError(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return string(text)
}

// metric returns the value of a metric without labels.
func (r *replica) metric(t *testing.T, name string) float64 {
	t.Helper()
	for line := range strings.Lines(r.metrics(t)) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), name+" "); ok {
			n, err := strconv.ParseFloat(value, 64)
			require.NoError(t, err)
			return n
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}
