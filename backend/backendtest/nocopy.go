package backendtest

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend"
)

// uncopied maps the responses of servers without UploadPartCopy.
var uncopied = map[string]http.HandlerFunc{
	"not implemented": func(w http.ResponseWriter, _ *http.Request) {
		refuse(w, http.StatusNotImplemented, "NotImplemented")
	},
	"invalid argument": func(w http.ResponseWriter, _ *http.Request) {
		refuse(w, http.StatusBadRequest, "InvalidArgument")
	},
	"missing length": func(w http.ResponseWriter, _ *http.Request) { // gofakes3
		refuse(w, http.StatusLengthRequired, "MissingContentLength")
	},
	"unprocessable content": func(w http.ResponseWriter, _ *http.Request) {
		refuse(w, http.StatusUnprocessableEntity, "UnprocessableContent")
	},
	"upload of no bytes": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("ETag", `"d41d8cd98f00b204e9800998ecf8427e"`)
	},
}

func refuse(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	fmt.Fprintf(w, "<Error><Code>%s</Code><Message>no</Message></Error>", code)
}

// NoCopies checks that Compose on a server without copies fails with backend.ErrUnable and leaves nothing. endpoint is a server
// with copies, and open opens a store at another URL.
func NoCopies(t *testing.T, endpoint string, open func(t *testing.T, endpoint string) backend.Store) {
	for name, respond := range uncopied {
		t.Run(name, func(t *testing.T) {
			server := Proxy(t, endpoint, func(*http.Request) {})
			proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("X-Amz-Copy-Source") != "" {
					respond(w, r)
					return
				}
				server.ServeHTTP(w, r)
			}))
			defer proxy.Close()
			s := open(t, proxy.URL)
			objects, _ := parts(t, s, 3, 1000)
			_, err := compose(t.Context(), s, "blobs/whole", objects, backend.PutOptions{})
			require.ErrorIs(t, err, backend.ErrUnable)
			requireNothing(t, s, "blobs/whole")
			require.Empty(t, s.(inspector).Leftovers(t, "blobs/whole"))
		})
	}
}
