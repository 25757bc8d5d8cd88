// Package stores tests entrepot with real S3 servers other than Amazon's: SeaweedFS, rclone and Ceph. Through both client
// libraries, the tests do cold and warm pulls, run two replicas on one bucket, and kill a leader during a fill. One table
// lists the abilities of all servers, including MinIO and versitygw. The tests check the servers against it, and
// `make docs` generates a table in docs/stores.md from it.
//
//	make e2e-stores
//
// All tests need the build tag e2e.
package stores
