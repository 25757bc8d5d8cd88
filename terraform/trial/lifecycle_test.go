//go:build e2e

package trial_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/lifecycle"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/infra/testenv"
)

// TestLifecycleRulesExpireLeftovers checks that MinIO accepts the rules, returns them, and expires the right objects. The
// objects have faked ages.
func TestLifecycleRulesExpireLeftovers(t *testing.T) {
	server := testenv.StartMinIO(t)
	for module, g := range modules(t) {
		t.Run(module, func(t *testing.T) {
			bucket := "rules-of-" + module
			server.CreateBucket(t, bucket)
			client := server.Client(t)
			set := lifecycle.NewConfiguration()
			want := map[string]rule{}
			for _, r := range g.Rules {
				one := lifecycle.Rule{ID: r.ID, Status: "Enabled", RuleFilter: lifecycle.Filter{Prefix: r.Prefix}}
				one.Expiration.Days = lifecycle.ExpirationDays(days(t, r.Days))
				one.AbortIncompleteMultipartUpload.DaysAfterInitiation = lifecycle.ExpirationDays(days(t, r.Aborts))
				if r.Aborts != "" {
					// MinIO has no such rule: it aborts uploads after a day on its own.
					alone := lifecycle.NewConfiguration()
					alone.Rules = []lifecycle.Rule{one}
					require.Error(t, client.SetBucketLifecycle(t.Context(), bucket, alone), "MinIO accepts the rule now: remove this exception")
					continue
				}
				set.Rules = append(set.Rules, one)
				want[r.ID] = r
			}
			require.NoError(t, client.SetBucketLifecycle(t.Context(), bucket, set))

			got, err := client.GetBucketLifecycle(t.Context(), bucket)
			require.NoError(t, err)
			require.Len(t, got.Rules, len(want))
			for _, r := range got.Rules {
				assert.Equal(t, want[r.ID], rule{ID: r.ID, Prefix: r.RuleFilter.Prefix, Days: strconv.Itoa(int(r.Expiration.Days))})
				assert.Equal(t, "Enabled", r.Status)
			}
			for key, kept := range map[aged]bool{
				{"public/fills/blobs/sha256/0/00000000", 3}: false,
				{"public/fills/blobs/sha256/1/lease", 0}:    true,
				{"access/2026-01-01/sha256:0", 92}:          false,
				{"access/2026-01-02/sha256:0", 80}:          true,
				{"public/blobs/sha256/0", 4000}:             true,
				{"public/manifests/sha256/0", 4000}:         true,
				{"public/tags/docker.io/a/_/1", 4000}:       true,
				{"private/fills/of/somebody/else", 4000}:    true,
			} {
				_, err := client.PutObject(t.Context(), bucket, key.name, strings.NewReader("content"), 7, minio.PutObjectOptions{
					// Replication preserves an object's modification time.
					Internal: minio.AdvancedPutOptions{SourceMTime: time.Now().AddDate(0, 0, -key.days), ReplicationRequest: true},
				})
				require.NoError(t, err)
				_, err = client.StatObject(t.Context(), bucket, key.name, minio.StatObjectOptions{})
				if kept {
					assert.NoError(t, err, "%+v", key)
				} else {
					assert.Equal(t, minio.NoSuchKey, minio.ToErrorResponse(err).Code, "%+v", key)
				}
			}
		})
	}
}

// aged is an object and its age.
type aged struct {
	name string
	days int
}

func days(t *testing.T, text string) int {
	t.Helper()
	if text == "" {
		return 0
	}
	n, err := strconv.Atoi(text)
	require.NoError(t, err)
	return n
}
