// Package cluster tests entrepot under faults. Three replicas behind a real nginx and a real HAProxy, configured as in
// docs/load-balancer.md, serve thirty clients. Meanwhile replicas are killed, paused and restarted, the bucket is stopped,
// and the replicas' links to it are cut, blocked and slowed.
//
//	make e2e-cluster
//	ENTREPOT_TEST_SEED=7 ENTREPOT_CLUSTER_DURATION=10m make e2e-cluster
//
// A seed repeats the faults and their times, but not their effects. All tests need the build tag e2e.
package cluster
