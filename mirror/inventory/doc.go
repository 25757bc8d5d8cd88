// Package inventory reads what a bucket holds and joins it into images.
//
// Read lists the bucket once, in key order, and then reads the records of tags and the manifests. An image is a tag, or a
// manifest that nothing else names, with the manifests, configs and layers that it needs and its referrers. The operator's
// commands start from an inventory; it does not change the bucket.
//
// A million objects take about 100 MB of memory: digests are kept as packed bytes, and images refer to objects by number.
package inventory
