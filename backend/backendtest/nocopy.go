package backendtest

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend"
)

// uncopied are the ways of servers without UploadPartCopy to answer one.
var uncopied = map[string]http.HandlerFunc{
	"not implemented": func(w http.ResponseWriter, _ *http.Request) {
		refuse(w, http.StatusNotImplemented, "NotImplemented")
	},
	"an argument that is invalid": func(w http.ResponseWriter, _ *http.Request) {
		refuse(w, http.StatusBadRequest, "InvalidArgument")
	},
	"an upload of no bytes": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("ETag", `"d41d8cd98f00b204e9800998ecf8427e"`)
	},
}

func refuse(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	fmt.Fprintf(w, "<Error><Code>%s</Code><Message>no</Message></Error>", code)
}

// NoCopies checks that a store tells of a server that cannot copy, and leaves nothing there. It is given the URL of one
// that can, and how to open a store at another URL.
func NoCopies(t *testing.T, endpoint string, open func(endpoint string) backend.Store) {
	for name, answer := range uncopied {
		t.Run(name, func(t *testing.T) {
			server := Proxy(t, endpoint, func(*http.Request) {})
			proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("X-Amz-Copy-Source") != "" {
					answer(w, r)
					return
				}
				server.ServeHTTP(w, r)
			}))
			defer proxy.Close()
			s := open(proxy.URL)
			objects, _ := parts(t, s, 3, 1000)
			_, err := compose(t.Context(), s, "blobs/whole", objects, backend.PutOptions{})
			require.ErrorIs(t, err, backend.ErrUnable)
			requireNothing(t, s, "blobs/whole")
			require.Empty(t, s.(Inspector).Leftovers(t, "blobs/whole"))
		})
	}
}
