package handlers_test

import (
	"encoding/json"
	"io"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/infra/testenv"
)

// pages guards the documentation, since parallel tests update parts of one page.
var pages sync.Mutex

// checkTable is testenv.Page for a table.
func checkTable(t *testing.T, page, part string, rows [][]string) {
	t.Helper()
	pages.Lock()
	defer pages.Unlock()
	testenv.Page(t, page, part, testenv.Table(rows...))
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

// makeOld moves the time of a tag record an hour into the past.
func makeOld(t *testing.T, store backend.Store, key string) {
	t.Helper()
	body, _, err := store.Get(t.Context(), key, backend.Range{})
	require.NoError(t, err)
	data, err := io.ReadAll(body)
	body.Close()
	require.NoError(t, err)
	var record map[string]any
	require.NoError(t, json.Unmarshal(data, &record))
	record["checked"] = time.Now().Add(-time.Hour)
	data, err = json.Marshal(record)
	require.NoError(t, err)
	_, err = store.Put(t.Context(), key, strings.NewReader(string(data)), int64(len(data)), backend.PutOptions{})
	require.NoError(t, err)
}

var next = regexp.MustCompile(`^<([^>]+)>; rel="next"$`)

// nextLink returns the path of the next page, empty if there is none.
func nextLink(t *testing.T, a answer) string {
	t.Helper()
	link := a.Header.Get("Link")
	if link == "" {
		return ""
	}
	m := next.FindStringSubmatch(link)
	require.NotNil(t, m, link)
	return m[1]
}
