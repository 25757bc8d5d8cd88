// Package gc removes the images that have been unused for longest, and what only they need.
//
// A run reads the inventory of the bucket, chooses images by the limits, and deletes content in two steps. First it marks
// each object with a tombstone. At least the grace period later, the next run, or the same run if it waits, looks again and
// deletes what was neither stored nor used since. Replicas that meet a tombstone say that they use the object, so content in
// use survives; see docs/garbage-collection.md. A lease keeps one collector at work.
package gc
