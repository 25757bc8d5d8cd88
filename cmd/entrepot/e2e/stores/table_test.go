//go:build e2e

package stores_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/entrepot-io/entrepot/infra/testenv"
)

// A server is an S3 server and its version.
type server struct {
	name  string // in the table in docs/stores.md
	usual bool   // other tests use it, so only its abilities are tested here
	start func(testing.TB) *testenv.S3
}

var servers = []server{
	{"MinIO", true, testenv.StartMinIO},
	{"versitygw 1.8", true, testenv.StartVersityGW},
	{"SeaweedFS 4", false, testenv.StartSeaweedFS},
	{"Ceph RGW 16.2", false, testenv.StartCeph},
	{"rclone 1.76", false, testenv.StartRclone},
}

// table lists the abilities of the servers.
var table = []struct {
	name    string
	measure func(*probe) string
	want    [5]string // by index in servers
}{
	{"`If-None-Match: *` on `PUT`", (*probe).putIfAbsent, [5]string{"yes", "yes", "yes", "yes", "yes"}},
	{"`If-Match` on `PUT`, with the ETag", (*probe).putIfMatch, [5]string{"quoted or not", "quoted or not", "quoted or not", "only without quotes", "quoted or not"}},
	{"`If-None-Match`, `If-Match` on `CompleteMultipartUpload`", (*probe).completeConditionally, [5]string{"yes", "yes", "yes", "ignored", "yes"}},
	{"`CompleteMultipartUpload` returns the ETag", (*probe).completeETag, [5]string{"yes", "yes", "yes", "no, empty", "yes"}},
	{"`UploadPartCopy`", (*probe).copyPart, [5]string{"yes", "yes", "yes", "yes", "yes"}},
	{"`x-amz-copy-source-if-match` on `UploadPartCopy`", (*probe).copyPartIfMatch, [5]string{"yes", "yes", "yes", "ignored", "yes"}},
	{"`PUT` with a body that does not match its signed hash", (*probe).wrongHash, [5]string{"refused", "refused", "refused", "refused unless empty", "stored"}},
	{"unsigned `PUT` with a broken connection", (*probe).brokenPut, [5]string{"nothing stored", "truncated object stored", "nothing stored", "nothing stored", "nothing stored"}},
	{"`DELETE` while a client reads the object", (*probe).deletedWhileRead, [5]string{"waits for the reader", "does not wait", "does not wait", "does not wait", "does not wait"}},
	{"`PUT` of `a`, then `a/b`", (*probe).folderOverObject, [5]string{"both stored", "second refused", "both stored", "both stored", "second refused"}},
	{"unknown access key", (*probe).unknownKey, [5]string{"403", "404", "403", "403", "403"}},
	{"`PUT` into a missing bucket", (*probe).missingBucket, [5]string{"404", "404", "creates the bucket", "404", "404"}},
	{"`ListMultipartUploads` of a bucket that never had uploads", (*probe).noUploads, [5]string{"200", "200", "200", "200", "404"}},
}

// check tests a server's abilities against its column of the table.
func check(t *testing.T, s *testenv.S3, column int) {
	t.Helper()
	for _, row := range table {
		t.Run(row.name, func(t *testing.T) {
			assert.Equal(t, row.want[column], row.measure(newProbe(t, s)))
		})
	}
}

func TestUsualServersMatchTable(t *testing.T) {
	for column, s := range servers {
		if s.usual {
			t.Run(s.name, func(t *testing.T) { t.Parallel(); check(t, s.start(t), column) })
		}
	}
}

func TestStoresPageHasAbilityTable(t *testing.T) {
	rows := [][]string{{""}}
	for _, s := range servers {
		rows[0] = append(rows[0], s.name)
	}
	for _, row := range table {
		rows = append(rows, append([]string{row.name}, row.want[:]...))
	}
	testenv.Page(t, "docs/stores.md", "servers", testenv.Table(rows...))
}
